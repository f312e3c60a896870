"""A DaemonSet has one pod on each node that takes it."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api import resources
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.daemonplan import find_node
from klab.controlplane.controllers.daemonset import DaemonSetController
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload

NODES = resources.by_word("nodes")


def controllers(context: Context) -> list[Controller]:
    return [DaemonSetController(context)]


class Daemons(Cluster):
    """A cluster whose scheduler puts each pod where its affinity says."""

    def bind(self) -> None:
        for pod in self.pods():
            if not pod["spec"].get("nodeName"):
                self.store.update(resources.by_word("pods"), {**pod, "spec": {**pod["spec"], "nodeName": find_node(pod)}})

    def places(self) -> list[str]:
        return sorted(map(find_node, self.pods()))

    def images(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for pod in self.pods():
            found.setdefault(find_node(pod), []).append(pod["spec"]["containers"][0]["image"])
        return {node: sorted(images) for node, images in found.items()}

    def node(self, name: str, labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None) -> None:
        self.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": taints or []}})


@pytest.fixture
def cluster() -> Daemons:
    return Daemons(controllers, ("node1", "node2", "node3"))


def put(cluster: Cluster, image: str = "nginx:1", **spec: Any) -> None:
    cluster.put(workload("DaemonSet", image=image, **spec))


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("ds", "web")["status"]
    return found


def test_each_node_has_one_and_is_pinned(cluster: Daemons) -> None:
    put(cluster)
    cluster.run()
    assert cluster.places() == ["node1", "node2", "node3"]
    pod = cluster.pods()[0]
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [find_node(pod)]}]}]
    tolerated = {one["key"].removeprefix("node.kubernetes.io/"): one["effect"] for one in pod["spec"]["tolerations"]}
    assert tolerated == {
        "not-ready": "NoExecute",
        "unreachable": "NoExecute",
        "disk-pressure": "NoSchedule",
        "memory-pressure": "NoSchedule",
        "pid-pressure": "NoSchedule",
        "unschedulable": "NoSchedule",
    }
    assert all("tolerationSeconds" not in one for one in pod["spec"]["tolerations"])


def test_the_status(cluster: Daemons) -> None:
    put(cluster)
    cluster.run()
    counts = {"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 0}
    assert status(cluster) == {**counts, "observedGeneration": 1, "updatedNumberScheduled": 3, "numberUnavailable": 3}
    cluster.settle()
    assert status(cluster) == {**counts, "numberReady": 3, "observedGeneration": 1, "updatedNumberScheduled": 3, "numberAvailable": 3}


def test_nodes_come_and_change(cluster: Daemons) -> None:
    put(cluster, template=template(nodeSelector={"disk": "ssd"}))
    cluster.settle()
    assert cluster.places() == []
    cluster.node("node1", {"disk": "ssd"})
    cluster.node("node4", {"disk": "ssd"})
    cluster.settle()
    assert cluster.places() == ["node1", "node4"]
    cluster.node("node1")
    cluster.settle()
    assert cluster.places() == ["node4"]
    assert status(cluster)["desiredNumberScheduled"] == 1


def test_required_affinity_chooses_nodes(cluster: Daemons) -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node2"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    put(cluster, template=template(affinity=affinity))
    cluster.settle()
    assert cluster.places() == ["node1", "node3"]


def test_a_template_with_a_node_name_runs_there_alone(cluster: Daemons) -> None:
    put(cluster, template=template(nodeName="node2"))
    cluster.settle()
    assert cluster.places() == ["node2"]


def test_taints_keep_pods_away_unless_tolerated(cluster: Daemons) -> None:
    put(cluster)
    cluster.node("node1", taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}])
    cluster.node("node2", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    cluster.settle()
    assert cluster.places() == ["node2", "node3"]
    put(cluster, template=template(tolerations=[{"key": "dedicated", "operator": "Exists"}]))
    cluster.settle()
    assert cluster.places() == ["node1", "node2", "node3"]


def test_a_new_taint_leaves_a_pod_or_drives_it_out(cluster: Daemons) -> None:
    put(cluster)
    cluster.settle()
    cluster.node("node1", taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}])
    cluster.node("node2", taints=[{"key": "dedicated", "value": "db", "effect": "NoExecute"}])
    cluster.settle()
    assert cluster.places() == ["node1", "node3"]
    assert status(cluster)["numberMisscheduled"] == 1


def test_a_second_pod_and_one_for_a_lost_node_go(cluster: Daemons) -> None:
    put(cluster)
    cluster.settle()
    cluster.store.remove(NODES, None, "node3")
    cluster.settle()
    assert status(cluster)["desiredNumberScheduled"] == 2
    twin = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "twin", "labels": {"app": "web"}},
        "spec": {**template()["spec"], "nodeName": "node1"},
    }
    cluster.time += 10
    cluster.put(twin)
    cluster.settle()
    assert "twin" not in cluster.names("pods")


def test_a_failed_pod_is_replaced_with_growing_pauses(cluster: Daemons) -> None:
    put(cluster)
    cluster.settle()
    for pause in (None, 1, 2, 4):
        failed = next(pod for pod in cluster.pods() if find_node(pod) == "node1")
        cluster.finish(failed, 1)
        cluster.run()
        if pause:
            assert cluster.wish == pause
            assert failed["metadata"]["name"] in cluster.names("pods")
            cluster.wait(pause)
        cluster.settle()
        assert failed["metadata"]["name"] not in cluster.names("pods")
        assert cluster.places() == ["node1", "node2", "node3"]
    assert len(cluster.messages("FailedDaemonPod")) == 4


def walk(cluster: Daemons, steps: int = 40) -> tuple[int, int]:
    """Let an update go on one ready pod at a time; give the most pods and the fewest ready ones there were."""
    seen = []
    for _ in range(steps):
        cluster.run()
        seen.append((len(cluster.pods()), len(cluster.ready_pods())))
        cluster.bind()
        cluster.start([pod for pod in cluster.pods() if pod not in cluster.ready_pods()][:1])
        cluster.reap()
    return max(total for total, _ in seen), min(ready for _, ready in seen)


@pytest.mark.parametrize(
    ("bounds", "most", "least"),
    [({"maxUnavailable": 1}, 3, 2), ({"maxUnavailable": 2}, 3, 1), ({"maxSurge": 1, "maxUnavailable": 0}, 4, 3), ({"maxUnavailable": "34%"}, 3, 1)],
)
def test_a_rolling_update_keeps_its_bounds(cluster: Daemons, bounds: dict[str, Any], most: int, least: int) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": bounds}
    put(cluster, updateStrategy=strategy)
    cluster.settle()
    put(cluster, "nginx:2", updateStrategy=strategy)
    assert walk(cluster) == (most, least)
    assert cluster.images() == {"node1": ["nginx:2"], "node2": ["nginx:2"], "node3": ["nginx:2"]}
    assert status(cluster)["updatedNumberScheduled"] == status(cluster)["numberAvailable"] == 3


def test_on_delete_waits_for_people(cluster: Daemons) -> None:
    put(cluster, updateStrategy={"type": "OnDelete"})
    cluster.settle()
    put(cluster, "nginx:2", updateStrategy={"type": "OnDelete"})
    cluster.settle()
    assert status(cluster).get("updatedNumberScheduled") is None
    cluster.delete("pod", cluster.pods()[0]["metadata"]["name"])
    cluster.settle()
    assert sorted(cluster.images().values()) == [["nginx:1"], ["nginx:1"], ["nginx:2"]]


def test_revisions_are_kept_numbered_and_limited(cluster: Daemons) -> None:
    for image in ("nginx:1", "nginx:2", "nginx:1", "nginx:3"):
        put(cluster, image, revisionHistoryLimit=1)
        cluster.settle()
    found = {one["data"]["spec"]["template"]["spec"]["containers"][0]["image"]: one["revision"] for one in cluster.list("controllerrevisions")}
    assert found == {"nginx:1": 3, "nginx:3": 4}
    current = next(one for one in cluster.list("controllerrevisions") if one["revision"] == 4)
    digest = current["metadata"]["labels"]["controller-revision-hash"]
    assert current["metadata"]["name"] == f"web-{digest}"
    assert all(pod["metadata"]["labels"] == {"app": "web", "controller-revision-hash": digest} for pod in cluster.pods())


def test_a_pod_that_cannot_be_is_told(cluster: Daemons) -> None:
    put(cluster, template=template(hostname="Not_A_Name"))
    cluster.run()
    assert cluster.messages("FailedCreate")[0].startswith('Error creating: Pod "web-" is invalid: spec.hostname:')
    assert status(cluster)["desiredNumberScheduled"] == 3
