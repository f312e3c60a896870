"""The past events that can still be watched (the API server's watch cache), a bounded number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from klab.api.resources import Resource

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Event(NamedTuple):
    """One committed change; `object` is the new state, of a deleted object its last one at the revision of the deletion; `old` the state before."""

    type: EventType
    resource: Resource
    object: dict[str, Any]
    old: dict[str, Any] | None

    @property
    def revision(self) -> int:
        """Give the store's revision that this change made."""
        return int(self.object["metadata"]["resourceVersion"])


Subscriber = Callable[[list[Event]], None]


class Window:
    """The newest events, in order."""

    def __init__(self, size: int, revision: int) -> None:
        """Remember `size` events from after a revision on."""
        self._events: deque[Event] = deque(maxlen=size)
        self._size = size
        self._forgotten = revision  # the newest revision whose events are not here any more

    def extend(self, events: Sequence[Event]) -> None:
        """Add events; the oldest ones make room."""
        surplus = len(self._events) + len(events) - self._size
        if surplus > 0:
            held = len(self._events)
            self._forgotten = (self._events[surplus - 1] if surplus <= held else events[surplus - held - 1]).revision
        self._events.extend(events)

    def since(self, resource: Resource, revision: int) -> Sequence[Event] | None:
        """Give the events of a resource after a revision; None where some of them are forgotten."""
        if revision < self._forgotten:
            return None
        recent = takewhile(lambda event: event.revision > revision, reversed(self._events))
        key = (resource.group, resource.plural)
        return [event for event in recent if (event.resource.group, event.resource.plural) == key][::-1]
