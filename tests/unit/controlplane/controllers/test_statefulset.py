"""A StatefulSet makes its pods upwards, takes them away downwards, and each keeps its name."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api import resources
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.garbagecollector import GarbageCollector
from klab.controlplane.controllers.statefulset import StatefulSetController
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload


def controllers(context: Context) -> list[Controller]:
    return [StatefulSetController(context), GarbageCollector(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def put(cluster: Cluster, image: str = "nginx:1", **spec: Any) -> None:
    cluster.put(workload("StatefulSet", image=image, **{"serviceName": "web", "replicas": 3, **spec}))


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("sts", "web")["status"]
    return found


def images(cluster: Cluster) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in cluster.pods()]


def step(cluster: Cluster) -> list[str]:
    """One turn of the controllers, with pods becoming ready and going in between; gives the names that are there then."""
    cluster.start()
    cluster.reap()
    cluster.run()
    return [pod["metadata"]["name"] for pod in cluster.pods()]


def test_pods_are_made_one_after_the_other(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    assert cluster.names("pods") == ["web-0"]
    cluster.run()
    assert cluster.names("pods") == ["web-0"]
    assert step(cluster) == ["web-0", "web-1"]
    assert step(cluster) == ["web-0", "web-1", "web-2"]
    assert cluster.messages("SuccessfulCreate") == [f"create Pod web-{index} in StatefulSet web successful" for index in range(3)]


def test_a_pod_knows_its_name_and_its_service(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    pod = cluster.get("pod", "web-0")
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"], pod["metadata"]["generateName"]) == ("web-0", "web", "web-")
    revision = cluster.names("controllerrevisions")[0]
    assert pod["metadata"]["labels"] == {
        "app": "web",
        "controller-revision-hash": revision,
        "statefulset.kubernetes.io/pod-name": "web-0",
        "apps.kubernetes.io/pod-index": "0",
    }
    assert cluster.list("controllerrevisions")[0]["metadata"]["labels"] == {
        "app": "web",
        "controller.kubernetes.io/hash": revision.removeprefix("web-"),
    }


def test_the_status(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    revision = cluster.names("controllerrevisions")[0]
    assert status(cluster) == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": revision,
        "updateRevision": revision,
        "collisionCount": 0,
    }


def test_parallel_makes_and_takes_all_at_once(cluster: Cluster) -> None:
    put(cluster, podManagementPolicy="Parallel")
    cluster.run()
    assert cluster.names("pods") == ["web-0", "web-1", "web-2"]
    cluster.settle()
    cluster.change("sts", "web", replicas=0)
    cluster.run()
    assert cluster.pods() == []


def test_scaling_down_goes_from_the_top_one_by_one(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    cluster.change("sts", "web", replicas=0)
    cluster.run()
    seen = [[pod["metadata"]["name"] for pod in cluster.pods()]]
    cluster.run()
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == seen[0]  # web-2 has not gone yet
    seen += [step(cluster) for _ in range(2)]
    assert seen == [["web-0", "web-1"], ["web-0"], []]


def test_scaling_down_waits_for_an_unhealthy_pod_below(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    cluster.report(cluster.get("pod", "web-0"), "Running")
    cluster.change("sts", "web", replicas=2)
    cluster.run()
    assert cluster.names("pods") == ["web-0", "web-1", "web-2"]
    assert len(cluster.pods()) == 3
    assert step(cluster) == ["web-0", "web-1"]


def test_a_lost_pod_comes_back_with_its_name_when_it_has_gone(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    before = cluster.get("pod", "web-1")["metadata"]["uid"]
    cluster.delete("pod", "web-1")
    cluster.run()
    assert cluster.get("pod", "web-1")["metadata"]["uid"] == before
    cluster.reap()
    cluster.run()
    assert cluster.get("pod", "web-1")["metadata"]["uid"] != before


def test_an_ended_pod_is_replaced(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    before = cluster.get("pod", "web-1")["metadata"]["uid"]
    cluster.finish(cluster.get("pod", "web-1"))
    cluster.settle()
    assert cluster.get("pod", "web-1")["metadata"]["uid"] != before
    assert len(cluster.ready_pods()) == 3


@pytest.mark.parametrize("strategy", [{}, {"type": "RollingUpdate"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}])
def test_an_update_goes_from_the_top_one_by_one(cluster: Cluster, strategy: dict[str, Any]) -> None:
    put(cluster, updateStrategy=strategy)
    cluster.settle()
    old = status(cluster)["currentRevision"]
    put(cluster, "nginx:2", updateStrategy=strategy)
    seen = []
    for _ in range(20):
        cluster.run()
        found = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in cluster.ready_pods()}
        if not seen or seen[-1] != found:
            seen.append(found)
        cluster.start()
        cluster.reap()
    assert seen == [
        {"web-0": "nginx:1", "web-1": "nginx:1"},
        {"web-0": "nginx:1", "web-2": "nginx:2"},
        {"web-1": "nginx:2", "web-2": "nginx:2"},
        {"web-0": "nginx:2", "web-1": "nginx:2", "web-2": "nginx:2"},
    ]
    assert status(cluster)["currentRevision"] == status(cluster)["updateRevision"] != old


def test_pods_that_were_never_scheduled_are_updated_too(cluster: Cluster) -> None:
    put(cluster, updateStrategy={"type": "RollingUpdate"}, podManagementPolicy="Parallel")
    cluster.run()
    put(cluster, "nginx:2", updateStrategy={"type": "RollingUpdate"}, podManagementPolicy="Parallel")
    cluster.settle()
    assert images(cluster) == ["nginx:2"] * 3


def test_a_partition_keeps_the_lower_pods_and_remakes_them_as_they_were(cluster: Cluster) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    put(cluster, updateStrategy=strategy)
    cluster.settle()
    put(cluster, "nginx:2", updateStrategy=strategy)
    cluster.settle()
    assert images(cluster) == ["nginx:1", "nginx:1", "nginx:2"]
    cluster.delete("pod", "web-0")
    cluster.settle()
    assert images(cluster) == ["nginx:1", "nginx:1", "nginx:2"]
    found = status(cluster)
    assert (found["currentReplicas"], found["updatedReplicas"]) == (2, 1)
    assert found["currentRevision"] != found["updateRevision"]


def test_on_delete_waits_for_people(cluster: Cluster) -> None:
    put(cluster, updateStrategy={"type": "OnDelete"})
    cluster.settle()
    put(cluster, "nginx:2", updateStrategy={"type": "OnDelete"})
    cluster.settle()
    assert images(cluster) == ["nginx:1"] * 3
    cluster.delete("pod", "web-1")
    cluster.settle()
    assert images(cluster) == ["nginx:1", "nginx:2", "nginx:1"]


def test_min_ready_seconds_hold_the_next_pod_back(cluster: Cluster) -> None:
    put(cluster, minReadySeconds=10)
    cluster.settle()
    assert cluster.names("pods") == ["web-0"]
    assert cluster.wish == 10
    cluster.wait(10)
    assert cluster.names("pods") == ["web-0", "web-1"]


def test_ordinals_may_start_elsewhere(cluster: Cluster) -> None:
    put(cluster, ordinals={"start": 5}, replicas=2)
    cluster.settle()
    assert cluster.names("pods") == ["web-5", "web-6"]
    put(cluster, "nginx:2", ordinals={"start": 4}, replicas=2)
    cluster.settle()
    assert cluster.names("pods") == ["web-4", "web-5"]
    assert images(cluster) == ["nginx:2"] * 2


def test_a_taken_name_is_told_and_taken_when_it_is_free(cluster: Cluster) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0"}, "spec": template()["spec"]})
    put(cluster)
    cluster.settle()
    assert cluster.messages("FailedCreate") == ['create Pod web-0 in StatefulSet web failed error: pods "web-0" already exists']
    cluster.delete("pod", "web-0", 0)
    cluster.settle()
    assert len(cluster.ready_pods()) == 3


def test_a_pod_of_another_name_is_not_adopted(cluster: Cluster) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely", "labels": {"app": "web"}}, "spec": template()["spec"]})
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "labels": {"app": "web"}}, "spec": template()["spec"]})
    put(cluster)
    cluster.settle()
    assert "ownerReferences" not in cluster.get("pod", "lonely")["metadata"]
    assert cluster.get("pod", "web-1")["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet"
    assert cluster.get("pod", "web-1")["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "web-1"


def test_history_is_limited_and_going_back_takes_the_revision_again(cluster: Cluster) -> None:
    for image in ("nginx:1", "nginx:2", "nginx:3", "nginx:1"):
        put(cluster, image, revisionHistoryLimit=1)
        cluster.settle()
    found = {one["data"]["spec"]["template"]["spec"]["containers"][0]["image"]: one["revision"] for one in cluster.list("controllerrevisions")}
    assert found == {"nginx:1": 4, "nginx:3": 3}


CLAIM = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]


def test_claims_are_made_and_kept(cluster: Cluster) -> None:
    put(cluster, replicas=2, volumeClaimTemplates=CLAIM)
    cluster.settle()
    assert cluster.names("pvc") == ["data-web-0", "data-web-1"]
    assert cluster.get("pvc", "data-web-0")["metadata"]["labels"] == {"app": "web"}
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}} in cluster.get("pod", "web-1")["spec"]["volumes"]
    assert cluster.messages("SuccessfulCreate")[0] == "create Claim data-web-0 Pod web-0 in StatefulSet web success"
    cluster.change("sts", "web", replicas=1)
    cluster.settle()
    cluster.delete("sts", "web")
    cluster.settle()
    assert cluster.names("pods") == []
    assert cluster.names("pvc") == ["data-web-0", "data-web-1"]


def test_claims_go_where_the_policy_says_so(cluster: Cluster) -> None:
    policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    put(cluster, replicas=2, volumeClaimTemplates=CLAIM, persistentVolumeClaimRetentionPolicy=policy)
    cluster.settle()
    cluster.change("sts", "web", replicas=1)
    cluster.settle()
    assert cluster.names("pvc") == ["data-web-0"]
    cluster.change("sts", "web", replicas=2)
    cluster.settle()
    assert cluster.names("pvc") == ["data-web-0", "data-web-1"]
    cluster.store.delete(resources.by_word("sts"), "default", "web")
    cluster.settle()
    assert cluster.names("pvc") == []
