"""What a person sees: the two streams, errors, and a bar for what takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from klab.cli.printers.table import render_rows, writer

_PATIENCE = 0.5


def out(text: str) -> None:
    """Print a result, as it is, to stdout."""
    sys.stdout.write(text)


def out_line(text: str) -> None:
    """Print one line of a result to stdout, at once (events of a watch, lines of a log)."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Print a message to stderr."""
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")


def print_error(message: str, prefix: str = "error: ") -> None:
    """Print what went wrong to stderr."""
    say(prefix + message)


def warn(message: str) -> None:
    """Print a warning to stderr, in kubectl's form."""
    say(f"Warning: {message}")


def out_table(header: Sequence[str], rows: Iterable[Sequence[object]], headers: bool = True) -> None:
    """Print a table in the form of kubectl's."""
    body = [[str(cell) for cell in cells] for cells in rows]
    out(render_rows([list(header), *body] if headers else body, writer()))


class Bar:
    """A progress bar on stderr, drawn only for a terminal, and only once the work has taken half a second.

    It is called with what is done, the total, and the name of the step; a total of 0 means that it is not known.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __call__(self, done: int, total: int, step: str) -> None:
        """Show how far the work is."""
        if self._progress is None:
            if time.monotonic() - self._begun < _PATIENCE or not sys.stderr.isatty():
                return
            self._draw()
        self._progress.update(self._task, completed=done, total=total or None, description=step)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()

    def _draw(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - 60 ms that no quick command need pay
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None)
        self._progress.start()
