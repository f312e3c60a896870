"""Services and endpoints of the store as each node's kube-proxy takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klab.api.resources import of
from klab.cluster import settle
from klab.cluster.proxies import Proxies, base_owner, service_owner
from klab.cluster.topology import Topology
from klab.controlplane.store import Event
from klab.kernel.rundir import RunDir
from klab.kubeproxy.config import ProxyNode
from klab.linux.iptables import Chain

MakeWorld = Callable[..., Any]
WEB = ("default", "web")
SERVICES, SLICES = of("v1", "Service"), of("discovery.k8s.io/v1", "EndpointSlice")


def topology_of(world: Any) -> Topology:
    return settle.topology_of(world.store, world.lab, RunDir("unit"))


def nodes_of(world: Any, proxies: Proxies) -> list[ProxyNode]:
    return proxies.nodes(topology_of(world), world.nodes())


def targets(world: Any, proxies: Proxies, node: int = 0) -> set[str]:
    """Say whereto a node translates."""
    planned = proxies.plan([WEB], nodes_of(world, proxies)[node : node + 1])
    rules = [rule for objects in planned.values() for item in objects if isinstance(item, Chain) for rule in item.rules]
    return {rule.split("--to-destination ")[1] for rule in rules if "--to-destination " in rule}


def follow(world: Any) -> Proxies:
    """Give proxies that hear of every change."""
    proxies = Proxies(world.store, world.lab)

    def hear(events: Any) -> None:
        for event in events:
            proxies.hear(event)

    world.store.subscribe(hear)
    return proxies


def test_what_the_store_has_is_known_from_the_start(make_world: MakeWorld) -> None:
    world = make_world()
    world.service("web")
    world.endpoints("web", ("10.244.1.2", "node1"), ("10.244.2.2", "node2"))
    proxies = Proxies(world.store, world.lab)
    assert proxies.places() == {WEB, ("default", "kubernetes")} == proxies.dirty
    assert targets(world, proxies) == {"10.244.1.2:8080", "10.244.2.2:8080"}


def test_slices_of_a_service_add_up_come_and_go(make_world: MakeWorld) -> None:
    world = make_world()
    proxies = follow(world)
    world.service("web")
    world.endpoints("web", ("10.244.1.2", "node1"))
    second = world.endpoints("web", ("10.244.2.2", "node2"), name="web-2")
    assert targets(world, proxies) == {"10.244.1.2:8080", "10.244.2.2:8080"}
    world.store.update(SLICES, {**second, "endpoints": [{"addresses": ["10.244.2.9"], "conditions": {"ready": True}}]})
    assert targets(world, proxies) == {"10.244.1.2:8080", "10.244.2.9:8080"}
    world.store.remove(SLICES, "default", "web-2")
    world.store.remove(SLICES, "default", "web-1")
    assert targets(world, proxies) == set()
    proxies.dirty.clear()
    world.store.remove(SERVICES, "default", "web")
    assert proxies.dirty == {WEB}
    assert proxies.plan([WEB], nodes_of(world, proxies)) == {service_owner("node1", WEB): (), service_owner("node2", WEB): ()}


def test_a_slice_that_belongs_to_nobody_is_nobodys(make_world: MakeWorld) -> None:
    world = make_world()
    proxies = follow(world)
    proxies.dirty.clear()
    made = world.endpoints("web", ("10.244.1.2", "node1"))
    assert proxies.dirty == {WEB}
    proxies.dirty.clear()
    stray = {**made, "metadata": {**made["metadata"], "name": "stray", "labels": {}}}
    assert proxies.hear(Event("ADDED", SLICES, stray, None))
    assert not proxies.hear(Event("ADDED", of("v1", "Pod"), made, None))
    assert proxies.dirty == set()


def test_a_node_has_the_addresses_of_its_interfaces_and_its_zone(make_world: MakeWorld) -> None:
    world = make_world()
    node = world.get("Node", "node1")
    world.store.update(of("v1", "Node"), {**node, "metadata": {**node["metadata"], "labels": {"topology.kubernetes.io/zone": "a"}}})
    first, second = nodes_of(world, Proxies(world.store, world.lab))
    assert (first.name, first.ip, first.zone, second.zone) == ("node1", "172.18.0.2", "a", "")
    assert {"172.18.0.2", "10.244.1.0", "10.244.1.1"} <= set(first.addresses)
    assert not set(first.addresses) & set(second.addresses)


def test_each_node_has_a_base_whatever_services_there_are(make_world: MakeWorld) -> None:
    world = make_world()
    proxies = Proxies(world.store, world.lab)
    bases = proxies.plan_bases(topology_of(world), world.nodes())
    assert set(bases) == {base_owner("node1"), base_owner("node2")}
    assert {item.netns for item in bases[base_owner("node1")]} == {"node1"}


def test_a_health_check_port_counts_the_nodes_own_endpoints(make_world: MakeWorld) -> None:
    world = make_world()
    proxies = follow(world)
    made = world.service("web", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=30999)
    world.endpoints("web", ("10.244.1.2", "node1"), ("10.244.1.3", "node1"))
    ((port, (status, headers, _body)),) = proxies.health_checks("node1").items()
    assert (port, status, headers["X-Load-Balancing-Endpoint-Weight"]) == (30999, 200, "2")
    assert proxies.health_checks("node2")[30999][0] == 503
    world.store.update(SERVICES, {**made, "spec": {**made["spec"], "healthCheckNodePort": 0, "externalTrafficPolicy": "Cluster"}})
    assert proxies.health_checks("node1") == {}


def test_flows_of_a_frontend_that_closes_are_told_once(make_world: MakeWorld) -> None:
    world = make_world()
    proxies = follow(world)
    made = world.service("web", ports=[{"name": "", "port": 53, "protocol": "UDP"}])
    assert proxies.take_frontends([WEB]) == {("10.96.0.80", 53): frozenset()}
    world.store.update(SERVICES, {**made, "spec": {**made["spec"], "ports": [{"name": "", "port": 54, "protocol": "UDP"}]}})
    assert proxies.take_frontends([WEB]) == {("10.96.0.80", 53): frozenset(), ("10.96.0.80", 54): frozenset()}
    world.store.remove(SERVICES, "default", "web")
    assert proxies.take_frontends([WEB]) == {("10.96.0.80", 54): frozenset()}
    assert proxies.take_frontends([WEB]) == {}
