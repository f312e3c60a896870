"""Lines with levels of indentation and tab-aligned values: how descriptions are written (describe.go, PrefixWriter)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from klab.cli.printers.tabwriter import TabWriter, escape_terminal
from klab.cli.printers.values import NONE, dig, parse_time, since

Object = Mapping[str, Any]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ANNOTATION_WIDTH = 140


class Description:
    """A text under construction."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def line(self, text: str, level: int = 0) -> None:
        """Add a line; tabs in it begin new cells."""
        self._parts.append(f"{'  ' * level}{text}\n")

    def field(self, name: str, value: object, level: int = 0) -> None:
        """Add `name: value`."""
        self.line(f"{name}:\t{value}", level)

    def optional(self, name: str, value: object, level: int = 0) -> None:
        """Add `name: value` unless the value is absent or empty."""
        if value not in (None, "", [], {}):
            self.field(name, value, level)

    def multiline(self, title: str, lines: Sequence[str]) -> None:
        """Add a title with one line of value after the other under each other; `<none>` without any."""
        for at, text in enumerate(lines or [NONE]):
            self.line(f"{'' if at else f'{title}:'}\t{text}")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], level: int = 1) -> None:
        """Add a header, a line of dashes, and rows."""
        self.line("\t".join(header), level)
        self.line("\t".join("-" * len(cell) for cell in header), level)
        for row in rows:
            self.line("\t".join(str(cell) for cell in row), level)

    def labels(self, title: str, labels: Mapping[str, str] | None) -> None:
        """Add labels, one a line, sorted."""
        self.multiline(title, [f"{key}={value}" for key, value in sorted((labels or {}).items())])

    def annotations(self, title: str, annotations: Mapping[str, str] | None) -> None:
        """Add annotations, one a line, sorted; long ones indented below their name, kubectl's own left out."""
        lines: list[str] = []
        for key, value in sorted((annotations or {}).items()):
            if key == _LAST_APPLIED:
                continue
            text = value.removesuffix("\n")
            if len(key) + len(text) + 2 > _ANNOTATION_WIDTH or "\n" in text:
                lines += [f"{key}:", *(f"  {_shorten(part, _ANNOTATION_WIDTH - 2)}" for part in text.split("\n"))]
            else:
                lines.append(f"{key}: {text}")
        self.multiline(title, lines)

    def heading(self, obj: Object, *, namespaced: bool = True) -> None:
        """Add name, namespace, labels and annotations."""
        self.field("Name", dig(obj, "metadata", "name", default=""))
        if namespaced:
            self.field("Namespace", dig(obj, "metadata", "namespace", default=""))
        self.marks(obj)

    def marks(self, obj: Object) -> None:
        """Add labels and annotations."""
        self.labels("Labels", dig(obj, "metadata", "labels"))
        self.annotations("Annotations", dig(obj, "metadata", "annotations"))

    def reasons(self, obj: Object) -> None:
        """Add the conditions of a workload: type, status, reason."""
        found = dig(obj, "status", "conditions", default=())
        if found:
            self.line("Conditions:")
            self.line("Type\tStatus\tReason", 1)
            self.line("----\t------\t------", 1)
            for one in found:
                self.line(f"{one.get('type', '')} \t{one.get('status', '')}\t{one.get('reason', '')}", 1)

    def events(self, events: Sequence[Object] | None, now: datetime) -> None:
        """Add the section of events; none at all if they are not wanted (None)."""
        if events is None:
            return
        if not events:
            self.field("Events", NONE)
            return
        self.line("Events:")
        self.line("Type\tReason\tAge\tFrom\tMessage", 1)
        self.line("----\t------\t----\t----\t-------", 1)
        for event in sorted(events, key=_last_seen):
            self.line("\t".join(_event(event, now)), 1)

    def unaligned(self) -> str:
        """Give the whole with tabs where cells begin."""
        return escape_terminal("".join(self._parts))

    def text(self) -> str:
        """Give the whole, aligned."""
        return escape_terminal(TabWriter(padding=2).align("".join(self._parts)))


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width] + "..."


def _last_seen(event: Object) -> str:
    return str(dig(event, "series", "lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def _event(event: Object, now: datetime) -> Sequence[str]:
    first = since(event.get("eventTime") or event.get("firstTimestamp"), now)
    interval = first
    if series := event.get("series"):
        interval = f"{since(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    elif event.get("count", 0) > 1:
        interval = f"{since(event.get('lastTimestamp'), now)} (x{event['count']} over {first})"
    source = dig(event, "source", "component") or event.get("reportingComponent") or ""
    return event.get("type", ""), event.get("reason", ""), interval, source, event.get("message", "").strip()


def time_text(timestamp: str | None) -> str:
    """Write a time as Go's RFC1123Z, in the local zone: `Mon, 02 Jan 2006 15:04:05 +0000`."""
    return parse_time(timestamp).astimezone().strftime("%a, %d %b %Y %H:%M:%S %z") if timestamp else "Mon, 01 Jan 0001 00:00:00 +0000"


def controlled_by(obj: Object) -> str:
    """Give the controller of an object, `ReplicaSet/web-6d4`; empty text if it has none."""
    owner = next((one for one in dig(obj, "metadata", "ownerReferences", default=()) if one.get("controller")), None)
    return f"{owner['kind']}/{owner['name']}" if owner else ""


def bool_text(value: bool | None) -> str:
    """Write a truth value as kubectl does."""
    return "<unset>" if value is None else str(bool(value))
