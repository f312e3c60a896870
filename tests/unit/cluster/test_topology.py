"""Who owns what: underlay, nodes, pods, kube-proxies; together they are everything that stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from klab.api.pod import Pod
from klab.cluster import settle
from klab.cluster.desired import plan_everything
from klab.cluster.proxies import Proxies
from klab.cluster.topology import UNDERLAY, Topology
from klab.controlplane.views import PodViews
from klab.kernel.rundir import RunDir
from klab.linux.cni import CniAttachment
from klab.linux.objects import Netns, Route

MakeWorld = Callable[..., Any]


def topology_of(world: Any) -> Topology:
    return settle.topology_of(world.store, world.lab, RunDir("unit"))


def pod_of(world: Any, name: str, node: str = "node1", **status: Any) -> Pod:
    made = world.pod(name, node)
    return Pod.of({**made, "status": {**made["status"], **status}})


HELD = {"podIP": "10.244.1.2", "podIPs": [{"ip": "10.244.1.2"}]}


def test_underlay_and_nodes_have_an_owner_each(make_world: MakeWorld) -> None:
    planned = topology_of(make_world()).plan_base()
    assert list(planned) == [UNDERLAY, "node/node1", "node/node2"]
    spaces = {owner: {item.netns for item in objects if isinstance(item, Netns)} for owner, objects in planned.items()}
    assert spaces == {UNDERLAY: {"fabric", "router", "client"}, "node/node1": {"node1"}, "node/node2": {"node2"}}
    ways = [item.dst for item in planned["node/node1"] if isinstance(item, Route) and item.netns == "node1"]
    assert "10.244.2.0/24" in ways
    assert "10.244.1.0/24" not in ways


def test_a_pod_stands_while_it_has_a_node_and_an_address(make_world: MakeWorld) -> None:
    world = make_world()
    topology = topology_of(world)
    assert Netns(netns="default_web") in topology.plan_pod(pod_of(world, "web", **HELD))
    assert topology.plan_pod(pod_of(world, "new")) == ()
    assert topology.plan_pod(pod_of(world, "lost", "node9", **HELD)) == ()
    assert topology.plan_pod(pod_of(world, "done", phase="Succeeded", **HELD)) == ()
    host = world.pod("host", "node1", hostNetwork=True)
    assert topology.plan_pod(Pod.of({**host, "status": HELD})) == ()


def test_plugins_attach_pods_that_have_no_address_yet(make_world: MakeWorld) -> None:
    world = make_world(network={"plugin": "plugin"})
    planned = topology_of(world).plan_pod(pod_of(world, "web"))
    assert [type(item) for item in planned] == [Netns, CniAttachment]


@pytest.mark.parametrize(("plugin", "kept"), [("vxlan", {0, 1, 255}), ("bridge", {0, 1, 255}), ("ipip", {0})])
def test_a_nodes_own_addresses_are_no_pods(make_world: MakeWorld, plugin: str, kept: set[int]) -> None:
    assert topology_of(make_world(network={"plugin": plugin})).reserved("node1") == {f"10.244.1.{number}" for number in kept}


def test_a_gateway_keeps_away_from_pinned_addresses(make_world: MakeWorld) -> None:
    pod = {"metadata": {"name": "web", "annotations": {"cni.projectcalico.org/ipAddrs": '["10.244.1.1"]'}}, "spec": {"containers": []}}
    topology = topology_of(make_world(pods=(pod,)))
    assert topology.pinned == {"10.244.1.1"}
    assert "10.244.1.1" not in topology.nodes["node1"].gateways
    assert "10.244.1.1" not in topology.reserved("node1")


def test_everything_together_names_no_object_twice(make_world: MakeWorld) -> None:
    world = make_world()
    world.pod("web", "node1")
    world.pod("waiting")
    world.service("front")
    world.endpoints("front", ("10.244.1.2", "node1"))
    topology, views = topology_of(world), PodViews()
    assert settle.give_addresses(world.store, views, topology) == {}
    planned = plan_everything(world.store, topology, Proxies(world.store, world.lab), views)
    assert {UNDERLAY, "node/node1", "pod/default/web", "kube-proxy/node1", "kube-proxy/node2/default/front"} <= planned.keys()
    assert "pod/default/waiting" not in planned
    keys = [item.key for objects in planned.values() for item in objects]
    assert len(set(keys)) == len(keys)
