"""List the labs of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from klab.cli import options, output
from klab.cli.render import out, out_table, say
from klab.cli.session import backend_of

SECTION = "Labs"


def command(
    ctx: typer.Context,
    *,
    output_format: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="wide, json, yaml or name.")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    lab: options.Lab = None,
) -> None:
    """List the labs of this machine: whether their control plane runs, how many nodes and pods they have."""
    labs = [one for one in backend_of(ctx).labs() if lab in (None, one.name)]
    if output_format == "name":
        out("".join(f"{one.name}\n" for one in labs))
        return
    render = output.data_printer("" if output_format == "wide" else output_format)
    rows = [(one.name, "Running" if one.running else "Stopped", one.nodes, one.pods, str(one.path)) for one in labs]
    if render:
        out(render([dict(zip(("name", "status", "nodes", "pods", "path"), row, strict=True)) for row in rows]))
    elif not labs:
        say("no lab is up; sudo klab up FILE brings one up")
    else:
        header = ("NAME", "STATUS", "NODES", "PODS", "PATH")
        shown = len(header) if output_format == "wide" else -1
        out_table(header[:shown], [row[:shown] for row in rows], not no_headers)
