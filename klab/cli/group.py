"""The `klab` command: its verbs, and where every failure of theirs ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from typer.completion import completion_init  # type: ignore[attr-defined] # what Typer(add_completion=True) calls
from typer.core import TyperGroup

from klab.cli.failures import report
from klab.cli.verb import Verbs, headline, use_plain_types

SECTIONS = ("Labs", "Objects", "Inside", "Insight", "This machine")
_INTERRUPTED = 130
_BROKEN_PIPE = 1


class VerbGroup(TyperGroup):
    """The `klab` command: its verbs, and what becomes of their failures."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.commands = Verbs()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the verb."""
        use_plain_types(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the verbs."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """Write the verbs under their headings, each with the first sentence of its module."""
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for name in self.commands:
            section, summary = headline(name)
            rows[section].append((name, summary))
        for section, found in rows.items():
            if found:
                with formatter.section(section):
                    formatter.write_dl(found)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave the process with its exit code."""
        del complete_var, standalone_mode, windows_expand_args
        if "_KLAB_COMPLETE" in os.environ:
            completion_init()
        code = self._run(sys.argv[1:] if args is None else args, prog_name or "klab", extra)
        sys.exit(_flush(code))

    def _run(self, args: Sequence[str], prog_name: str, extra: dict[str, Any]) -> int:
        try:
            return int(super().main(args, prog_name, standalone_mode=False, **extra) or 0)
        except KeyboardInterrupt:
            return _INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the one place where every failure ends
            if os.environ.get("KLAB_DEBUG"):
                traceback.print_exc()
            return report(error, args)


def _flush(code: int) -> int:
    """Write what is buffered; a reader that went away (`klab get pods | head`) is no failure worth words."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code
