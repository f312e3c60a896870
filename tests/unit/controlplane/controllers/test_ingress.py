"""The controller that makes the ingress controller's objects and gives Ingresses their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from klab.controlplane.controllers.daemonset import DaemonSetController
from klab.controlplane.controllers.ingress import CLASSES, DAEMONSETS, INGRESSES, NODES, PODS, IngressController
from klab.ingress.haproxy import CONTROLLER
from klab.ingress.manifests import plan_class, plan_daemon_set

if TYPE_CHECKING:
    from conftest import Cluster, Make

Object = dict[str, Any]


@pytest.fixture
def cluster(make: Make) -> Cluster:
    made = make(
        lambda context: [
            IngressController(context.store, plan_class(CONTROLLER), plan_daemon_set(CONTROLLER, "/files")),
            DaemonSetController(context),
        ]
    )
    for number, name in enumerate(("node2", "node1"), 1):
        node = made.store.get(NODES, None, name)
        made.store.update(NODES, {**node, "status": {"addresses": [{"type": "InternalIP", "address": f"172.18.0.{12 - number}"}]}}, "status")
    return made


def put(cluster: Cluster, name: str = "web", **spec: Any) -> None:
    rest = {"service": {"name": "web", "port": {"number": 80}}}
    cluster.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"defaultBackend": rest, **spec},
        }
    )


def put_class(cluster: Cluster, name: str, controller: str, *, default: bool = False) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    metadata = {"name": name, "annotations": annotations}
    cluster.put({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": {"controller": controller}})


def addresses(cluster: Cluster, name: str = "web") -> list[str]:
    return [point["ip"] for point in (cluster.get("ingress", name).get("status") or {}).get("loadBalancer", {}).get("ingress", [])]


def start(cluster: Cluster, *nodes: str) -> None:
    """Let the controller's pods on these nodes be ready, and no others."""
    for pod in cluster.list("pods", "kube-system"):
        node = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchFields"][0][
            "values"
        ][0]
        bound = cluster.store.update(PODS, {**pod, "spec": {**pod["spec"], "nodeName": node}})
        cluster.report(bound, "Running", ready=node in nodes)
    cluster.run()


def test_nothing_is_made_without_an_ingress_of_the_class(cluster: Cluster) -> None:
    cluster.run()
    put(cluster, ingressClassName="nginx")
    put(cluster, "classless")
    cluster.run()
    assert cluster.names("daemonsets", "kube-system") == []
    assert cluster.store.list(CLASSES) == []
    assert addresses(cluster) == []


def test_the_first_ingress_brings_the_controller_and_gets_the_addresses_of_its_ready_pods(cluster: Cluster) -> None:
    put(cluster, ingressClassName="haproxy")
    cluster.run()
    (made,) = cluster.store.list(CLASSES)
    assert made["metadata"]["annotations"] == {"ingressclass.kubernetes.io/is-default-class": "true"}
    assert cluster.names("daemonsets", "kube-system") == ["haproxy-ingress"]
    assert addresses(cluster) == []
    start(cluster, "node1", "node2")
    assert addresses(cluster) == ["172.18.0.10", "172.18.0.11"]
    start(cluster, "node2")
    assert addresses(cluster) == ["172.18.0.11"]
    start(cluster)
    assert cluster.get("ingress", "web")["status"] == {"loadBalancer": {}}


def test_a_class_of_ones_own_is_served_and_stays_the_default_one(cluster: Cluster) -> None:
    put_class(cluster, "mine", CONTROLLER.class_controller, default=True)
    put(cluster, ingressClassName="mine")
    put(cluster, "other", ingressClassName="haproxy")
    cluster.run()
    start(cluster, "node1")
    assert addresses(cluster) == addresses(cluster, "other") == ["172.18.0.10"]
    assert cluster.store.get(CLASSES, None, "haproxy")["metadata"].get("annotations") is None


def test_the_class_of_another_controller_keeps_its_name(cluster: Cluster) -> None:
    put_class(cluster, "haproxy", "example.com/another")
    put(cluster, ingressClassName="haproxy")
    cluster.run()
    assert cluster.names("daemonsets", "kube-system") == []


def test_a_deleted_daemon_set_comes_back(cluster: Cluster) -> None:
    put(cluster, ingressClassName="haproxy")
    cluster.run()
    cluster.store.remove(DAEMONSETS, "kube-system", "haproxy-ingress")
    cluster.run()
    assert cluster.names("daemonsets", "kube-system") == ["haproxy-ingress"]
    assert len(cluster.store.list(INGRESSES)) == 1
