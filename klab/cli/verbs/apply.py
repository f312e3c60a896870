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


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    files: options.Files = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    dry_run: Annotated[
        str | None, typer.Option("--dry-run", metavar="server|none", help="With `server`, say what would be done, and do nothing.")
    ] = None,
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> None:
    """Create and change objects from manifests: files, folders, or - for stdin.

    For example:
      klab apply web.yaml
      klab apply -f web.yaml -f db.yaml
      cat web.yaml | klab apply -
    """
    if dry_run not in (None, "none", "server", "client"):
        raise UsageError(f"--dry-run={dry_run} is unknown; use server or none")
    printer = output.printer(output_format, headers=True) if output_format else None
    sources = sources_of(files, filenames)
    api = api_of(ctx, lab)
    dry = dry_run in ("server", "client")
    documents = load_objects(api, sources, sys.stdin, namespace_given(ctx, namespace))
    results = api.apply(documents, dry)
    if printer:
        applied = [obj for _, obj in results]
        out(printer(applied[0] if len(applied) == 1 else output.list_object(applied)))
        return
    for result, obj in results:
        out(f"{output.object_name(obj)} {result}{' (server dry run)' if dry else ''}\n")
