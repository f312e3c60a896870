"""Bring up a lab from manifests, or bring a standing one to what they say.

A second `up` of the same files changes nothing; what was deleted by hand comes back.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from klab.cli import options, output
from klab.cli.render import Bar, out, say
from klab.cli.session import backend_of, lab_name
from klab.cli.sources import sources_of

SECTION = "Labs"


def command(  # noqa: PLR0913 - one for each wish
    ctx: typer.Context,
    *,
    files: options.Files = None,
    filenames: options.Filenames = None,
    keep: Annotated[bool, typer.Option("--keep", help="If it fails, leave what was made for a look; `klab down` takes it away.")] = False,
    output_format: options.DataOutput = "",
    lab: options.Lab = None,
) -> None:
    """Bring up a lab from manifests: files, folders, or - for stdin.

    For example:
      sudo klab up scenario.yaml
      sudo klab up lab.yaml web.yaml --lab test
    """
    render = output.data_printer(output_format)
    backend = backend_of(ctx)
    begun = time.monotonic()
    scenario = backend.read(sources_of(files, filenames), sys.stdin, lab_name(ctx, lab))
    with Bar() as bar:
        result = backend.up(scenario, keep, bar)
    seconds = round(time.monotonic() - begun, 2)
    if render:
        counts = {"nodes": result.nodes, "pods": result.pods, "ready": result.ready, "changed": result.changed}
        out(render({"lab": result.lab, **counts, "repaired": list(result.repaired), "seconds": seconds}))
        return
    for line in result.repaired:
        say(f"repaired: {line}")
    changes = "nothing to change" if not result.changed and not result.repaired else f"{result.changed} changed"
    pods = _count(result.pods, "pod") + ("" if result.ready == result.pods else f" ({result.ready} ready)")
    say(f"lab {result.lab} is up: {_count(result.nodes, 'node')}, {pods}, {changes}, {seconds:.2f} s")
    say("next: klab get pods -A -o wide")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
