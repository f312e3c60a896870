"""A ReplicaSet has as many pods as it wishes, whoever makes or takes some."""

from __future__ import annotations

import re

import pytest

from klab.controlplane.controllers.context import PODS, Context
from klab.controlplane.controllers.replicaset import ReplicaSetController
from klab.controlplane.controllers.replicationcontroller import make_replication_controller
from klab.controlplane.events import EVENTS
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload


def controllers(context: Context) -> list[Controller]:
    return [ReplicaSetController(context), make_replication_controller(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def test_pods_are_made_named_owned_and_told(cluster: Cluster) -> None:
    owner = cluster.put(workload("ReplicaSet", replicas=3))
    cluster.run()
    pods = cluster.pods()
    assert len(pods) == 3
    assert all(re.fullmatch("web-[bcdfghjklmnpqrstvwxz2456789]{5}", pod["metadata"]["name"]) for pod in pods)
    assert pods[0]["metadata"]["labels"] == {"app": "web"}
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": owner["metadata"]["uid"]}
    assert pods[0]["metadata"]["ownerReferences"] == [{**reference, "controller": True, "blockOwnerDeletion": True}]
    assert pods[0]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert pods[0]["status"]["phase"] == "Pending"
    assert sorted(cluster.messages("SuccessfulCreate")) == [f"Created pod: {pod['metadata']['name']}" for pod in pods]
    assert cluster.store.list(EVENTS)[0]["source"] == {"component": "replicaset-controller"}


def test_the_status_follows_the_pods(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=2))
    cluster.run()
    assert cluster.get("rs", "web")["status"] == {"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1, "terminatingReplicas": 0}
    cluster.start()
    cluster.run()
    counts = {"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    assert cluster.get("rs", "web")["status"] == {**counts, "observedGeneration": 1, "terminatingReplicas": 0}


def test_lost_and_ended_pods_are_replaced(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=3))
    cluster.settle()
    gone, failed, _stays = cluster.pods()
    cluster.delete("pod", gone["metadata"]["name"])
    cluster.finish(failed, 1)
    cluster.run()
    assert len(cluster.pods()) == 3
    assert cluster.get("rs", "web")["status"]["terminatingReplicas"] == 1
    assert failed["metadata"]["name"] in cluster.names("pods")  # it stays as a record


def test_scaling_down_takes_those_that_are_missed_least(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=4))
    cluster.run()
    first, second, third, fourth = cluster.pods()
    cluster.bind()
    cluster.start([first, second, third])
    cluster.report(fourth, "Running")
    cluster.change("rs", "web", replicas=3)
    cluster.run()
    assert fourth["metadata"]["name"] not in [pod["metadata"]["name"] for pod in cluster.pods()]
    costly = cluster.get("pod", first["metadata"]["name"])
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    cluster.store.update(PODS, {**costly, "metadata": {**costly["metadata"], "annotations": annotations}})
    cluster.change("rs", "web", replicas=2)
    cluster.run()
    assert first["metadata"]["name"] not in [pod["metadata"]["name"] for pod in cluster.pods()]
    assert cluster.messages("SuccessfulDelete") == [f"Deleted pod: {pod['metadata']['name']}" for pod in (fourth, first)]


def test_scaling_down_leaves_the_pods_spread_over_the_nodes(cluster: Cluster) -> None:
    cluster.nodes = ["node1", "node1", "node1", "node2"]
    cluster.put(workload("ReplicaSet", replicas=4))
    cluster.settle()
    cluster.change("rs", "web", replicas=2)
    cluster.settle()
    assert "node2" in {pod["spec"]["nodeName"] for pod in cluster.pods()}


def test_orphans_are_adopted_and_strangers_released(cluster: Cluster) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely", "labels": {"app": "web"}}, "spec": template()["spec"]})
    owner = cluster.put(workload("ReplicaSet", replicas=2))
    cluster.run()
    assert len(cluster.pods()) == 2
    assert cluster.get("pod", "lonely")["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    cluster.label("pod", "lonely", app="other")
    cluster.run()
    assert "ownerReferences" not in cluster.get("pod", "lonely")["metadata"]
    assert len(cluster.pods()) == 3


def test_a_new_orphan_is_one_too_many(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=1))
    cluster.settle()
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely", "labels": {"app": "web"}}, "spec": template()["spec"]})
    cluster.run()
    assert len(cluster.pods()) == 1
    assert "lonely" not in cluster.names("pods")


def test_available_after_min_ready_seconds(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=1, minReadySeconds=10))
    cluster.settle()
    assert "availableReplicas" not in cluster.get("rs", "web")["status"]
    assert cluster.wish == 10
    cluster.wait(10)
    assert cluster.get("rs", "web")["status"]["availableReplicas"] == 1
    assert cluster.wish is None


def test_a_pod_that_cannot_be_is_told_and_the_condition_goes_when_it_can(cluster: Cluster) -> None:
    bad = workload("ReplicaSet", replicas=1, template=template(hostname="Not_A_Name"))
    cluster.put(bad)
    cluster.run()
    condition = cluster.get("rs", "web")["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    assert cluster.messages("FailedCreate")[0].startswith('Error creating: Pod "web-" is invalid: spec.hostname: Invalid value: "Not_A_Name"')
    cluster.put(workload("ReplicaSet", replicas=1))
    cluster.run()
    assert "conditions" not in cluster.get("rs", "web")["status"]
    assert len(cluster.pods()) == 1


def test_a_set_that_is_being_deleted_makes_no_pods(cluster: Cluster) -> None:
    held = workload("ReplicaSet", replicas=2)
    held["metadata"]["finalizers"] = ["x.io/hold"]
    cluster.put(held)
    cluster.settle()
    cluster.delete("rs", "web")
    cluster.delete("pod", cluster.names("pods")[0])
    cluster.settle()
    assert len(cluster.pods()) == 1


def test_nothing_is_made_in_a_namespace_that_goes(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=2))
    cluster.delete("ns", "default")
    cluster.run()
    assert cluster.pods() == []
    assert cluster.messages() == []


def test_a_replication_controller_does_the_same(cluster: Cluster) -> None:
    cluster.put(workload("ReplicationController", replicas=2))
    cluster.settle()
    counts = {"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    assert cluster.get("rc", "web")["status"] == {**counts, "observedGeneration": 1}
    assert cluster.store.list(EVENTS)[0]["source"] == {"component": "replication-controller"}


def test_nothing_is_written_when_nothing_changed(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=2))
    cluster.settle()
    before = cluster.store.revision
    cluster.run()
    assert cluster.store.revision == before
