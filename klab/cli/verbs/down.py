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
    name: Annotated[str | None, typer.Argument(metavar="LAB", autocompletion=complete.lab)] = None,
    every: Annotated[bool, typer.Option("--all", help="Take all labs down.")] = False,
    lab: options.Lab = None,
) -> None:
    """Take a lab down; without a name the only one.

    For example:
      sudo klab down
      sudo klab down deep-dive
      sudo klab down --all
    """
    if every and name:
        raise UsageError("--all takes every lab down; give a name or --all, not both")
    backend = backend_of(ctx)
    asked = name or lab_name(ctx, lab)
    if every:
        names = [one.name for one in backend.labs()]
    elif asked:
        names = [asked]
    else:
        names = [backend.find_lab(None).name] if backend.labs() else []
    for one in names:
        say(f"lab {one} is down" if backend.down(one) else f"lab {one} is not up")
    if not names:
        say("no lab is up")
