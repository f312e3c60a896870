"""Packets through the planned rules of the two modes that are rules: who gets them, whose source address is kept, who is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from klab.kubeproxy.config import ProxyConfig

POD, OTHER_NODES_POD, CLIENT = "10.244.1.9", "10.244.2.9", "203.0.113.10"
CLUSTER_IP, EXTERNAL_IP, NODE_PORT = "10.96.0.50", "192.0.2.50", 30080
HERE, THERE = "10.244.1.2", "10.244.2.2"

Place = str | tuple[str, int]
Fates = Callable[[str, Place], set[str]]
Flows = Callable[..., Fates]


@pytest.fixture(params=["iptables", "nftables"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def flows(make: Any, mode: str) -> Flows:
    """Build a service with a cluster IP, a node port, an external IP and a load balancer IP, and give where packets to it end."""

    def build(endpoints: Any, *, config: Any = None, node: Any = None, port: Any = 80, **spec: Any) -> Fates:
        ports = [{"name": "http", "port": port, "nodePort": NODE_PORT}]
        spec = {"type": "LoadBalancer", "clusterIP": CLUSTER_IP, "externalIPs": [EXTERNAL_IP], "ports": ports, **spec}
        slices = (make.slice({"http": ("TCP", 8080)}, endpoints),)
        settings = {"mode": mode, "cluster_cidr": "10.244.0.0/16", "service_cidrs": ("10.96.0.0/12",), **(config or {})}
        world = make.world(((make.service("web", spec, ingress=[make.vip]), slices),), node or make.node(), ProxyConfig(**settings))
        walker = world.walker()
        places = {"cluster": (CLUSTER_IP, port), "nodeport": (make.node_ip, NODE_PORT), "external": (EXTERNAL_IP, port), "lb": (make.vip, port)}
        sources = {"pod": POD, "node": make.node_ip, "client": CLIENT, "itself": HERE, "localhost": "127.0.0.1"}

        def fates(source: str, place: Place) -> set[str]:
            found = walker.fates(sources.get(source, source), *places.get(place, place))
            return {f"{fate.end}{' masqueraded' if fate.masqueraded else ''}" for fate in found}

        return fates

    return build


def both(text: str = "") -> set[str]:
    return {f"{HERE}:8080{text}", f"{THERE}:8080{text}"}


@pytest.mark.parametrize(
    ("source", "place", "kept"),
    [
        ("pod", "cluster", True),
        ("node", "cluster", False),
        ("client", "cluster", False),
        ("pod", "nodeport", False),
        ("client", "nodeport", False),
        ("node", "nodeport", False),
        ("client", "external", False),
        ("pod", "external", False),
        ("client", "lb", False),
        ("node", "lb", False),
    ],
)
def test_policy_cluster_reaches_all_endpoints(flows: Flows, make: Any, source: str, place: Place, kept: bool) -> None:
    """Only a pod's way to the cluster IP keeps its source address; everything else may cross nodes and is masqueraded."""
    fates = flows([make.endpoint(HERE, "node1"), make.endpoint(THERE, "node2")])
    assert fates(source, place) == both("" if kept else " masqueraded")


def test_hairpin_is_masqueraded(flows: Flows, make: Any) -> None:
    """A pod that is answered by itself would not see the answer come from the service's address."""
    fates = flows([make.endpoint(HERE, "node1"), make.endpoint(THERE, "node2")])
    assert fates("itself", "cluster") == {f"{HERE}:8080 masqueraded", f"{THERE}:8080"}


@pytest.mark.parametrize("place", ["nodeport", "external", "lb"])
def test_external_policy_local_keeps_the_source(flows: Flows, make: Any, place: Place) -> None:
    """A client meets only endpoints of the node and is seen by them; pods and the node take the short way to all."""
    fates = flows([make.endpoint(HERE, "node1"), make.endpoint(THERE, "node2")], externalTrafficPolicy="Local")
    assert fates("client", place) == {f"{HERE}:8080"}
    assert fates("pod", place) == both()
    assert fates("node", place) == both(" masqueraded")


@pytest.mark.parametrize("place", ["nodeport", "external", "lb"])
def test_external_policy_local_without_a_local_endpoint_is_silent(flows: Flows, make: Any, place: Place) -> None:
    """Nothing answers a client (so that a load balancer's health check alone decides); those inside still get through."""
    fates = flows([make.endpoint(THERE, "node2")], externalTrafficPolicy="Local")
    assert fates("client", place) == {"DROP"}
    assert fates("pod", place) == {f"{THERE}:8080"}
    assert fates("node", place) == {f"{THERE}:8080 masqueraded"}
    assert fates("pod", "cluster") == {f"{THERE}:8080"}


def test_internal_policy_local(flows: Flows, make: Any) -> None:
    """The cluster IP leads to endpoints of the same node alone; the node port does not care."""
    fates = flows([make.endpoint(HERE, "node1"), make.endpoint(THERE, "node2")], internalTrafficPolicy="Local")
    assert fates("pod", "cluster") == {f"{HERE}:8080"}
    assert fates("client", "nodeport") == both(" masqueraded")


def test_internal_policy_local_without_a_local_endpoint(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], internalTrafficPolicy="Local")
    assert fates("pod", "cluster") == {"DROP"}
    assert fates("node", "cluster") == {"DROP"}
    assert fates("client", "nodeport") == {f"{THERE}:8080 masqueraded"}


@pytest.mark.parametrize("place", ["cluster", "nodeport", "external", "lb"])
@pytest.mark.parametrize("source", ["pod", "node", "client"])
def test_no_endpoints_is_refused(flows: Flows, make: Any, source: str, place: Place) -> None:
    assert flows([])(source, place) == {"REJECT"}
    assert flows([make.endpoint(HERE, "node1", ready=False)])(source, place) == {"REJECT"}


def test_terminating_endpoints_serve_when_none_is_ready(flows: Flows, make: Any) -> None:
    """KEP-1669: a pod that still serves while it goes is better than none, for each policy by itself."""
    going = {"ready": False, "serving": True, "terminating": True}
    assert flows([make.endpoint(HERE, "node1", **going)])("pod", "cluster") == {f"{HERE}:8080"}
    assert flows([make.endpoint(HERE, "node1", **going), make.endpoint(THERE, "node2")])("pod", "cluster") == {f"{THERE}:8080"}
    fates = flows([make.endpoint(HERE, "node1", **going), make.endpoint(THERE, "node2")], externalTrafficPolicy="Local")
    assert fates("client", "nodeport") == {f"{HERE}:8080"}
    assert flows([make.endpoint(HERE, "node1", ready=False, serving=False, terminating=True)])("pod", "cluster") == {"REJECT"}


def test_source_ranges_guard_the_load_balancer_address_alone(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], loadBalancerSourceRanges=["203.0.113.0/28", " 198.18.0.0/15"])
    assert fates("client", "lb") == {f"{THERE}:8080 masqueraded"}
    assert fates("203.0.113.99", "lb") == {"DROP"}
    assert fates("198.18.3.4", "lb") == {f"{THERE}:8080 masqueraded"}
    assert fates("node", "lb") == {"DROP"}
    assert fates("203.0.113.99", "nodeport") == {f"{THERE}:8080 masqueraded"}
    assert fates("203.0.113.99", "external") == {f"{THERE}:8080 masqueraded"}


def test_source_ranges_that_let_the_node_in(flows: Flows, make: Any) -> None:
    """The node's own request to the address may carry that very address as its source."""
    fates = flows([make.endpoint(THERE, "node2")], loadBalancerSourceRanges=["172.18.0.0/24"])
    assert fates("node", "lb") == {f"{THERE}:8080 masqueraded"}
    assert fates(make.vip, "lb") == {f"{THERE}:8080 masqueraded"}
    assert fates("client", "lb") == {"DROP"}


def test_everyone_is_a_source_range(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], loadBalancerSourceRanges=["0.0.0.0/0"])
    assert fates("client", "lb") == {f"{THERE}:8080 masqueraded"}


def test_localhost_node_port_is_a_matter_of_the_mode(flows: Flows, make: Any, mode: str) -> None:
    """iptables mode alone opens node ports on 127.0.0.1 (route_localnet)."""
    fates = flows([make.endpoint(THERE, "node2")])
    answered = {f"{THERE}:8080 masqueraded"} if mode == "iptables" else {f"127.0.0.1:{NODE_PORT}"}
    assert fates("localhost", ("127.0.0.1", NODE_PORT)) == answered


def test_localhost_node_port_can_be_closed(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], config={"localhost_node_ports": False})
    assert fates("localhost", ("127.0.0.1", NODE_PORT)) == {f"127.0.0.1:{NODE_PORT}"}
    assert fates("client", "nodeport") == {f"{THERE}:8080 masqueraded"}


def test_node_port_addresses_limit_where_node_ports_answer(flows: Flows, make: Any) -> None:
    node = make.node(addresses=(make.node_ip, make.vip))
    fates = flows([make.endpoint(THERE, "node2")], node=node, config={"node_port_addresses": ("172.18.0.0/16",)})
    assert fates("client", "nodeport") == {f"{THERE}:8080 masqueraded"}
    assert fates("client", (make.vip, NODE_PORT)) == {f"{make.vip}:{NODE_PORT}"}


def test_other_ports_of_a_cluster_ip(flows: Flows, make: Any, mode: str) -> None:
    """nftables mode refuses what no service listens on, and drops what is sent to addresses of no service; iptables mode lets it pass."""
    fates = flows([make.endpoint(THERE, "node2")])
    assert fates("pod", (CLUSTER_IP, 81)) == ({"REJECT"} if mode == "nftables" else {f"{CLUSTER_IP}:81"})
    assert fates("pod", ("10.99.9.9", 80)) == ({"DROP"} if mode == "nftables" else {"10.99.9.9:80"})


def test_masquerade_all(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], config={"masquerade_all": True})
    assert fates("pod", "cluster") == {f"{THERE}:8080 masqueraded"}


def test_without_a_cluster_cidr_nothing_is_known_to_be_a_pod(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(THERE, "node2")], config={"cluster_cidr": ""}, externalTrafficPolicy="Local")
    assert fates("client", "cluster") == {f"{THERE}:8080"}
    assert fates("pod", "nodeport") == {"DROP"}


def test_affinity_does_not_change_who_may_be_chosen_first(flows: Flows, make: Any) -> None:
    fates = flows([make.endpoint(HERE, "node1"), make.endpoint(THERE, "node2")], sessionAffinity="ClientIP")
    assert fates("pod", "cluster") == both()


def test_hints_keep_traffic_in_the_zone(flows: Flows, make: Any) -> None:
    """Hints count where every ready endpoint has one and one of them names the node's zone."""

    def hinted(address: str, zone: str) -> dict[str, Any]:
        return make.endpoint(address) | {"hints": {"forZones": [{"name": zone}]}}

    near, far = hinted(HERE, "a"), hinted(THERE, "b")
    assert flows([near, far], node=make.node(zone="a"))("pod", "cluster") == {f"{HERE}:8080"}
    assert flows([near, far], node=make.node(zone="c"))("pod", "cluster") == both()
    assert flows([near, make.endpoint(THERE)], node=make.node(zone="a"))("pod", "cluster") == both()


def test_services_that_are_not_proxied(make: Any, mode: str) -> None:
    """Headless and ExternalName services, and those without an address yet, leave the node as it is."""
    ports = [{"port": 80}]
    slices = (make.slice({"": ("TCP", 80)}, [make.endpoint(HERE)]),)
    listed = (
        (make.service("headless", {"clusterIP": "None", "ports": ports}), slices),
        (make.service("alias", {"type": "ExternalName", "externalName": "example.com", "ports": ports}), slices),
        (make.service("new", {"ports": ports}), slices),
    )
    config = ProxyConfig(mode=mode)
    assert make.world(listed, make.node(), config).objects() == make.world((), make.node(), config).objects()
