"""Run a command inside a pod, a node, or the outside client.

It takes klab's place: its terminal, its signals and its exit code are the command's.
"""

from __future__ import annotations

from typing import Annotated

import typer

from klab.cli import complete, options
from klab.cli.session import backend_of, lab_of, namespace_of
from klab.errors import UsageError

SECTION = "Inside"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: Annotated[list[str] | None, typer.Argument(metavar="POD|node/NODE|client -- COMMAND", autocompletion=complete.exec_target)] = None,
    container: options.Container = None,
    namespace: options.Namespace = None,
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Accepted as kubectl's; stdin is always passed.")] = False,
    tty: Annotated[bool, typer.Option("-t", "--tty", help="Accepted as kubectl's; a terminal is always passed.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Accepted as kubectl's.")] = False,
    lab: options.Lab = None,
) -> None:
    """Run a command inside a pod, on a node, or in the client outside of the cluster.

    For example:
      klab exec web-1 -- ip addr
      klab exec -it web-1 -c app -- sh
      klab exec node/node1 -- ip route
      klab exec client -- curl -s 172.16.224.51
    """
    del stdin, tty, quiet
    if not words:
        raise UsageError("exec needs a pod, node/NAME or client, and a command: klab exec POD -- COMMAND")
    target, argv = words[0], words[1:]
    if not argv:
        raise UsageError(f"you must specify at least one command for the container: klab exec {target} -- COMMAND")
    backend_of(ctx).exec(lab_of(ctx, lab), target, list(argv), namespace_of(ctx, namespace), container)
