"""The lab's single truth (etcd's role): every object by resource, namespace and name, with revisions, watches and a journal.

Objects are plain mappings and **never change once they are stored**: a write puts a new mapping in the place of the old one, sharing what is
the same. So reads hand out the stored mapping itself, without a copy; whoever wants another value builds a new mapping
(`{**pod, "status": status}`) and writes that. What is handed to `create` or `update` belongs to the store from then on. One thread (the lab's
event loop) uses a store.

A transaction (one write, or all writes of a `batch`) is one record of the journal, written before anyone hears of it: a SIGKILL loses nothing
that was acknowledged. Rules of resourceVersion, generation, finalizers and deletionTimestamp: Kubernetes API conventions and
apiserver/pkg/registry/rest.
"""

from __future__ import annotations

import json
import logging
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from klab.controlplane.objectmeta import (
    calc_grace,
    check_preconditions,
    finalizers_of,
    find_home,
    is_released,
    make_created,
    make_dying,
    make_reported,
    make_updated,
    render_time,
)
from klab.controlplane.window import Event, EventType, Subscriber, Window
from klab.errors import AlreadyExistsError, Fault, InvalidManifestError, KlabError, NotFoundError

if TYPE_CHECKING:
    from klab.api.resources import Resource
    from klab.api.selectors import FieldSelector, Selector

__all__ = ["Event", "EventType", "Journal", "Store", "Subscriber", "render_time"]

logger = logging.getLogger(__name__)

DEFAULT_WINDOW = 10_000
"""So many past events can be watched again; an older resourceVersion has expired."""

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names (apimachinery/pkg/util/rand): no vowels, no digits that look like letters."""

NAME_BASE = 63 - 5
"""A generateName is cut to this length before its five random letters (apiserver/pkg/storage/names)."""

COMPACT_BYTES = 8_000_000
"""The journal is rewritten when it has grown by this much, and by four times its last snapshot."""

Objects = list[dict[str, Any]]


class Journal(Protocol):
    """An append-only file of records, bytes without a newline each; `klab.kernel.journal` has the real one."""

    def read(self) -> Sequence[bytes]:
        """Give all complete records; a torn last one is not among them."""

    def append(self, record: bytes) -> None:
        """Add one record by one write, or raise KlabError and leave the file as it was."""

    def replace(self, records: Sequence[bytes]) -> None:
        """Put these records in the place of all others, atomically."""


class Change(NamedTuple):
    """One write of the open transaction, with what undoing it needs."""

    event: Event
    namespace: str
    name: str


def make_suffix() -> str:
    """Give five random letters for a generated name."""
    return "".join(random.choices(SUFFIX_ALPHABET, k=5))  # noqa: S311  # a name, no secret


class Store:
    """All objects of one lab."""

    def __init__(
        self,
        journal: Journal | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
        new_suffix: Callable[[], str] = make_suffix,
        window: int = DEFAULT_WINDOW,
    ) -> None:
        """Open the store with what the journal holds (None: memory only) and compact the journal; KlabError where a record is unreadable."""
        self._journal = journal
        self._clock = now
        self._new_uid = new_uid
        self._new_suffix = new_suffix
        self._tables: dict[tuple[str, str], dict[str, dict[str, dict[str, Any]]]] = {}  # (group, plural) -> namespace -> name -> object
        self._revision = 0
        self._depth = 0
        self._open: list[Change] = []
        self._subscribers: list[Subscriber] = []
        self._undelivered: deque[list[Event]] = deque()
        self._delivering = False
        self._grown = 0
        self._snapshot = 0
        self._load()
        self._window = Window(window, self._revision)

    # reading

    @property
    def revision(self) -> int:
        """Give the revision of the last write."""
        return self._revision

    def now(self) -> str:
        """Give the time, as timestamps of objects have it."""
        return render_time(self._clock())

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Give one object; NotFoundError `pods "web" not found`."""
        obj = self._table(resource, find_home(resource, namespace)).get(name)
        if obj is None:
            raise NotFoundError(f'{resource.qualified} "{name}" not found')
        return obj

    def list(
        self, resource: Resource, namespace: str | None = None, selector: Selector | None = None, fields: FieldSelector | None = None
    ) -> Objects:
        """Give the objects of a namespace (None: of all), sorted by namespace and name, that match the label and field selectors."""
        tables = self._tables.get((resource.group, resource.plural), {})
        homes = sorted(tables) if namespace is None or not resource.namespaced else [namespace]
        found = [table[name] for home in homes if (table := tables.get(home)) for name in sorted(table)]
        if selector is not None:
            found = [obj for obj in found if selector.matches(obj["metadata"].get("labels"))]
        if fields is not None:
            found = [obj for obj in found if fields.matches(obj)]
        return found

    # writing

    def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Store a new object and give it uid, creationTimestamp, resourceVersion, generation and, for a generateName, a name.

        AlreadyExistsError, or InvalidManifestError where it has no name at all.
        """
        given = obj.get("metadata") or {}
        name = given.get("name") or self.generate_name(resource, given)
        if name in self._table(resource, find_home(resource, given.get("namespace"))):
            raise AlreadyExistsError(f'{resource.qualified} "{name}" already exists')
        return self._put("ADDED", resource, make_created(resource, obj, name, self._new_uid(), self.now()), None)

    def update(self, resource: Resource, obj: dict[str, Any], subresource: str | None = None) -> dict[str, Any]:
        """Put `obj` in the place of the stored object of its name, and give what is stored then.

        With a resourceVersion or uid in its metadata it must be that of the stored object, else ConflictError; NotFoundError without such an object.
        Without a subresource the stored status stays; with "status" only the status changes. A write that changes nothing is no write. The object
        goes when this takes the last finalizer of one that is being deleted.
        """
        given = obj.get("metadata") or {}
        old = self.get(resource, given.get("namespace"), given.get("name", ""))
        check_preconditions(resource, old, given.get("uid"), given.get("resourceVersion"))
        new = make_reported(old, obj) if subresource == "status" else make_updated(old, obj)
        if new == old:
            return old
        return self._drop(resource, old, new) if is_released(old, new) else self._put("MODIFIED", resource, new, old)

    def delete(  # noqa: PLR0913  # DeleteOptions
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        grace: int | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> dict[str, Any]:
        """Delete an object as the API does, and give its last state; NotFoundError, ConflictError where uid or resource_version are other ones.

        An object with finalizers, and a pod on a node with a grace period (seconds; None: its own), only gets a deletionTimestamp; it goes with
        its last finalizer, or with a second delete without grace. A deletion under way can be hastened, not slowed down.
        """
        old = self.get(resource, namespace, name)
        check_preconditions(resource, old, uid, resource_version)
        seconds = calc_grace(resource, old, grace)
        if seconds == 0 and not finalizers_of(old):
            return self._drop(resource, old, old)
        if "deletionTimestamp" in old["metadata"] and seconds >= old["metadata"].get("deletionGracePeriodSeconds", 0):
            return old
        deadline = render_time(self._clock() + timedelta(seconds=seconds))
        return self._put("MODIFIED", resource, make_dying(old, seconds, deadline), old)

    def remove(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Take an object away at once, whatever its finalizers or grace; absent is fine."""
        old = self._table(resource, find_home(resource, namespace)).get(name)
        if old is not None:
            self._drop(resource, old, old)

    def generate_name(self, resource: Resource, metadata: dict[str, Any]) -> str:
        """Give a free name that starts with metadata.generateName; InvalidManifestError without one."""
        base: str | None = metadata.get("generateName")
        if not base:
            raise InvalidManifestError([Fault("", "metadata.name", "Required value: name or generateName is required")])
        table = self._table(resource, find_home(resource, metadata.get("namespace")))
        for _ in range(8):
            if (name := base[:NAME_BASE] + self._new_suffix()) not in table:
                return name
        raise AlreadyExistsError(f'{resource.qualified} "{name}" already exists, the server was not able to generate a unique name for the object')

    @contextmanager
    def batch(self, *, dry_run: bool = False) -> Iterator[None]:
        """Make one transaction of all writes inside: one journal record, events afterwards, nothing at all on an exception (or on a dry run).

        Batches nest; an inner one that fails takes back its own writes only.
        """
        mark, revision = len(self._open), self._revision
        self._depth += 1
        try:
            yield
            if self._depth == 1 and not dry_run:
                self._write_journal()
        except BaseException:
            self._roll_back(mark, revision)
            raise
        else:
            if dry_run:
                self._roll_back(mark, revision)
        finally:
            self._depth -= 1
        if self._depth == 0:
            self._publish()

    # watching

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback` with the events of every later transaction, after its commit, in order; calling what is returned ends that."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def events_since(self, resource: Resource, revision: int) -> Sequence[Event] | None:
        """Give the events of a resource after a revision, in order; None where that is too long ago (the API's 410 Expired: list again)."""
        return self._window.since(resource, revision)

    # inside

    def _table(self, resource: Resource, home: str) -> dict[str, dict[str, Any]]:
        """Give the objects of a resource in a namespace ("" for cluster-scoped ones) by name."""
        return self._tables.setdefault((resource.group, resource.plural), {}).setdefault(home, {})

    def _put(self, kind: EventType, resource: Resource, new: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
        """Store a new mapping (whose metadata is fresh or that of `old`) at the next revision."""
        with self.batch():
            self._revision += 1
            new["metadata"] = {**new["metadata"], "resourceVersion": str(self._revision)}
            self._change(Event(kind, resource, new, old))
        return new

    def _drop(self, resource: Resource, old: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
        """Take `old` out of the store; `last` is the state to tell, and is given back at the revision of the deletion."""
        with self.batch():
            self._revision += 1
            last = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self._revision)}}
            self._change(Event("DELETED", resource, last, old))
        return last

    def _change(self, event: Event) -> None:
        """Apply one change to the tables and note it in the open transaction."""
        metadata = event.object["metadata"]
        change = Change(event, metadata.get("namespace", "") if event.resource.namespaced else "", metadata["name"])
        self._set(change, None if event.type == "DELETED" else event.object)
        self._open.append(change)

    def _set(self, change: Change, state: dict[str, Any] | None) -> None:
        """Make `state` what the tables hold for a change's object (None: nothing)."""
        table = self._table(change.event.resource, change.namespace)
        if state is None:
            table.pop(change.name, None)
        else:
            table[change.name] = state

    def _roll_back(self, mark: int, revision: int) -> None:
        """Undo the changes of the open transaction after `mark`, last first."""
        while len(self._open) > mark:
            change = self._open.pop()
            self._set(change, change.event.old)
        self._revision = revision

    def _write_journal(self) -> None:
        """Write the open transaction, of each object its last state, as one record."""
        if self._journal is None or not self._open:
            return
        last = {
            (f"{event.resource.group}/{event.resource.plural}", namespace, name): None if event.type == "DELETED" else event.object
            for event, namespace, name in self._open
        }
        record = _render_record(self._revision, [(*key, state) for key, state in last.items()])
        self._journal.append(record)
        self._grown += len(record)

    def _publish(self) -> None:
        """Move the committed events into the window and deliver them, in order, also when a subscriber writes."""
        if not self._open:
            return
        events = [change.event for change in self._open]
        self._open.clear()
        self._window.extend(events)
        self._undelivered.append(events)
        if self._grown > max(COMPACT_BYTES, 4 * self._snapshot):
            self._compact()
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                batch = self._undelivered.popleft()
                for callback in tuple(self._subscribers):
                    try:
                        callback(batch)
                    except Exception:  # the write is committed: a subscriber's failure is not the writer's
                        logger.exception("a subscriber of the store failed at revision %d", batch[-1].revision)
        finally:
            self._delivering = False

    def _load(self) -> None:
        """Read the journal into the tables, and compact it."""
        if self._journal is None:
            return
        records = self._journal.read()
        for number, record in enumerate(records, 1):
            try:
                entry = json.loads(record)
                changes = [(*table.split("/"), namespace, name, state) for table, namespace, name, state in entry["changes"]]
                self._revision = int(entry["revision"])
            except (ValueError, KeyError, TypeError) as error:
                raise KlabError(f"the lab's journal: record {number} is unreadable ({error}); take the lab down and up again") from error
            for group, plural, namespace, name, state in changes:
                objects = self._tables.setdefault((group, plural), {}).setdefault(namespace, {})
                if state is None:
                    objects.pop(name, None)
                else:
                    objects[name] = state
        if len(records) > 1:
            self._compact()

    def _compact(self) -> None:
        """Rewrite the journal as one record of everything."""
        if self._journal is None:
            return
        changes = [
            (f"{group}/{plural}", namespace, name, state)
            for (group, plural), homes in self._tables.items()
            for namespace, objects in homes.items()
            for name, state in objects.items()
        ]
        record = _render_record(self._revision, changes)
        self._journal.replace([record])
        self._snapshot, self._grown = len(record), 0


def _render_record(revision: int, changes: Sequence[tuple[str, str, str, dict[str, Any] | None]]) -> bytes:
    """Render a transaction as one line: its revision, and (table, namespace, name, object or null for a deletion) for each object."""
    return json.dumps({"revision": revision, "changes": changes}, separators=(",", ":")).encode()
