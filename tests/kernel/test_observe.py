"""What is read back is what stands, and nothing of the kernel's own making."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from klab.kernel import netns
from klab.kernel.observe import observe
from klab.kernel.rundir import RunDir
from klab.linux.iptables import Rule, SharedChain
from klab.linux.objects import Address, Bridge, Ipip, KernelObject, Key, Link, Neighbour, Netns, Route, Sysctl, Veth

pytestmark = pytest.mark.root

FORWARD = Sysctl(netns="node1", name="net/ipv4/ip_forward", value="1")
JUMP = Rule(netns="node1", table="filter", chain="FORWARD", text="-j ACCEPT")


def type_in(path: Path, *lines: str) -> None:
    subprocess.run(["nsenter", f"--net={path}", "sh", "-euc", "\n".join(lines)], check=True, capture_output=True)


def look_at(path: Path, *wanted: KernelObject) -> dict[Key, KernelObject]:
    return observe({path.name: path}, wanted)


@pytest.fixture
def node(rundir: RunDir) -> Path:
    path = rundir.netns_path("node1")
    netns.create([path])
    return path


def test_an_empty_namespace_has_its_loopback(node: Path) -> None:
    seen = [item for item in look_at(node).values() if not isinstance(item, Ipip)]  # tunl0 is wherever its module is
    assert set(seen) == {
        Netns(netns="node1"),
        Address(netns="node1", dev="lo", cidr="127.0.0.1/8", scope="host"),
        Address(netns="node1", dev="lo", cidr="::1/128", scope="host"),
    }


def test_a_namespace_that_is_not_there_is_not_seen(rundir: RunDir, node: Path) -> None:
    left = rundir.netns_path("left")
    left.touch()
    assert {item.netns for item in observe({"node1": node, "left": left, "never": rundir.netns_path("never")}).values()} == {"node1"}


@pytest.mark.needs("macvlan")
def test_links_are_seen_with_what_a_person_made_of_them(node: Path) -> None:
    type_in(
        node,
        "ip link add br0 address 02:00:00:00:00:01 mtu 1400 type bridge",
        "ip link add v0 address 02:00:00:00:00:02 mtu 1400 type veth peer name v1 address 02:00:00:00:00:03",
        "ip link set v0 master br0 up",
        "bridge link set dev v0 hairpin on",
        "ip link add m0 link v1 address 02:00:00:00:00:05 type macvlan",
    )
    seen = {item.name: item for item in look_at(node).values() if isinstance(item, Link) and not isinstance(item, Ipip)}
    common = {"netns": "node1", "up": False}
    pair = {"netns": "node1", "peer_netns": "", "peer": ""}
    assert seen == {
        "br0": Bridge(name="br0", mtu=1400, mac="02:00:00:00:00:01", **common),
        "v0": Veth(name="v0", mtu=1400, mac="02:00:00:00:00:02", master="br0", hairpin=True, **pair),
        "v1": Veth(name="v1", mtu=1500, mac="02:00:00:00:00:03", up=False, **pair),
        "m0": Link(name="m0", mtu=1500, mac="02:00:00:00:00:05", **common),
    }


def test_routes_of_the_kernel_and_of_other_tables_and_learnt_neighbours_are_not_seen(node: Path) -> None:
    type_in(
        node,
        "ip link add v0 type veth peer name v1",
        "ip link set v0 up",
        "ip address add 192.0.2.1/24 dev v0",
        "ip -6 address add fd00::1/64 dev v0 nodad",
        "ip route add 198.51.100.0/24 via 192.0.2.9 proto static",
        "ip route add blackhole 203.0.113.0/26 proto bird",
        "ip -6 route add default via fd00::9",
        "ip route add default via 192.0.2.9 src 192.0.2.1",
        "ip route add 198.51.100.0/24 via 192.0.2.9 table 7",
        "ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 nud permanent dev v0",
        "ip neighbour add 192.0.2.8 lladdr 02:00:00:00:00:08 nud reachable dev v0",
    )
    seen = look_at(node).values()
    assert {item.words for item in seen if isinstance(item, Route)} == {
        "198.51.100.0/24 via 192.0.2.9 dev v0 proto static",
        "blackhole 203.0.113.0/26 proto bird",
        "default via fd00::9 dev v0",
        "default via 192.0.2.9 dev v0 src 192.0.2.1",
    }
    assert [item.address for item in seen if isinstance(item, Neighbour)] == ["192.0.2.9"]


def test_two_default_routes_are_two_objects(node: Path) -> None:
    type_in(
        node,
        "ip link add v0 type veth peer name v1",
        "ip link set v0 up",
        "ip address add 192.0.2.1/24 dev v0",
        "ip -6 address add fd00::1/64 dev v0 nodad",
        "ip route add default via 192.0.2.9",
        "ip -6 route add default via fd00::9",
    )
    seen = look_at(node)
    assert Route(netns="node1", dst="default", via="fd00::9", dev="v0").key in seen
    assert Route(netns="node1", dst="default", via="192.0.2.9", dev="v0").key in seen


def test_settings_and_rules_are_read_where_they_are_asked_for(node: Path) -> None:
    type_in(node, "sysctl -qw net.ipv4.ip_forward=1", "iptables -A FORWARD -j ACCEPT", "iptables -N OWN", "ip6tables -A FORWARD -j DROP")
    rules = (Rule, SharedChain, Sysctl)  # each chain is a Chain too
    assert not [item for item in look_at(node).values() if isinstance(item, rules)]
    seen = look_at(node, FORWARD, JUMP, Sysctl(netns="node1", name="net/ipv4/conf/gone/forwarding", value="1"))
    assert [item for item in seen.values() if isinstance(item, rules)] == [FORWARD, JUMP, SharedChain(netns="node1", table="filter", name="OWN")]
    other = Rule(netns="node1", table="filter", family=6, chain="FORWARD", text="-j DROP")
    assert [item for item in look_at(node, other).values() if isinstance(item, rules)] == [other]
