"""Text with elastic tab stops, as Go's text/tabwriter aligns it: all of kubectl's tables and descriptions go through that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_ESCAPES = str.maketrans({"\x1b": "^[", "\r": "\\r"})


def escape_terminal(text: str) -> str:
    """Make escape sequences in `text` visible, so that no object can move a reader's cursor (k8s.io/cli-runtime/pkg/printers/terminal.go)."""
    return text.translate(_ESCAPES)


@dataclass(slots=True)
class TabWriter:
    r"""Align cells that end with a tab; a column is a block of adjacent lines that have a cell there, and it ends where a line has none.

    `min_width` and `padding` count characters. With `remember`, a later text is at least as wide as the earlier ones (rows of `get -w`).
    """

    min_width: int = 0
    padding: int = 2
    remember: bool = False
    _remembered: list[int] = field(default_factory=list)

    def align(self, text: str) -> str:
        """Give `text` with its tabs replaced by spaces."""
        lines = [line.split("\t") for line in text.split("\n")]
        out: list[str] = []
        self._format(lines, [], out)
        return "\n".join(out)

    def _format(self, lines: Sequence[list[str]], widths: list[int], out: list[str]) -> None:
        """Write `lines`, whose columns left of `len(widths)` have these widths, column block by column block."""
        column = len(widths)
        start = 0
        while start < len(lines):
            if len(lines[start]) - 1 <= column:
                out.append(_line(lines[start], widths))
                start += 1
                continue
            end = start
            while end < len(lines) and len(lines[end]) - 1 > column:
                end += 1
            block = lines[start:end]
            self._format(block, [*widths, self._width(column, block)], out)
            start = end

    def _width(self, column: int, block: Sequence[list[str]]) -> int:
        width = max(self.min_width, max(len(line[column]) for line in block) + self.padding)
        if not self.remember:
            return width
        self._remembered.extend([0] * (column + 1 - len(self._remembered)))
        self._remembered[column] = max(width, self._remembered[column])
        return self._remembered[column]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)) + "".join(cells[len(widths) :])
