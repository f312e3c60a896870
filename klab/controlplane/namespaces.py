"""The namespace controller: a namespace that is deleted takes its objects with it, and goes when the last one has gone (pkg/controller/namespace)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from klab.api.resources import BUILTIN, Registry, Resource
from klab.controlplane.store import Event, Store
from klab.errors import NotFoundError

NAMESPACES = BUILTIN.of("v1", "Namespace")


def follow_namespaces(store: Store, registry: Registry = BUILTIN) -> Callable[[], None]:
    """Drain every namespace that is being deleted, now and from now on; calling what is returned ends that."""

    def hear(events: Sequence[Event]) -> None:
        names: set[str] = set()
        for event in events:
            metadata = event.object["metadata"]
            if event.resource == NAMESPACES and event.type == "MODIFIED":
                names.add(metadata["name"])
            elif event.resource.namespaced and event.type == "DELETED":
                names.add(metadata["namespace"])
        for name in sorted(names):
            drain_namespace(store, name, registry)

    for namespace in store.list(NAMESPACES):
        drain_namespace(store, namespace["metadata"]["name"], registry)
    return store.subscribe(hear)


def drain_namespace(store: Store, name: str, registry: Registry = BUILTIN) -> None:
    """Delete what is in a namespace that is being deleted; take its finalizer where nothing is left. Another namespace is let alone."""
    try:
        namespace = store.get(NAMESPACES, None, name)
    except NotFoundError:
        return
    if "deletionTimestamp" not in namespace["metadata"]:
        return
    kinds = [resource for resource in registry if resource.namespaced]
    with store.batch():
        for resource in kinds:
            for obj in store.list(resource, name):
                if "deletionTimestamp" not in obj["metadata"]:
                    store.delete(resource, name, obj["metadata"]["name"])
        if not _is_occupied(store, name, kinds):
            store.update(NAMESPACES, {**namespace, "spec": {**(namespace.get("spec") or {}), "finalizers": []}})


def _is_occupied(store: Store, name: str, kinds: Sequence[Resource]) -> bool:
    return any(store.list(resource, name) for resource in kinds)
