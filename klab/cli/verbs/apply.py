"""Create and change objects of a running lab from manifests.

As `kubectl apply`: fields that a manifest no longer has are taken away, those that others have set stay. All documents are applied, or none.
What was deleted from the kernel by hand comes back, as with `up`.
"""

from __future__ import annotations

import sys

import typer

from klab.cli import options, output
from klab.cli.render import out, say
from klab.cli.results import dry_run_note
from klab.cli.session import api_of, namespace_given
from klab.cli.sources import load_objects, sources_of

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    files: options.Files = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    dry_run: options.DryRun = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> None:
    """Create and change objects from manifests: files, folders, or - for stdin.

    For example:
      klab apply web.yaml
      klab apply -f web.yaml -f db.yaml
      cat web.yaml | klab apply -
    """
    note = dry_run_note(dry_run)
    printer = output.printer(output_format, headers=True) if output_format else None
    sources = sources_of(files, filenames)
    api = api_of(ctx, lab)
    documents = load_objects(api, sources, sys.stdin, namespace_given(ctx, namespace))
    results = api.apply(documents, dry_run != "none")
    for line in api.repair() if dry_run == "none" else ():
        say(f"repaired: {line}")
    if printer:
        applied = [obj for _, obj in results]
        out(printer(applied[0] if len(applied) == 1 else output.list_object(applied)))
        return
    for result, obj in results:
        out(f"{output.object_name(obj)} {result}{note}\n")
