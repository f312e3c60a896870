"""A deleted namespace takes its objects with it, and waits for those that take their time."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.resources import BUILTIN
from klab.controlplane.namespaces import follow_namespaces
from klab.controlplane.store import Store

NAMESPACES = BUILTIN.of("v1", "Namespace")
PODS = BUILTIN.of("v1", "Pod")
CONFIGMAPS = BUILTIN.of("v1", "ConfigMap")


@pytest.fixture
def store() -> Store:
    store = Store()
    for name in ("default", "shop"):
        store.create(NAMESPACES, {"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}})
    return store


def named(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def add(store: Store, name: str, namespace: str = "shop", **metadata: Any) -> None:
    store.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": namespace, **metadata}})


def test_an_empty_namespace_goes_at_once(store: Store) -> None:
    follow_namespaces(store)
    store.delete(NAMESPACES, None, "shop")
    assert named(store.list(NAMESPACES)) == ["default"]


def test_objects_go_with_their_namespace_and_others_stay(store: Store) -> None:
    follow_namespaces(store)
    add(store, "a")
    add(store, "b", "default")
    store.delete(NAMESPACES, None, "shop")
    assert named(store.list(CONFIGMAPS)) == ["b"]
    assert named(store.list(NAMESPACES)) == ["default"]


def test_a_namespace_waits_for_a_running_pod(store: Store) -> None:
    follow_namespaces(store)
    store.create(PODS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"nodeName": "node1"}})
    store.delete(NAMESPACES, None, "shop")
    assert "deletionTimestamp" in store.get(PODS, "shop", "web")["metadata"]
    assert store.get(NAMESPACES, None, "shop")["status"]["phase"] == "Terminating"
    store.delete(PODS, "shop", "web", grace=0)
    assert named(store.list(NAMESPACES)) == ["default"]


def test_a_namespace_waits_for_a_finalizer(store: Store) -> None:
    follow_namespaces(store)
    add(store, "a", finalizers=["x.io/one"])
    store.delete(NAMESPACES, None, "shop")
    assert named(store.list(NAMESPACES)) == ["default", "shop"]
    store.update(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "shop"}})
    assert named(store.list(NAMESPACES)) == ["default"]


def test_a_namespace_deleted_before_the_start_is_drained_at_the_start(store: Store) -> None:
    add(store, "a")
    store.delete(NAMESPACES, None, "shop")
    assert named(store.list(CONFIGMAPS)) == ["a"]
    follow_namespaces(store)
    assert store.list(CONFIGMAPS) == []
    assert named(store.list(NAMESPACES)) == ["default"]


def test_a_changed_namespace_keeps_its_objects(store: Store) -> None:
    follow_namespaces(store)
    add(store, "a")
    namespace = store.get(NAMESPACES, None, "shop")
    store.update(NAMESPACES, {**namespace, "metadata": {**namespace["metadata"], "labels": {"a": "b"}}})
    assert named(store.list(CONFIGMAPS)) == ["a"]


def test_it_stops_when_told(store: Store) -> None:
    stop = follow_namespaces(store)
    stop()
    add(store, "a")
    store.delete(NAMESPACES, None, "shop")
    assert named(store.list(CONFIGMAPS)) == ["a"]
