"""Steps from objects to objects: a lab's own objects, nodes for pods, addresses for pods, the conditions of nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from klab.api.pod import Pod
from klab.api.resources import of
from klab.cluster import settle
from klab.cluster.topology import PINNED_ANNOTATION
from klab.controlplane.events import EVENTS, Recorder
from klab.controlplane.store import Store
from klab.controlplane.views import PodViews
from klab.errors import KlabError
from klab.kernel.rundir import RunDir

MakeWorld = Callable[..., Any]
PINNED = {"cni.projectcalico.org/ipAddrs": json.dumps(["10.244.1.9"])}


def schedule(store: Store) -> None:
    settle.schedule(store, PodViews(), Recorder(store, lambda: datetime(2026, 3, 1, tzinfo=UTC)))


def give_addresses(world: Any) -> dict[str, KlabError]:
    return settle.give_addresses(world.store, PodViews(), settle.topology_of(world.store, world.lab, RunDir("unit")))


def events(store: Store) -> list[tuple[str, str, str]]:
    return [(event["type"], event["reason"], event.get("message") or event.get("note")) for event in store.list(EVENTS)]


def test_a_lab_begins_with_its_own_objects(make_world: MakeWorld) -> None:
    world = make_world()
    names = {kind: [obj["metadata"]["name"] for obj in world.store.list(of("v1", kind))] for kind in ("Namespace", "Node", "Service", "Endpoints")}
    assert names == {
        "Namespace": ["default", "kube-node-lease", "kube-public", "kube-system"],
        "Node": ["node1", "node2"],
        "Service": ["kubernetes"],
        "Endpoints": ["kubernetes"],
    }
    assert settle.lab_of(world.store) == world.lab
    assert world.get("Service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    slice_ = world.get("EndpointSlice", "kubernetes", "discovery.k8s.io/v1")
    assert [endpoint["addresses"] for endpoint in slice_["endpoints"]] == [["172.18.0.1"]]


def test_a_lab_that_is_up_keeps_what_it_has(make_world: MakeWorld) -> None:
    world = make_world()
    node = world.get("Node", "node1")
    changed = world.store.update(of("v1", "Node"), {**node, "metadata": {**node["metadata"], "labels": {"disk": "ssd"}}})
    revision = world.store.revision
    settle.seed(world.store, world.lab, [])
    assert world.store.revision == revision
    assert world.get("Node", "node1") == changed


def test_nodes_keep_the_addresses_that_pods_of_the_files_are_pinned_to(make_world: MakeWorld) -> None:
    pod = {"metadata": {"name": "web", "annotations": PINNED}, "spec": {"containers": []}}
    world = make_world(pods=(pod,))
    assert Pod.of(pod).fixed_ips == ("10.244.1.9",)
    pins = {node["metadata"]["name"]: (node["metadata"].get("annotations") or {}).get(PINNED_ANNOTATION) for node in world.nodes()}
    assert pins == {"node1": "10.244.1.9", "node2": None}


def test_a_broken_lab_object_is_told(make_world: MakeWorld) -> None:
    world = make_world()
    (lab,) = world.store.list(settle.LABS)
    world.store.update(settle.LABS, {**lab, "spec": {"network": {"podCIDR": "everywhere"}}})
    with pytest.raises(KlabError, match=r"the stored Lab object is broken: .*take the lab down and up again"):
        settle.lab_of(world.store)


def test_pods_are_spread_over_the_nodes_and_told_so(make_world: MakeWorld) -> None:
    world = make_world()
    for number in range(4):
        world.pod(f"web-{number}")
    schedule(world.store)
    assert sorted(world.get("Pod", f"web-{n}")["spec"]["nodeName"] for n in range(4)) == ["node1", "node1", "node2", "node2"]
    node = world.get("Pod", "web-0")["spec"]["nodeName"]
    assert ("Normal", "Scheduled", f"Successfully assigned default/web-0 to {node}") in events(world.store)
    revision = world.store.revision
    schedule(world.store)
    assert world.store.revision == revision


def test_a_pod_that_fits_nowhere_is_told_once(make_world: MakeWorld) -> None:
    world = make_world()
    world.pod("web", nodeSelector={"disk": "ssd"})
    schedule(world.store)
    revision = world.store.revision
    schedule(world.store)
    assert world.store.revision == revision
    (condition,) = world.get("Pod", "web")["status"]["conditions"]
    message = condition["message"]
    assert message.startswith("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert events(world.store) == [("Warning", "FailedScheduling", message)]


def test_who_came_first_gets_the_first_address(make_world: MakeWorld) -> None:
    world = make_world()
    for name in ("zebra", "ant"):
        world.pod(name, "node1")
    world.pod("host", "node1", hostNetwork=True)
    world.pod("waiting")
    assert give_addresses(world) == {}
    assert [world.get("Pod", name)["status"].get("podIPs") for name in ("zebra", "ant", "host", "waiting")] == [
        [{"ip": "10.244.1.2"}],
        [{"ip": "10.244.1.3"}],
        None,
        None,
    ]
    revision = world.store.revision
    assert give_addresses(world) == {}
    assert world.store.revision == revision


def test_without_an_address_left_the_pod_is_refused_and_the_others_served(make_world: MakeWorld) -> None:
    world = make_world(network={"podCIDR": "10.244.0.0/16", "plugin": "vxlan"})
    world.pod("other", "node2")
    both = [world.put("Pod", name, metadata={"annotations": PINNED}, spec={"containers": [], "nodeName": "node1"}) for name in ("first", "second")]
    refused = give_addresses(world)
    assert list(refused) == [both[1]["metadata"]["uid"]]
    assert "10.244.1.9" in str(next(iter(refused.values())))
    assert world.get("Pod", "first")["status"]["podIP"] == "10.244.1.9"
    assert world.get("Pod", "other")["status"]["podIP"] == "10.244.2.2"


def test_cni_plugins_choose_addresses_themselves(make_world: MakeWorld) -> None:
    world = make_world(network={"plugin": "plugin"})
    world.pod("web", "node1")
    assert give_addresses(world) == {}
    assert "podIP" not in world.get("Pod", "web")["status"]


def test_a_node_is_ready_once_its_network_stands(make_world: MakeWorld) -> None:
    world = make_world()

    def ready() -> dict[str, str]:
        return {condition["type"]: condition for condition in world.get("Node", "node1")["status"]["conditions"]}["Ready"]

    settle.report_node(world.store, world.get("Node", "node1"), KlabError("no such device"))
    assert (ready()["status"], ready()["message"]) == ("False", "container runtime network not ready: no such device")
    settle.report_node(world.store, world.get("Node", "node1"), None)
    assert (ready()["status"], ready()["reason"]) == ("True", "KubeletReady")
    revision = world.store.revision
    settle.report_node(world.store, world.get("Node", "node1"), None)
    assert world.store.revision == revision
