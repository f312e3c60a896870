"""All controllers together: names, and a scenario in which they work hand in hand."""

from __future__ import annotations

import pytest

from klab.api import resources
from klab.controlplane.controllers.catalog import make_controllers
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.garbagecollector import delete
from klab.controlplane.manager import Controller, Manager
from klab.controlplane.views import PodViews

from .conftest import Cluster, template, workload


def controllers(context: Context) -> list[Controller]:
    return make_controllers(context.store, PodViews(), context.recorder, context.now)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def test_every_controller_has_a_name_of_its_own(cluster: Cluster) -> None:
    names = cluster.manager.names
    assert len(set(names)) == len(names)
    assert {"deployment-controller", "replicaset-controller", "garbage-collector-controller", "namespace-controller"} <= set(names)


def test_workloads_of_all_kinds_live_side_by_side_and_rest(cluster: Cluster) -> None:
    for kind, replicas in (("Deployment", 3), ("StatefulSet", 2), ("DaemonSet", None), ("ReplicationController", 1)):
        labels = {"app": kind.lower()}
        wish = workload(kind, kind.lower(), template=template(labels), **({} if replicas is None else {"replicas": replicas}))
        wish["spec"]["selector"] = labels if kind == "ReplicationController" else {"matchLabels": labels}
        cluster.put(wish)
    cluster.put(workload("Job", "job", template=template(labels={}, restartPolicy="Never")))
    cluster.settle()
    assert len(cluster.ready_pods()) == 3 + 2 + 2 + 1 + 1
    before = cluster.store.revision
    assert cluster.run() is None
    assert cluster.store.revision == before
    for word, name in (("deploy", "deployment"), ("sts", "statefulset"), ("ds", "daemonset"), ("rc", "replicationcontroller"), ("job", "job")):
        delete(cluster.store, resources.by_word(word), cluster.get(word, name), "Background")
    cluster.settle()
    assert cluster.names("pods") == cluster.names("rs") == cluster.names("controllerrevisions") == []


def test_a_second_manager_finds_nothing_to_do(cluster: Cluster) -> None:
    """A control plane that is started again adopts what is there."""
    cluster.put(workload("Deployment", replicas=3))
    cluster.settle()
    before = cluster.store.revision
    context = Context.of(cluster.store, cluster.recorder, lambda: cluster.time)
    assert Manager(cluster.store, controllers(context), context.now).run() is None
    assert cluster.store.revision == before
