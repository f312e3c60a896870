"""Watches: the events of a collection as a stream of JSON lines (apiserver/pkg/endpoints/handlers/watch.go, storage/cacher).

A watcher keeps no queue: it remembers the revision that it has told, and asks the store's window for what came after. A client that reads too
slowly for the window is told 410 Expired, as everyone who asks for a past that is forgotten.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from klab.apiserver.status import Status, make_status
from klab.controlplane.store import Event, Store

if TYPE_CHECKING:
    from klab.api.resources import Resource
    from klab.apiserver.target import ListOptions, Target

BOOKMARK_SECONDS = 60.0
"""A watcher that wants bookmarks hears at least this often up to which revision it has seen everything."""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark after which a streamed list is complete (KEP 3157)."""

Line = dict[str, Any]


class Notifier:
    """Wakes the watchers of a resource when the store has changed it, and all of them at the end."""

    def __init__(self, store: Store) -> None:
        """Listen to the store."""
        self.closed = False
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._unsubscribe = store.subscribe(self._notify)

    def enter(self, resource: Resource) -> tuple[asyncio.Event, Callable[[], None]]:
        """Give an event that is set at every change of a resource, and what ends that."""
        wake = asyncio.Event()
        waiting = self._waiting.setdefault((resource.group, resource.plural), set())
        waiting.add(wake)
        return wake, lambda: waiting.discard(wake)

    def close(self) -> None:
        """Let all watches end."""
        self.closed = True
        self._unsubscribe()
        for waiting in self._waiting.values():
            for wake in waiting:
                wake.set()

    def _notify(self, events: list[Event]) -> None:
        for key in {(event.resource.group, event.resource.plural) for event in events}:
            for wake in self._waiting.get(key, ()):
                wake.set()


async def watch(store: Store, notifier: Notifier, target: Target, options: ListOptions, seconds: float) -> AsyncGenerator[list[Line], None]:
    """Give the lines of a watch, some at a time, for some seconds: at first the present state where it is asked for, then the changes."""
    clock = asyncio.get_running_loop()
    wake, leave = notifier.enter(target.resource)
    try:
        revision, first = start(store, target, options)
        if first:
            yield first
        ending = clock.time() + seconds
        bookmark = clock.time() + BOOKMARK_SECONDS
        while revision is not None and not notifier.closed:
            wake.clear()
            events = store.events_since(target.resource, revision)
            if events is None:
                yield [expired(revision, store)]
                return
            lines = [line for event in events if (line := select(event, target, options)) is not None]
            revision = max(revision, store.revision)
            if options.bookmarks and clock.time() >= min(bookmark, ending):
                lines.append(make_bookmark(target.resource, revision))
                bookmark = clock.time() + BOOKMARK_SECONDS
            if lines:
                yield lines
            if clock.time() >= ending:
                return
            await _wait(wake, min(bookmark, ending) if options.bookmarks else ending, clock)
    finally:
        leave()


def start(store: Store, target: Target, options: ListOptions) -> tuple[int | None, list[Line]]:
    """Give the revision after which changes are told, and the lines to begin with; revision None where the watch ends with those."""
    streams_list = options.initial_events is True
    if options.initial_events is None:
        streams_list = not options.revision
    if not streams_list:
        revision = store.revision if options.revision is None else options.revision
        if options.initial_events is False and not revision:
            revision = store.revision
        return (None, [expired(revision, store)]) if store.events_since(target.resource, revision) is None else (revision, [])
    found = store.list(target.resource, target.namespace, options.selector, options.fields)
    lines: list[Line] = [{"type": "ADDED", "object": obj} for obj in found]
    if options.initial_events and options.bookmarks:
        lines.append(make_bookmark(target.resource, store.revision, {INITIAL_EVENTS_END: "true"}))
    return store.revision, lines


def select(event: Event, target: Target, options: ListOptions) -> Line | None:
    """Give an event as one watcher sees it: an object that starts to match its selectors is added, one that ceases to is deleted."""
    metadata = event.object["metadata"]
    if target.namespace is not None and metadata.get("namespace") != target.namespace:
        return None
    is_there = event.type != "DELETED" and _matches(event.object, options)
    was_there = event.old is not None and _matches(event.old, options)
    if is_there:
        return {"type": "MODIFIED" if was_there else "ADDED", "object": event.object}
    if not was_there or event.old is None:
        return None
    if event.type == "DELETED":
        return {"type": "DELETED", "object": event.object}
    last = {**event.old, "metadata": {**event.old["metadata"], "resourceVersion": metadata["resourceVersion"]}}
    return {"type": "DELETED", "object": last}


def make_bookmark(resource: Resource, revision: int, annotations: dict[str, str] | None = None) -> Line:
    """Give the line that says: everything up to this revision has been told."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return {"type": "BOOKMARK", "object": {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}}


def expired(revision: int, store: Store) -> Line:
    """Give the line that ends a watch of a forgotten past."""
    status: Status = make_status("Expired", f"too old resource version: {revision} ({store.revision})")
    return {"type": "ERROR", "object": status}


def render_lines(lines: list[Line]) -> bytes:
    """Render watch events as they travel."""
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def _matches(obj: dict[str, Any], options: ListOptions) -> bool:
    return (options.selector is None or options.selector.matches(obj["metadata"].get("labels"))) and (
        options.fields is None or options.fields.matches(obj)
    )


async def _wait(wake: asyncio.Event, until: float, clock: asyncio.AbstractEventLoop) -> None:
    """Wait for news, or for a time of the clock."""
    timer = clock.call_at(until, wake.set)
    try:
        await wake.wait()
    finally:
        timer.cancel()
