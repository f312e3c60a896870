"""Small tables for the terminal and for build/bench.md."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Table:
    """A title, column heads (the first is the rows'), and rows; a number is shown with three digits after the point."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, name: str, *values: str | float) -> None:
        """Add a row."""
        self.rows.append([name, *(value if isinstance(value, str) else f"{value:.3f}" for value in values)])

    def render(self) -> str:
        """Give it as Markdown, aligned."""
        filled = [[*row, *[""] * (len(self.columns) - len(row))] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(self.columns, *filled, strict=True)]
        lines = [self.columns, ["-" * (width - 1) + ":" if place else "-" * width for place, width in enumerate(widths)], *filled]
        aligned = (
            "| " + " | ".join(_align(cell, width, place) for place, (cell, width) in enumerate(zip(line, widths, strict=True))) + " |"
            for line in lines
        )
        return f"{self.title}\n\n" + "\n".join(aligned) + "\n"


def _align(cell: str, width: int, place: int) -> str:
    return cell.rjust(width) if place else cell.ljust(width)
