"""Show what a container of a pod has printed."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from klab.cli import complete, options
from klab.cli.session import api_of, namespace_of
from klab.errors import UsageError

SECTION = "Inside"

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    pod: Annotated[str, typer.Argument(metavar="POD", autocompletion=complete.pod)],
    name: Annotated[str | None, typer.Argument(metavar="CONTAINER")] = None,
    container: options.Container = None,
    namespace: options.Namespace = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is printed from now on.")] = False,
    previous: Annotated[bool, typer.Option("-p", "--previous", help="Show the run before the last restart.")] = False,
    tail: Annotated[int, typer.Option("--tail", metavar="LINES", help="Show the last lines alone; default: all.")] = -1,
    since: Annotated[str | None, typer.Option("--since", metavar="DURATION", help="Show what is newer alone: 5s, 2m, 1h30m.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin each line with its time.")] = False,
    lab: options.Lab = None,
) -> None:
    """Show the logs of a container.

    For example:
      klab logs web-1
      klab logs -f web-1 -c app
      klab logs web-1 --tail=20 --since=5m
      klab logs -p web-1
    """
    if container and name:
        raise UsageError("only one of -c or an inline [CONTAINER] arg is allowed")
    wishes: dict[str, Any] = {
        "container": container or name,
        "follow": follow,
        "previous": previous,
        "tailLines": tail if tail >= 0 else None,
        "sinceSeconds": _seconds(since) if since else None,
        "timestamps": timestamps,
    }
    options_ = {key: value for key, value in wishes.items() if value is not None and value is not False}
    kind, slash, only = pod.partition("/")
    if slash and kind not in ("pod", "pods", "po"):
        raise UsageError(f"logs are of pods; {pod} is none. klab get pods shows them")
    for piece in api_of(ctx, lab).logs(namespace_of(ctx, namespace), only if slash else pod, options_):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _seconds(text: str) -> int:
    """Read a duration of Go, `1h30m`, in whole seconds, rounded up."""
    if not _DURATION.fullmatch(text):
        raise UsageError(f'invalid argument "{text}" for "--since" flag: time: invalid duration; write 5s, 2m, 1h30m')
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text))
    return -int(-total // 1)
