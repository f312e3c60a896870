"""The wires around the cluster: switch, router, client, and a cable for each node."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from klab.api.lab import Subnet, Underlay
from klab.cloud.underlay import Wire, calc_wire, plan_surroundings, plan_wire
from klab.linux.diff import diff
from klab.linux.objects import Address, Bridge, KernelObject, Netns, Route, Sysctl, Veth

TWO = Underlay(
    subnets=(
        Subnet(ip_network("172.16.224.0/24"), ip_address("172.16.224.2")),
        Subnet(ip_network("10.9.0.0/16"), ip_address("10.9.255.254")),
    ),
    interface="ens192",
    mtu=1400,
    client=ip_interface("198.51.100.77/25"),
)


def addresses(planned: list[KernelObject]) -> dict[tuple[str, str], str]:
    return {(item.netns, item.dev): item.cidr for item in planned if isinstance(item, Address)}


def cables(planned: list[KernelObject]) -> dict[str, tuple[str, str, int]]:
    """Give each cable of the fabric: where its far end is, its bridge, its MTU."""
    return {
        item.name: (f"{item.peer_netns}/{item.peer}", item.master, item.mtu) for item in planned if isinstance(item, Veth) and item.netns == "fabric"
    }


def test_a_router_stands_between_the_subnets_and_the_client() -> None:
    planned = plan_surroundings(TWO)
    assert {item.netns for item in planned if isinstance(item, Netns)} == {"fabric", "router", "client"}
    assert [(item.name, item.mtu) for item in planned if isinstance(item, Bridge)] == [("fabric", 1400), ("fabric1", 1400)]
    assert cables(planned) == {"router": ("router/eth0", "fabric", 1400), "router1": ("router/eth1", "fabric1", 1400)}
    assert addresses(planned) == {
        ("router", "world0"): "198.51.100.1/25",
        ("router", "eth0"): "172.16.224.2/24",
        ("router", "eth1"): "10.9.255.254/16",
        ("client", "eth0"): "198.51.100.77/25",
    }
    assert [(item.netns, item.words) for item in planned if isinstance(item, Route)] == [("client", "default via 198.51.100.1 dev eth0")]
    assert Sysctl(netns="router", name="net/ipv4/ip_forward", value="1") in planned


@pytest.mark.parametrize(("address", "subnet"), [("172.16.224.51", 0), ("10.9.3.4", 1)])
def test_a_node_is_plugged_into_the_subnet_of_its_address(address: str, subnet: int) -> None:
    wire = calc_wire(TWO, "node1", address)
    assert wire == Wire("node1", address, (24, 16)[subnet], ("172.16.224.2", "10.9.255.254")[subnet], subnet)
    planned = plan_wire(TWO, wire)
    assert cables(planned) == {"node1": ("node1/ens192", ("fabric", "fabric1")[subnet], 1400)}
    assert addresses(planned) == {("node1", "ens192"): f"{address}/{wire.prefix}"}
    assert [item.words for item in planned if isinstance(item, Route)] == [f"default via {wire.gateway} dev ens192 proto static"]
    assert Sysctl(netns="node1", name="net/ipv4/ip_forward", value="1") in planned


def test_ports_of_nodes_with_long_names_fit_and_differ() -> None:
    names = [f"a-node-with-a-very-long-name-{number}" for number in range(50)]
    ports = {port for name in names for port in cables(plan_wire(TWO, calc_wire(TWO, name, "10.9.3.4")))}
    assert len(ports) == 50
    assert all(len(port) <= 15 for port in ports)


@pytest.mark.parametrize("netns", ["router", "client", "node1"])
def test_no_reverse_path_filter_comes_in_from_the_host(netns: str) -> None:
    planned = [*plan_surroundings(TWO), *plan_wire(TWO, calc_wire(TWO, "node1", "10.9.3.4"))]
    settings = {item.name: item.value for item in planned if isinstance(item, Sysctl) and item.netns == netns}
    assert settings["net/ipv4/conf/all/rp_filter"] == settings["net/ipv4/conf/default/rp_filter"] == "0"


def test_everything_has_a_reason_and_one_owner() -> None:
    planned = [*plan_surroundings(TWO), *plan_wire(TWO, calc_wire(TWO, "node1", "10.9.3.4")), *plan_wire(TWO, calc_wire(TWO, "node2", "10.9.3.5"))]
    assert all(item.why for item in planned)
    assert len({item.key for item in planned}) == len(planned)


def test_another_mtu_changes_links_in_place() -> None:
    before, after = plan_surroundings(TWO), plan_surroundings(replace(TWO, mtu=1300))
    steps = diff(after, {item.key: item for item in before} | {("Link", "router", f"eth{n}"): _end(f"eth{n}") for n in (0, 1)} | {_key: _end("eth0")})
    assert {(step.verb, type(step.object)) for step in steps} == {("change", Bridge), ("change", Veth)}


_key = ("Link", "client", "eth0")


def _end(name: str) -> Veth:
    return Veth(netns="router", name=name, mtu=1400, peer_netns="", peer="")
