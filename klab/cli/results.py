"""What a verb that changes objects prints: `deployment.apps/web scaled`, or the object with -o; and what went wrong with some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from klab.cli import output
from klab.cli.backend import Object
from klab.cli.render import out, out_line, print_error
from klab.errors import KlabError, UsageError

Report = Callable[[Object, str], None]
"""Prints what was done to an object."""

_DRY_RUNS = {"none": "", "server": " (server dry run)", "client": " (dry run)"}


def dry_run_note(dry_run: str) -> str:
    """Give what follows the word for what was done; UsageError for a --dry-run that is none."""
    if dry_run not in _DRY_RUNS:
        raise UsageError(f'Invalid dry-run value ({dry_run}). Must be "none", "server", or "client".')
    return _DRY_RUNS[dry_run]


def make_report(output_format: str, dry_run: str = "none") -> Report:
    """Give the function that tells what was done to an object, in the form `-o output_format`."""
    note = dry_run_note(dry_run)
    if not output_format:
        return lambda obj, done: out_line(f"{output.object_name(obj)} {done}{note}")
    printer = output.printer(output_format, headers=True)
    return lambda obj, done: out(printer(obj))  # noqa: ARG005 - the object itself tells


def finish(errors: Sequence[KlabError]) -> int:
    """Print what went wrong; give the exit code."""
    for error in errors:
        for line in str(error).splitlines():
            print_error(line)
    return errors[0].exit_code if errors else 0
