"""Who belongs to whom: ownerReferences, an index of objects by the controller that owns them, adoption and release.

The rules are those of pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from klab.api.meta import labels_of
from klab.api.resources import Resource
from klab.api.selectors import Selector
from klab.controlplane.manager import Key
from klab.controlplane.store import Event, Store

Object = dict[str, Any]
Raw = Mapping[str, Any]


class Children:
    """Objects of some kinds by the uid of the controller that owns them, and those without one by namespace; follows the store.

    What a transaction writes is seen here after its commit.
    """

    def __init__(self, store: Store, resources: Sequence[Resource]) -> None:
        """Index the objects of `resources`, now and from now on."""
        self._resources = frozenset(resources)
        self._groups: dict[tuple[str, str], dict[Key, Object]] = {}  # (plural, uid of the controller, or namespace) -> key -> object
        for resource in resources:
            for obj in store.list(resource):
                self._put(resource, obj)
        store.subscribe(self._hear)

    def of(self, resource: Resource, owner: Raw) -> list[Object]:
        """Give the objects of a kind that `owner` controls, in the order in which they came."""
        return list(self._groups.get((resource.plural, owner["metadata"]["uid"]), {}).values())

    def orphans(self, resource: Resource, namespace: str) -> list[Object]:
        """Give the objects of a kind in a namespace that no controller owns."""
        return list(self._groups.get((resource.plural, namespace), {}).values())

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.resource in self._resources:
                if event.old is not None and (event.type == "DELETED" or _home(event.old) != _home(event.object)):
                    self._drop(event.resource, event.old)
                if event.type != "DELETED":
                    self._put(event.resource, event.object)

    def _put(self, resource: Resource, obj: Object) -> None:
        self._groups.setdefault((resource.plural, _home(obj)), {})[key_of(obj)] = obj

    def _drop(self, resource: Resource, obj: Object) -> None:
        group = self._groups.get((resource.plural, _home(obj)), {})
        group.pop(key_of(obj), None)
        if not group:
            self._groups.pop((resource.plural, _home(obj)), None)


def key_of(obj: Raw) -> Key:
    """Give the namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def controller_of(obj: Raw) -> Raw | None:
    """Give the owner reference of the controller that manages an object (metav1.GetControllerOf)."""
    owner: Raw
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return owner
    return None


def controls(owner: Raw, obj: Raw) -> bool:
    """Tell whether `owner` is the controller of `obj`."""
    found = controller_of(obj)
    return found is not None and found["uid"] == owner["metadata"]["uid"]


def make_controller_reference(owner: Raw) -> Object:
    """Give the reference that says that `owner` manages an object (metav1.NewControllerRef)."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selector_of(owner: Raw) -> Selector:
    """Give what a workload selects; one that selects everything, as no valid one does, selects nothing."""
    raw = owner["spec"].get("selector")
    selector = Selector.of_labels(raw) if owner["kind"] == "ReplicationController" else Selector.of(raw)
    return selector if selector.requirements else Selector(nothing=True)


def find_owners(store: Store, event: Event, owner: Resource, child: Resource) -> Iterator[Key]:
    """Give the keys of those `owner` objects that a change concerns: itself, or a child's controller before and after, or who might adopt it."""
    obj = event.object
    if event.resource == owner:
        yield key_of(obj)
    if event.resource != child:
        return
    reference = controller_of(obj)
    former = controller_of(event.old) if event.old is not None else None
    for found in (reference, former):
        if found is not None and found["kind"] == owner.kind and found["apiVersion"] == owner.api_version:
            yield obj["metadata"]["namespace"], found["name"]
    changed = event.old is None or former is not None or labels_of(event.old) != labels_of(obj)
    if reference is None and event.type != "DELETED" and changed:
        labels = labels_of(obj)
        for one in store.list(owner, obj["metadata"]["namespace"]):
            if selector_of(one).matches(labels):
                yield key_of(one)


def claim(store: Store, children: Children, owner: Object, resource: Resource, is_member: Callable[[Object], bool] = lambda _: True) -> list[Object]:
    """Give the objects of a kind that `owner` controls, after it adopted orphans that it selects and released those it does not select any more.

    What is no member is not selected, whatever its labels. An owner that is being deleted adopts and releases nothing.
    """
    selector = selector_of(owner)

    def selects(obj: Object) -> bool:
        return selector.matches(labels_of(obj)) and is_member(obj)

    going = "deletionTimestamp" in owner["metadata"]
    claimed = []
    for obj in children.of(resource, owner):
        if selects(obj):
            claimed.append(obj)
        elif not going:
            _release(store, resource, obj, owner)
    if not going:
        orphans = children.orphans(resource, owner["metadata"]["namespace"])
        wanted = [obj for obj in orphans if selects(obj) and "deletionTimestamp" not in obj["metadata"]]
        claimed += [_write_owners(store, resource, obj, [*_owners_of(obj), make_controller_reference(owner)]) for obj in wanted]
    return claimed


def _release(store: Store, resource: Resource, obj: Object, owner: Raw) -> None:
    _write_owners(store, resource, obj, [one for one in _owners_of(obj) if one["uid"] != owner["metadata"]["uid"]])


def _write_owners(store: Store, resource: Resource, obj: Object, owners: Iterable[Raw]) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "ownerReferences"}
    if owners := list(owners):
        metadata["ownerReferences"] = owners
    return store.update(resource, {**obj, "metadata": metadata})


def _owners_of(obj: Raw) -> Sequence[Raw]:
    return obj["metadata"].get("ownerReferences") or ()


def _home(obj: Raw) -> str:
    owner = controller_of(obj)
    uid: str = obj["metadata"].get("namespace", "") if owner is None else owner["uid"]
    return uid
