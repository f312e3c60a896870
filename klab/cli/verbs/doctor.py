"""Say what this machine has of what klab needs, and the command that mends what is missing."""

from __future__ import annotations

import typer

from klab.cli import options, output
from klab.cli.backend import Check
from klab.cli.render import out, out_table, say
from klab.cli.session import backend_of
from klab.errors import MissingError

SECTION = "This machine"


def command(ctx: typer.Context, *, output_format: options.DataOutput = "") -> int:
    """Look at this machine: privileges, programs, kernel features. Exits with 4 if something is missing that every lab needs."""
    render = output.data_printer(output_format)
    checks = backend_of(ctx).diagnose()
    missing = [check for check in checks if not check.ok]
    if render:
        out(render([{"name": one.name, "ok": one.ok, "found": one.found, "remedy": one.remedy, "optional": one.optional} for one in checks]))
    else:
        out_table(("CHECK", "STATUS", "FOUND"), [(one.name, _word(one), one.found) for one in checks])
        for check in missing:
            say(f"{check.name}: {check.remedy}")
    return MissingError.exit_code if any(not check.optional for check in missing) else 0


def _word(check: Check) -> str:
    return "ok" if check.ok else "absent" if check.optional else "missing"
