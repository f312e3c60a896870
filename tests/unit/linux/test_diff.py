"""Desired minus observed, in an order that works."""

from __future__ import annotations

from dataclasses import replace

from klab.linux.diff import Operation, diff
from klab.linux.objects import Address, Bridge, KernelObject, Key, Link, Netns, Route, Veth, Vxlan

NODE = Netns(netns="node1")
BRIDGE = Bridge(netns="node1", name="cni0", mtu=1450)
POD = Netns(netns="default_a")
CABLE = Veth(netns="node1", name="veth1", peer_netns="default_a", peer="eth0", mtu=1450, master="cni0", hairpin=True)
ADDRESS = Address(netns="default_a", dev="eth0", cidr="10.244.1.2/24")
GATEWAY = Route(netns="default_a", dst="169.254.1.1", dev="eth0", scope="link")
DEFAULT = Route(netns="default_a", dst="default", via="169.254.1.1", dev="eth0")
ALL = [DEFAULT, GATEWAY, ADDRESS, CABLE, POD, BRIDGE, NODE]


def observed(*objects: KernelObject) -> dict[Key, KernelObject]:
    """Give objects as the kernel shows them: a veth end does not know its other end's name, and links have addresses of their own."""
    seen = []
    for item in objects:
        if isinstance(item, Veth):
            seen += [replace(item, peer_netns="", peer="", mac="02:00:00:00:00:01")]
            seen += [Veth(netns=item.peer_netns, name=item.peer, peer_netns="", peer="", mtu=item.mtu, mac="02:00:00:00:00:02")]
        else:
            seen.append(replace(item, mac="02:00:00:00:00:03") if isinstance(item, Link) and not item.mac else item)
    return {item.key: item for item in seen}


def test_everything_is_created_from_the_bottom_up() -> None:
    steps = diff(ALL, {})
    assert [step.verb for step in steps] == ["create"] * 7
    places = {step.object.key: place for place, step in enumerate(steps)}
    order = [NODE, BRIDGE, CABLE, ADDRESS, GATEWAY, DEFAULT]
    assert sorted(order, key=lambda item: places[item.key]) == order
    assert places[POD.key] < places[CABLE.key]


def test_what_stands_needs_nothing() -> None:
    assert diff(ALL, observed(*ALL)) == []


def test_a_missing_route_comes_back_alone() -> None:
    standing = observed(*ALL)
    del standing[DEFAULT.key]
    assert diff(ALL, standing) == [Operation("create", DEFAULT)]


def test_a_link_that_lost_settings_is_changed_not_made_again() -> None:
    standing = observed(*ALL)
    standing |= {BRIDGE.key: replace(standing[BRIDGE.key], up=False)}  # type: ignore[type-var]
    assert [(step.verb, step.object) for step in diff(ALL, standing)] == [("change", BRIDGE)]


def test_a_far_end_that_is_down_is_a_change_of_the_pair() -> None:
    standing = observed(*ALL)
    far = ("Link", "default_a", "eth0")
    standing[far] = replace(standing[far], up=False)  # type: ignore[type-var]
    assert [(step.verb, step.object) for step in diff(ALL, standing)] == [("change", CABLE)]


def test_what_hangs_on_a_pair_that_is_made_again_is_made_again() -> None:
    standing = observed(*ALL)
    del standing["Link", "default_a", "eth0"]
    steps = diff(ALL, standing)
    assert steps[0].verb == "delete"
    assert [step.object for step in steps[1:]] == [CABLE, ADDRESS, GATEWAY, DEFAULT]


def test_ports_join_a_bridge_that_is_made_again() -> None:
    standing = observed(*ALL)
    standing[BRIDGE.key] = Link(netns="node1", name="cni0")
    steps = diff(ALL, standing)
    assert [(step.verb, step.object.key) for step in steps] == [("delete", BRIDGE.key), ("create", BRIDGE.key), ("change", CABLE.key)]


def test_a_tunnel_with_another_number_is_another_tunnel() -> None:
    tunnel = Vxlan(netns="node1", name="flannel.1", vni=1, local="172.18.0.2", device_below="eth0")
    steps = diff([tunnel], observed(replace(tunnel, vni=2)))
    assert [step.verb for step in steps] == ["delete", "create"]


def test_strangers_are_left_alone_and_stale_objects_removed_from_the_top() -> None:
    by_hand = Route(netns="node1", dst="9.9.9.9", dev="eth0")
    steps = diff([NODE, BRIDGE], observed(*ALL, by_hand), stale=[POD, CABLE, ADDRESS, DEFAULT])
    assert [(step.verb, step.object) for step in steps] == [("delete", DEFAULT), ("delete", ADDRESS), ("delete", CABLE), ("delete", POD)]


def test_stale_objects_that_are_gone_already_need_nothing() -> None:
    assert diff([NODE], observed(NODE), stale=[ADDRESS]) == []


def test_operations_read_as_a_person_would_type_them() -> None:
    def q(name: str) -> str:
        return f"lab_{name}"

    assert Operation("create", CABLE).lines(q) == (
        "ip -n lab_node1 link add veth1 mtu 1450 type veth peer name eth0 mtu 1450 netns lab_default_a",
        "ip -n lab_node1 link set veth1 master cni0",
        "bridge -n lab_node1 link set dev veth1 hairpin on",
        "ip -n lab_node1 link set veth1 up",
        "ip -n lab_default_a link set eth0 up",
    )
    assert Operation("create", DEFAULT).lines(q) == ("ip -n lab_default_a route replace default via 169.254.1.1 dev eth0",)
    assert Operation("delete", POD).lines(q) == ("ip netns del lab_default_a",)
