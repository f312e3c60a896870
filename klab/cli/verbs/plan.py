"""Show what `up` would do, as the commands that a person would type.

Each block begins with the reason, a comment; nothing is done. The text is a shell script.
"""

from __future__ import annotations

import sys

import typer

from klab.cli import options, output
from klab.cli.operations import as_data, as_text
from klab.cli.render import out, say
from klab.cli.session import backend_of, lab_name
from klab.cli.sources import sources_of

SECTION = "Insight"


def command(
    ctx: typer.Context,
    *,
    files: options.Files = None,
    filenames: options.Filenames = None,
    output_format: options.DataOutput = "",
    lab: options.Lab = None,
) -> None:
    """Show what `up` would do to this machine, with a reason for each step, and do nothing.

    For example:
      klab plan scenario.yaml
      klab plan scenario.yaml -o json
    """
    render = output.data_printer(output_format)
    backend = backend_of(ctx)
    operations = backend.plan(backend.read(sources_of(files, filenames), sys.stdin, lab_name(ctx, lab)))
    if render:
        out(render(as_data(operations)))
        return
    out(as_text(operations))
    counts = {verb: sum(one.verb == verb for one in operations) for verb in ("create", "change", "delete")}
    say(f"plan: {counts['create']} to create, {counts['change']} to change, {counts['delete']} to delete" if operations else "plan: nothing to do")
