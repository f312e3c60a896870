"""Take a lab down: its pods, nodes, networks and processes.

What was never up, or is down already, is fine.
"""

from __future__ import annotations

from typing import Annotated

import typer

from klab.cli import complete, options
from klab.cli.render import say
from klab.cli.session import backend_of, lab_name
from klab.errors import UsageError

SECTION = "Labs"


def command(
    ctx: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(metavar="LAB", hidden=True, autocompletion=complete.lab)] = None,
    every: Annotated[bool, typer.Option("--all", help="Take all labs down.")] = False,
    lab: options.Lab = None,
) -> None:
    """Take a lab down; without a name the only one.

    For example:
      sudo klab down
      sudo klab down deep-dive
      sudo klab down --all
    """
    backend = backend_of(ctx)
    asked = name or lab_name(ctx, lab)
    if every and name:
        raise UsageError("--all takes every lab down; give a name or --all, not both")
    labs = backend.labs()
    if not every:
        labs = [one for one in labs if one.name == asked] if asked else [backend.find_lab(None)] if labs else []
    for one in labs:
        backend.down(one)
        say(f"lab {one.name} is down")
    if not labs:
        say(f"lab {asked} is not up" if asked else "no lab is up")
