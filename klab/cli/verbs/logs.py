"""Show what a container of a pod has printed."""

from __future__ import annotations

import sys
from math import ceil
from typing import Annotated, Any

import typer

from klab.api.resources import by_word
from klab.cli import complete, options
from klab.cli.backend import Object
from klab.cli.durations import parse_duration
from klab.cli.printers.values import dig
from klab.cli.render import say
from klab.cli.session import api_of, namespace_of
from klab.errors import UsageError

SECTION = "Inside"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    pod: Annotated[str, typer.Argument(metavar="POD", autocompletion=complete.pod)],
    inline_container: Annotated[str | None, typer.Argument(metavar="CONTAINER")] = None,
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
    if container and inline_container:
        raise UsageError("only one of -c or an inline [CONTAINER] arg is allowed")
    kind, slash, only = pod.partition("/")
    if slash and kind not in ("pod", "pods", "po"):
        raise UsageError(f"logs are of pods; {pod} is none. klab get pods shows them")
    home, name = namespace_of(ctx, namespace), only if slash else pod
    wishes: dict[str, Any] = {
        "follow": follow,
        "previous": previous,
        "tailLines": tail if tail >= 0 else None,
        "sinceSeconds": ceil(parse_duration(since, "--since")) if since else None,
        "timestamps": timestamps,
    }
    api = api_of(ctx, lab)
    wishes["container"] = container or inline_container or _default_container(api.get(by_word("pods"), home, name))
    for piece in api.logs(home, name, {key: value for key, value in wishes.items() if value is not None and value is not False}):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _default_container(pod: Object) -> str:
    """Give the container whose log is meant where none is named: the annotated one, or the first, which is said if there are more."""
    names = [one["name"] for one in (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ()))]
    annotated = dig(pod, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    if annotated in names:
        return str(annotated)
    if len(names) > 1:
        say(f'Defaulted container "{names[0]}" out of: {", ".join(_marked(pod))}')
    return str(names[0])


def _marked(pod: Object) -> list[str]:
    return [*(one["name"] for one in pod["spec"]["containers"]), *(f"{one['name']} (init)" for one in pod["spec"].get("initContainers", ()))]
