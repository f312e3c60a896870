"""Each pod network has the shape that its original builds."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from klab.cni.hostlocal import Pool, calc_gateway, calc_reserved
from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork, plan_node, plan_pod
from klab.errors import KlabError
from klab.linux import names
from klab.linux.objects import Address, Bridge, Fdb, KernelObject, Neighbour, Route, Veth, Vxlan

NODE1 = NodeNetwork("node1", "172.16.224.51", (ip_network("192.168.166.128/26"),), ("192.168.166.129",))
NODE2 = NodeNetwork("node2", "172.16.224.52", (ip_network("192.168.104.0/26"),), ("192.168.104.1",))
FAR = NodeNetwork("far", "172.16.225.9", (ip_network("192.168.7.0/26"),), ("192.168.7.1",))
POD = PodAttachment("default", "echo", ("192.168.166.142",), "uid-1")


def network(plugin: str, **more: object) -> PodNetwork:
    subnets = (ip_network("172.16.224.0/24"), ip_network("172.16.225.0/24"))
    return PodNetwork(plugin, (ip_network("192.168.0.0/16"),), subnets, interface="ens192", **more)  # type: ignore[arg-type]


def routes(planned: list[KernelObject], netns: str) -> list[str]:
    return [item.words for item in planned if isinstance(item, Route) and item.netns == netns]


def find(planned: list[KernelObject], kind: type[KernelObject]) -> KernelObject:
    (found,) = (item for item in planned if isinstance(item, kind))
    return found


def test_hostgw_routes_over_the_other_node() -> None:
    planned = plan_node(network("hostgw"), NODE1, [NODE2])
    assert routes(planned, "node1") == ["192.168.104.0/26 via 172.16.224.52 dev ens192"]
    assert Bridge(netns="node1", name="cbr0", mtu=1500, mac=names.mac("node1/cbr0")) in planned


def test_hostgw_has_no_next_hop_behind_a_router() -> None:
    assert routes(plan_node(network("hostgw"), NODE1, [FAR]), "node1") == []


def test_vxlan_is_flannels() -> None:
    planned = plan_node(network("vxlan"), NODE1, [FAR])
    tunnel = find(planned, Vxlan)
    assert isinstance(tunnel, Vxlan)
    assert (tunnel.name, tunnel.mtu, tunnel.vni, tunnel.port, tunnel.local) == ("flannel.1", 1450, 1, 8472, "172.16.224.51")
    assert routes(planned, "node1") == ["192.168.7.0/26 via 192.168.7.0 dev flannel.1 onlink"]
    assert Address(netns="node1", dev="flannel.1", cidr="192.168.166.128/32") in planned
    neighbour, entry = find(planned, Neighbour), find(planned, Fdb)
    assert isinstance(neighbour, Neighbour)
    assert isinstance(entry, Fdb)
    assert (neighbour.address, entry.dst) == ("192.168.7.0", "172.16.225.9")
    far = find(plan_node(network("vxlan"), FAR, [NODE1]), Vxlan)
    assert isinstance(far, Vxlan)
    assert neighbour.mac == entry.mac == far.mac


def test_ipip_is_calicos() -> None:
    planned = plan_node(network("ipip"), NODE1, [NODE2])
    assert routes(planned, "node1") == [
        "blackhole 192.168.166.128/26 proto bird",
        "192.168.104.0/26 via 172.16.224.52 dev tunl0 proto bird onlink",
    ]
    assert Address(netns="node1", dev="tunl0", cidr="192.168.166.128/32") in planned
    pod = plan_pod(network("ipip"), NODE1, POD)
    assert routes(pod, POD.netns) == ["169.254.1.1 dev eth0 scope link", "default via 169.254.1.1 dev eth0"]
    cable = find(pod, Veth)
    assert isinstance(cable, Veth)
    assert (cable.mtu, cable.mac, cable.master, cable.name[:4], len(cable.name)) == (1480, "ee:ee:ee:ee:ee:ee", "", "cali", 15)
    assert routes(pod, "node1") == [f"192.168.166.142 dev {cable.name} scope link"]


def test_bridge_is_dockers() -> None:
    host = NodeNetwork("host", "172.18.0.2", (ip_network("172.17.0.0/16"),), ("172.17.0.1",))
    planned = plan_node(network("bridge"), host, [])
    assert Address(netns="host", dev="docker0", cidr="172.17.0.1/16") in planned
    cable = find(plan_pod(network("bridge"), host, PodAttachment("default", "web", ("172.17.0.2",))), Veth)
    assert isinstance(cable, Veth)
    assert (cable.master, cable.peer_mac) == ("docker0", "02:42:ac:11:00:02")


@pytest.mark.parametrize("plugin", ["bridge", "hostgw", "vxlan", "ipip", "plugin"])
def test_every_object_says_what_it_is_for_and_no_two_are_one(plugin: str) -> None:
    planned = [*plan_node(network(plugin), NODE1, [NODE2, FAR]), *plan_pod(network(plugin), NODE1, POD)]
    assert all(item.why for item in planned)
    assert len({item.key for item in planned}) == len(planned)


def test_dual_stack_gives_both_families_their_routes() -> None:
    node = NodeNetwork("n", "172.16.224.51", (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")), ("10.1.0.1", "fd00:1::1"))
    planned = plan_pod(network("hostgw"), node, PodAttachment("default", "p", ("10.1.0.5", "fd00:1::5")))
    assert [item.cidr for item in planned if isinstance(item, Address)] == ["10.1.0.5/24", "fd00:1::5/64"]
    assert routes(planned, "default_p") == ["default via 10.1.0.1 dev eth0", "default via fd00:1::1 dev eth0"]


def test_the_gateway_makes_way_for_a_pod_that_wants_its_address() -> None:
    block = ip_network("10.20.9.0/24")
    assert calc_gateway("hostgw", block) == "10.20.9.1"
    assert calc_gateway("hostgw", block, ["10.20.9.1"]) == "10.20.9.254"
    assert calc_reserved(block, "10.20.9.254") == {"10.20.9.0", "10.20.9.254", "10.20.9.255"}


def test_calico_uses_its_whole_block_but_for_the_tunnels_address() -> None:
    block = ip_network("192.168.104.0/26")
    assert calc_gateway("ipip", block) == ""
    assert calc_reserved(block, "") == {"192.168.104.0"}


def test_a_pool_goes_round_and_says_when_it_is_full() -> None:
    block = ip_network("10.0.0.0/29")
    pool = Pool(block, calc_reserved(block, "10.0.0.1"), ["10.0.0.2"])
    given = [pool.take("pod default/x") for _ in range(4)]
    assert given == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(KlabError, match=r"no IP addresses available in range set: 10\.0\.0\.0/29 for pod default/y"):
        pool.take("pod default/y")
    pool.release("10.0.0.2")
    assert pool.take("pod default/y") == "10.0.0.2"


def test_what_is_kept_goes_to_those_who_ask_for_it() -> None:
    block = ip_network("10.0.0.0/29")
    pool = Pool(block, calc_reserved(block, "10.0.0.1"), ["10.0.0.2"], kept=["10.0.0.3", "10.0.0.5"])
    assert [pool.take("pod default/x"), pool.claim("10.0.0.3", "pod default/y"), pool.take("pod default/x")] == ["10.0.0.4", "10.0.0.3", "10.0.0.6"]


@pytest.mark.parametrize(
    ("address", "words"), [("10.1.0.1", "not in the node's block"), ("10.0.0.1", "not available"), ("10.0.0.2", "not available")]
)
def test_a_fixed_address_has_to_be_free_and_in_the_block(address: str, words: str) -> None:
    block = ip_network("10.0.0.0/29")
    pool = Pool(block, calc_reserved(block, "10.0.0.1"), ["10.0.0.2"])
    with pytest.raises(KlabError, match=words):
        pool.claim(address, "pod default/x")
