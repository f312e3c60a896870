"""What becomes of the objects that belong to one that is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api import resources
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.deployment import DeploymentController
from klab.controlplane.controllers.garbagecollector import GarbageCollector, calc_finalizers, delete
from klab.controlplane.controllers.namespace import NamespaceController
from klab.controlplane.controllers.replicaset import ReplicaSetController
from klab.controlplane.manager import Controller

from .conftest import Cluster, workload


def controllers(context: Context) -> list[Controller]:
    return [DeploymentController(context), ReplicaSetController(context), GarbageCollector(context), NamespaceController(context)]


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(controllers)
    cluster.put(workload("Deployment", replicas=2))
    cluster.settle()
    return cluster


def drop(cluster: Cluster, word: str, name: str, policy: str | None = "Background") -> None:
    delete(cluster.store, resources.by_word(word), cluster.get(word, name), policy)
    cluster.run()


def config(cluster: Cluster, name: str, *owners: dict[str, Any], namespace: str = "default", **more: Any) -> dict[str, Any]:
    """A ConfigMap that belongs to other ConfigMaps."""
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"], **more} for one in owners]
    metadata = {"name": name, "namespace": namespace, **({"ownerReferences": references} if references else {})}
    return cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def test_in_the_background_the_owner_goes_at_once_and_the_rest_after_it(cluster: Cluster) -> None:
    drop(cluster, "deploy", "web")
    assert cluster.names("deploy") == cluster.names("rs") == []
    assert cluster.pods() == []
    assert len(cluster.pods(active=False)) == 2  # their grace period runs
    cluster.reap()
    assert cluster.names("pods") == []


def test_in_the_foreground_the_owner_goes_last(cluster: Cluster) -> None:
    drop(cluster, "deploy", "web", "Foreground")
    assert cluster.get("deploy", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert cluster.list("rs")[0]["metadata"]["finalizers"] == ["foregroundDeletion"]
    first, second = cluster.names("pods")
    cluster.delete("pod", first, 0)
    cluster.run()
    assert cluster.names("deploy") == ["web"]
    assert cluster.names("pods") == [second]  # nobody replaces the first
    cluster.delete("pod", second, 0)
    cluster.run()
    assert cluster.names("deploy") == cluster.names("rs") == []


def test_orphans_stay_and_are_adopted_again(cluster: Cluster) -> None:
    drop(cluster, "deploy", "web", "Orphan")
    assert cluster.names("deploy") == []
    (left,) = cluster.list("rs")
    assert "ownerReferences" not in left["metadata"]
    cluster.put(workload("Deployment", replicas=2))
    cluster.settle()
    (adopted,) = cluster.list("rs")
    assert adopted["metadata"]["uid"] == left["metadata"]["uid"]
    assert adopted["metadata"]["ownerReferences"][0]["name"] == "web"


def test_orphaned_pods_run_on(cluster: Cluster) -> None:
    cluster.manager.stop("deployment-controller")
    before = cluster.names("pods")
    drop(cluster, "rs", cluster.names("rs")[0], "Orphan")
    assert cluster.names("pods") == before
    assert all("ownerReferences" not in pod["metadata"] for pod in cluster.pods())


def test_an_object_with_another_owner_stays(cluster: Cluster) -> None:
    first, second = config(cluster, "first"), config(cluster, "second")
    config(cluster, "both", first, second)
    drop(cluster, "cm", "first")
    assert [owner["name"] for owner in cluster.get("cm", "both")["metadata"]["ownerReferences"]] == ["second"]
    drop(cluster, "cm", "second")
    assert cluster.names("cm") == []


def test_an_owner_that_never_was_or_is_another_one_counts_as_gone(cluster: Cluster) -> None:
    owner = config(cluster, "owner")
    config(cluster, "a", {"metadata": {"name": "owner", "uid": "another"}})
    config(cluster, "b", {"metadata": {"name": "nobody", "uid": "nobody"}})
    config(cluster, "c", owner, namespace="shop")
    config(cluster, "d", owner)
    cluster.run()
    assert cluster.names("cm") == ["d", "owner"]
    assert cluster.names("cm", "shop") == []


def test_an_owner_of_an_unknown_kind_is_let_be(cluster: Cluster) -> None:
    references = [{"apiVersion": "x.io/v1", "kind": "Music", "name": "song", "uid": "1"}]
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": references}})
    cluster.run()
    assert cluster.names("cm") == ["a"]


def test_a_dependent_that_does_not_block_is_deleted_too_but_not_waited_for(cluster: Cluster) -> None:
    owner = config(cluster, "owner")
    held = config(cluster, "held", owner)
    cluster.store.update(resources.by_word("cm"), {**held, "metadata": {**held["metadata"], "finalizers": ["x.io/hold"]}})
    drop(cluster, "cm", "owner", "Foreground")
    assert cluster.names("cm") == ["held"]
    assert "deletionTimestamp" in cluster.get("cm", "held")["metadata"]


def test_a_circle_goes(cluster: Cluster) -> None:
    cluster.manager.stop("garbage-collector-controller")
    first = config(cluster, "first")
    second = config(cluster, "second", first, blockOwnerDeletion=True)
    config(cluster, "first", second, blockOwnerDeletion=True)
    delete(cluster.store, resources.by_word("cm"), cluster.get("cm", "first"), "Foreground")
    cluster.manager.start("garbage-collector-controller")
    cluster.run()
    assert cluster.names("cm") == []


def test_what_went_while_it_was_stopped_is_collected_after(cluster: Cluster) -> None:
    cluster.manager.stop("garbage-collector-controller")
    drop(cluster, "deploy", "web")
    assert len(cluster.pods()) == 2
    cluster.manager.start("garbage-collector-controller")
    cluster.run()
    assert cluster.pods() == []


@pytest.mark.parametrize(
    ("kind", "present", "policy", "found"),
    [
        ("apps/v1 Deployment", [], None, []),
        ("batch/v1 Job", [], None, ["orphan"]),
        ("v1 ReplicationController", [], None, ["orphan"]),
        ("batch/v1 Job", [], "Background", []),
        ("apps/v1 Deployment", ["x.io/a"], "Foreground", ["x.io/a", "foregroundDeletion"]),
        ("apps/v1 Deployment", ["foregroundDeletion"], None, ["foregroundDeletion"]),
        ("apps/v1 Deployment", ["foregroundDeletion"], "Background", []),
        ("apps/v1 Deployment", ["orphan"], "Foreground", ["foregroundDeletion"]),
    ],
)
def test_a_propagation_policy_is_noted_in_finalizers(kind: str, present: list[str], policy: str | None, found: list[str]) -> None:
    resource = resources.of(*kind.split())
    assert calc_finalizers(resource, {"metadata": {"finalizers": present}}, policy) == found


def test_a_namespace_takes_its_workloads_along(cluster: Cluster) -> None:
    wish = workload("Deployment", replicas=2)
    wish["metadata"]["namespace"] = "shop"
    cluster.put(wish)
    cluster.run()
    cluster.store.delete(resources.by_word("ns"), None, "shop")
    cluster.run()
    assert cluster.names("deploy", "shop") == cluster.names("rs", "shop") == []
    cluster.run()
    assert "shop" not in cluster.names("ns")
    assert len(cluster.pods()) == 2
