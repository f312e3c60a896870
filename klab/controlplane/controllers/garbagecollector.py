"""The garbage collector: what belongs to nobody any more goes, in the background, before its owner, or not at all (pkg/controller/garbagecollector).

The API server notes in finalizers how an object is to be deleted (`calc_finalizers`); the collector acts on them and takes them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.resources import BUILTIN, Registry, Resource
from klab.controlplane.controllers.context import Context
from klab.controlplane.manager import Key
from klab.controlplane.store import Event, Store
from klab.errors import NotFoundError

Object = dict[str, Any]
Raw = Mapping[str, Any]

FOREGROUND_FINALIZER = "foregroundDeletion"
ORPHAN_FINALIZER = "orphan"
BACKGROUND, FOREGROUND, ORPHAN = "Background", "Foreground", "Orphan"
_ORPHANING = frozenset({("", "ReplicationController"), ("batch", "Job")})
"""Kinds whose pods stay where a deletion does not say what is to become of them (the strategies' DefaultGarbageCollectionPolicy)."""


def calc_finalizers(resource: Resource, obj: Raw, policy: str | None) -> list[str]:
    """Give the finalizers that an object has while it is deleted with a propagation policy; None is the kind's default."""
    finalizers = obj["metadata"].get("finalizers") or []
    if policy is None:
        if ORPHAN_FINALIZER in finalizers:
            policy = ORPHAN
        elif FOREGROUND_FINALIZER in finalizers:
            policy = FOREGROUND
        else:
            policy = ORPHAN if (resource.group, resource.kind) in _ORPHANING else BACKGROUND
    kept = [one for one in finalizers if one not in {FOREGROUND_FINALIZER, ORPHAN_FINALIZER}]
    return kept + {ORPHAN: [ORPHAN_FINALIZER], FOREGROUND: [FOREGROUND_FINALIZER]}.get(policy, [])


def delete(store: Store, resource: Resource, obj: Object, policy: str | None) -> None:
    """Delete an object with a propagation policy, as the API server does."""
    metadata = obj["metadata"]
    finalizers = calc_finalizers(resource, obj, policy)
    if finalizers != (metadata.get("finalizers") or []):
        _write(store, resource, obj, finalizers=finalizers)
    store.delete(resource, metadata.get("namespace"), metadata["name"], uid=metadata["uid"])


@dataclass(frozen=True, slots=True)
class Node:
    """An object in the graph."""

    resource: Resource
    object: Object


class Graph:
    """All objects by uid, and by the uids of their owners; follows the store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        """Take in what is there, and from now on what changes."""
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, dict[str, None]] = {}
        for resource in {(resource.group, resource.plural): resource for resource in registry}.values():
            for obj in store.list(resource):
                self._put(Node(resource, obj))
        store.subscribe(self._hear)

    def find(self, uid: str) -> Node | None:
        """Give an object, None where there is none of that uid."""
        return self._nodes.get(uid)

    def dependents(self, uid: str) -> Iterator[Node]:
        """Give the objects that name an owner of that uid, whether it is there or not."""
        return (self._nodes[dependent] for dependent in list(self._dependents.get(uid, ())))

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.old is not None and (event.type == "DELETED" or _owners(event.old) != _owners(event.object)):
                self._drop(event.old)
            if event.type != "DELETED":
                self._put(Node(event.resource, event.object))

    def _put(self, node: Node) -> None:
        uid = node.object["metadata"]["uid"]
        self._nodes[uid] = node
        for owner in _owners(node.object):
            self._dependents.setdefault(owner["uid"], {})[uid] = None

    def _drop(self, obj: Raw) -> None:
        uid = obj["metadata"]["uid"]
        self._nodes.pop(uid, None)
        for owner in _owners(obj):
            siblings = self._dependents.get(owner["uid"], {})
            siblings.pop(uid, None)
            if not siblings:
                self._dependents.pop(owner["uid"], None)


class GarbageCollector:
    """Deletes objects whose owners are gone; its keys are ("", uid)."""

    name = "garbage-collector-controller"

    def __init__(self, context: Context, registry: Callable[[], Registry] = lambda: BUILTIN) -> None:
        """Collect among all kinds of the registry."""
        self._store = context.store
        self._registry = registry
        self._graph = Graph(context.store, registry())

    def affected(self, event: Event) -> Iterable[Key]:
        """Give what may have lost an owner or a dependent by a change, or is to go."""
        obj = event.object
        if event.type == "DELETED":
            uids = [node.object["metadata"]["uid"] for node in self._graph.dependents(obj["metadata"]["uid"])]
            uids += [owner["uid"] for owner in _owners(obj)]
        elif event.old is None or _owners(obj) != _owners(event.old) or _is_going(obj) != _is_going(event.old):
            uids = [obj["metadata"]["uid"]] if _owners(obj) or _is_going(obj) else []
            uids += [owner["uid"] for owner in _owners(event.old or {"metadata": {}}) if owner not in _owners(obj)]
        else:
            uids = [obj["metadata"]["uid"]] if _is_going(obj) and obj["metadata"].get("finalizers") else []
        return (("", uid) for uid in uids)

    def reconcile(self, key: Key) -> None:
        """Delete an object that nobody owns any more, or do for one that is being deleted what its finalizers wish."""
        node = self._graph.find(key[1])
        current = self._refresh(node) if node is not None else None
        if current is None:
            return
        finalizers = current.object["metadata"].get("finalizers") or []
        if not _is_going(current.object):
            self._collect(current)
        elif ORPHAN_FINALIZER in finalizers:
            self._release(current)
        elif FOREGROUND_FINALIZER in finalizers:
            self._clear(current)

    def _collect(self, node: Node) -> None:
        """Delete an object without a solid owner; one that has one loses its references to the others."""
        owners = [(owner, self._find_owner(node, owner)) for owner in _owners(node.object)]
        solid = [owner for owner, state in owners if state == "solid"]
        if len(solid) == len(owners):
            return
        if solid:
            _write(self._store, node.resource, node.object, ownerReferences=solid)
            return
        uid = node.object["metadata"]["uid"]
        dependents = [found for one in self._graph.dependents(uid) if (found := self._refresh(one)) is not None]
        if dependents and any(state == "waiting" for _owner, state in owners):
            if any(_is_clearing(one.object) for one in dependents):  # a circle of owners must not wait for itself
                free = [{**owner, "blockOwnerDeletion": False} for owner in _owners(node.object)]
                node = Node(node.resource, _write(self._store, node.resource, node.object, ownerReferences=free))
            delete(self._store, node.resource, node.object, FOREGROUND)
        else:
            finalizers = node.object["metadata"].get("finalizers") or []
            policy = ORPHAN if ORPHAN_FINALIZER in finalizers else FOREGROUND if FOREGROUND_FINALIZER in finalizers else BACKGROUND
            delete(self._store, node.resource, node.object, policy)

    def _find_owner(self, node: Node, reference: Raw) -> str:
        """Tell whether an owner is solid, waiting for its dependents to go, or "" for one that is gone; one of an unknown kind counts as solid."""
        kind = self._registry().find(reference["apiVersion"], reference["kind"])
        namespace = node.object["metadata"].get("namespace", "")
        if kind is None or (kind.namespaced and not namespace):
            return "solid"
        try:
            owner = self._store.get(kind, namespace, reference["name"])
        except NotFoundError:
            return ""
        if owner["metadata"]["uid"] != reference["uid"]:
            return ""
        return "waiting" if _is_clearing(owner) else "solid"

    def _clear(self, node: Node) -> None:
        """Delete the dependents of an object that is deleted in the foreground; let it go when none that blocks it is left."""
        uid = node.object["metadata"]["uid"]
        blocked = False
        for one in self._graph.dependents(uid):
            dependent = self._refresh(one)
            if dependent is None:
                continue
            if not _is_going(dependent.object):
                self._collect(dependent)
                dependent = self._refresh(one)
            if dependent is not None:
                blocked |= any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in _owners(dependent.object))
        if not blocked:
            self._finish(node, FOREGROUND_FINALIZER)

    def _release(self, node: Node) -> None:
        """Take the dependents' references to an object that leaves them behind; let it go."""
        uid = node.object["metadata"]["uid"]
        for one in self._graph.dependents(uid):
            dependent = self._refresh(one)
            if dependent is not None:
                owners = [owner for owner in _owners(dependent.object) if owner["uid"] != uid]
                _write(self._store, dependent.resource, dependent.object, ownerReferences=owners)
        self._finish(node, ORPHAN_FINALIZER)

    def _finish(self, node: Node, finalizer: str) -> None:
        left = [one for one in node.object["metadata"]["finalizers"] if one != finalizer]
        _write(self._store, node.resource, node.object, finalizers=left)

    def _refresh(self, node: Node) -> Node | None:
        """Give the object as it is now, after what this very step wrote; None where it is gone."""
        metadata = node.object["metadata"]
        try:
            found = self._store.get(node.resource, metadata.get("namespace"), metadata["name"])
        except NotFoundError:
            return None
        return Node(node.resource, found) if found["metadata"]["uid"] == metadata["uid"] else None


def _write(store: Store, resource: Resource, obj: Object, **lists: Sequence[Any]) -> Object:
    """Write lists of an object's metadata; an empty one goes."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in lists}
    return store.update(resource, {**obj, "metadata": metadata | {key: list(value) for key, value in lists.items() if value}})


def _owners(obj: Raw) -> Sequence[Raw]:
    return obj["metadata"].get("ownerReferences") or ()


def _is_going(obj: Raw) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def _is_clearing(obj: Raw) -> bool:
    return _is_going(obj) and FOREGROUND_FINALIZER in (obj["metadata"].get("finalizers") or ())
