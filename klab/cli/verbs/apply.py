"""Create and change objects of a running lab from manifests.

As `kubectl apply`: fields that a manifest no longer has are taken away, those that others have set stay. All documents are applied, or none.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from klab.cli import options, output
from klab.cli.render import out
from klab.cli.session import api_of, namespace_given
from klab.cli.sources import load_objects, sources_of
from klab.errors import UsageError

SECTION = "Objects"

_DRY_RUNS = {"none": "", "server": " (server dry run)", "client": " (dry run)"}


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    files: options.Files = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    dry_run: Annotated[
        str, typer.Option("--dry-run", metavar="none|server|client", help="Say what would be done, and do nothing.", show_default=False)
    ] = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> None:
    """Create and change objects from manifests: files, folders, or - for stdin.

    For example:
      klab apply web.yaml
      klab apply -f web.yaml -f db.yaml
      cat web.yaml | klab apply -
    """
    if dry_run not in _DRY_RUNS:
        raise UsageError(f'Invalid dry-run value ({dry_run}). Must be "none", "server", or "client".')
    printer = output.printer(output_format, headers=True) if output_format else None
    sources = sources_of(files, filenames)
    api = api_of(ctx, lab)
    documents = load_objects(api, sources, sys.stdin, namespace_given(ctx, namespace))
    results = api.apply(documents, dry_run != "none")
    if printer:
        applied = [obj for _, obj in results]
        out(printer(applied[0] if len(applied) == 1 else output.list_object(applied)))
        return
    for result, obj in results:
        out(f"{output.object_name(obj)} {result}{_DRY_RUNS[dry_run]}\n")
