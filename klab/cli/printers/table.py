"""One table: columns, rows, and how kubectl decorates and prints them (k8s.io/cli-runtime/pkg/printers/tableprinter.go)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klab.cli.printers.tabwriter import TabWriter, escape_terminal
from klab.cli.printers.values import age, labels_text

Object = Mapping[str, Any]
RowFunction = Callable[[Object, datetime, bool], Sequence[object]]

_LINE_BREAK = re.compile(r"[\f\n\r]")
_EVENT_WIDTH = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind: the header, the columns among them that only `-o wide` shows, and the function that gives a cell for each."""

    names: tuple[str, ...]
    row: RowFunction
    wide: frozenset[str] = frozenset()

    def shown(self, wide: bool) -> list[int]:
        """Give the positions of the columns to print."""
        return [at for at, name in enumerate(self.names) if wide or name not in self.wide]


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What decorates a table: `kind` is the prefix of names ("deployment.apps") or "", `label_columns` are those of `-L`."""

    wide: bool = False
    headers: bool = True
    namespace: bool = False
    kind: str = ""
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()


def columns(names: str, row: RowFunction, wide: str = "") -> Columns:
    """Make columns from names separated by two spaces or more, as they stand in a printed header; those in `wide` appear with `-o wide` only."""
    return Columns(tuple(re.split(r" {2,}", names)), row, frozenset(re.split(r" {2,}", wide)) if wide else frozenset())


def _name_and_age(obj: Object, now: datetime, wide: bool) -> tuple[str, str]:
    del wide
    return obj["metadata"].get("name", ""), age(obj, now)


DEFAULT = columns("NAME  AGE", _name_and_age)


def header(of: Columns, options: TableOptions) -> list[str]:
    """Give the header cells."""
    cells = [of.names[at] for at in of.shown(options.wide)]
    if options.namespace:
        cells.insert(0, "NAMESPACE")
    cells += [label.rpartition("/")[2].upper() for label in options.label_columns]
    return [*cells, "LABELS"] if options.show_labels else cells


def row(of: Columns, obj: Object, now: datetime, options: TableOptions) -> list[str]:
    """Give the cells of one object's row."""
    every = [_cell(value) for value in of.row(obj, now, options.wide)]
    if options.kind and "NAME" in of.names:
        at = of.names.index("NAME")
        every[at] = f"{options.kind}/{every[at]}"
    cells = [every[at] for at in of.shown(options.wide)]
    metadata = obj.get("metadata") or {}
    labels = metadata.get("labels") or {}
    if options.namespace:
        cells.insert(0, metadata.get("namespace", ""))
    cells += [labels.get(label, "") for label in options.label_columns]
    return [*cells, labels_text(labels)] if options.show_labels else cells


def _cell(value: object) -> str:
    """Write a cell: one line, cut at its first line break, harmless on a terminal."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    line = _LINE_BREAK.split(text, maxsplit=1)
    return escape_terminal(line[0]) + ("..." if len(line) > 1 else "")


def render_table(of: Columns, objects: Iterable[Object], now: datetime, options: TableOptions) -> str:
    """Give the whole table, a line per object; empty text without objects."""
    rows = [row(of, obj, now, options) for obj in objects]
    if not rows:
        return ""
    return render_rows([header(of, options), *rows] if options.headers else rows, writer())


def writer() -> TabWriter:
    """Give the tab writer of kubectl's tables: three spaces between columns, none narrower than six; widths of earlier rows are kept."""
    return TabWriter(min_width=6, padding=3, remember=True)


def render_rows(rows: Iterable[Sequence[str]], tab_writer: TabWriter) -> str:
    """Align rows of cells; ends with a line break."""
    return tab_writer.align("".join("\t".join(cells) + "\n" for cells in rows))


def event_cell(event_type: str) -> str:
    """Give the EVENT cell of `get -w --output-watch-events`, padded as kubectl does."""
    return event_type.ljust(_EVENT_WIDTH)
