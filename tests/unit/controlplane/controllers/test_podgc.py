"""What becomes of pods whose node is gone."""

from __future__ import annotations

import pytest

from klab.api import resources
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.job import JobController
from klab.controlplane.controllers.podgc import PodGarbageCollector
from klab.controlplane.controllers.replicaset import ReplicaSetController
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload

NODES = resources.by_word("nodes")


def controllers(context: Context) -> list[Controller]:
    return [ReplicaSetController(context), JobController(context), PodGarbageCollector(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def test_pods_of_a_lost_node_are_replaced_after_a_while(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=2))
    cluster.settle()
    cluster.store.remove(NODES, None, "node2")
    cluster.nodes = ["node1"]
    assert cluster.run() == 40
    cluster.wait(39)
    assert len(cluster.ready_pods()) == 2
    cluster.wait(1)
    cluster.settle()
    assert [pod["spec"]["nodeName"] for pod in cluster.ready_pods()] == ["node1", "node1"]
    assert len(cluster.names("pods")) == 2
    assert cluster.wish is None


def test_a_node_that_comes_back_in_time_keeps_its_pods(cluster: Cluster) -> None:
    cluster.put(workload("ReplicaSet", replicas=2))
    cluster.settle()
    before = cluster.names("pods")
    cluster.store.remove(NODES, None, "node2")
    cluster.run()
    cluster.wait(30)
    cluster.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node2"}})
    cluster.run()
    cluster.wait(30)
    assert cluster.names("pods") == before


def test_a_pod_for_a_node_that_never_was_goes(cluster: Cluster) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"}, "spec": {**template()["spec"], "nodeName": "nowhere"}})
    assert cluster.run() == 40
    cluster.wait(40)
    assert cluster.names("pods") == []


def test_a_job_counts_its_lost_pod(cluster: Cluster) -> None:
    cluster.put(workload("Job", template=template(labels={}, restartPolicy="Never", nodeName="node2")))
    cluster.settle()
    cluster.store.remove(NODES, None, "node2")
    cluster.run()
    cluster.wait(40)
    assert cluster.get("job", "web")["status"]["failed"] == 1
