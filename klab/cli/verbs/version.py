"""Show the version of klab and of the lab's API server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from klab import __version__
from klab.cli import options, output
from klab.cli.render import out
from klab.cli.session import api_of
from klab.errors import KlabError

SECTION = "This machine"


def command(
    ctx: typer.Context,
    *,
    client: Annotated[bool, typer.Option("--client", help="Show klab's version alone, and ask no lab.")] = False,
    output_format: options.DataOutput = "",
    lab: options.Lab = None,
) -> None:
    """Show the version of klab, and of the Kubernetes API that the lab serves if one is up."""
    render = output.data_printer(output_format)
    found: dict[str, Any] = {"clientVersion": {"gitVersion": f"v{__version__}"}}
    if not client:
        try:
            found["serverVersion"] = dict(api_of(ctx, lab).version())
        except (KlabError, OSError):
            if lab:
                raise
    if render:
        out(render(found))
        return
    out(f"Client Version: {found['clientVersion']['gitVersion']}\n")
    if "serverVersion" in found:
        out(f"Server Version: {found['serverVersion'].get('gitVersion', '')}\n")
