"""The wires: a namespace `fabric` with one bridge a subnet, a `router` that owns the gateway addresses, a `client` in the world behind it.

client ── router ──┬── fabric: bridge "fabric"  ── node1, node2 …   (first subnet)
                   └── fabric: bridge "fabric1" ── node3 …          (second subnet)
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from klab.api.lab import Underlay
from klab.linux import names
from klab.linux.objects import Address, Bridge, KernelObject, Netns, Route, Sysctl, Veth

OUTSIDE_INTERFACE = "world0"


@dataclass(frozen=True, slots=True)
class Wire:
    """How one node is plugged in: its address, the prefix length and the gateway of its subnet, the subnet's place in the list."""

    node: str
    address: str
    prefix: int
    gateway: str
    subnet: int


def calc_wire(underlay: Underlay, node: str, address: str) -> Wire:
    """Find the subnet that an address belongs to (validation made sure that there is one)."""
    place, subnet = next((place, subnet) for place, subnet in enumerate(underlay.subnets) if ip_address(address) in subnet.cidr)
    return Wire(node, address, subnet.cidr.prefixlen, str(subnet.gateway), place)


def plan_surroundings(underlay: Underlay) -> list[KernelObject]:
    """Plan fabric, router and client, without any node."""
    world, gateway = underlay.client, str(underlay.client_gateway)
    planned: list[KernelObject] = [
        Netns(netns=names.FABRIC, why="underlay switch"),
        Netns(netns=names.ROUTER, why="underlay router"),
        Netns(netns=names.CLIENT, why="the client outside"),
        Veth(netns=names.ROUTER, name=OUTSIDE_INTERFACE, peer_netns=names.CLIENT, peer="eth0", mtu=underlay.mtu, why="way to the world"),
        Sysctl(netns=names.ROUTER, name="net/ipv4/ip_forward", value="1", why="underlay router"),
        Address(netns=names.ROUTER, dev=OUTSIDE_INTERFACE, cidr=f"{gateway}/{world.network.prefixlen}", why="way to the world"),
        Address(netns=names.CLIENT, dev="eth0", cidr=str(world), why="the client outside"),
        Route(netns=names.CLIENT, dst="default", via=gateway, dev="eth0", why="the client outside"),
        *_rp_filter_off(names.ROUTER),
        *_rp_filter_off(names.CLIENT),
    ]
    for place, subnet in enumerate(underlay.subnets):
        why = f"underlay subnet {subnet.cidr}"
        planned += [
            Bridge(netns=names.FABRIC, name=_bridge(place), mtu=underlay.mtu, why=why),
            Veth(
                netns=names.FABRIC,
                name=f"router{place or ''}",
                peer_netns=names.ROUTER,
                peer=f"eth{place}",
                peer_mac=names.mac(f"router/eth{place}"),
                mtu=underlay.mtu,
                master=_bridge(place),
                why=why,
            ),
            Address(netns=names.ROUTER, dev=f"eth{place}", cidr=f"{subnet.gateway}/{subnet.cidr.prefixlen}", why=why),
        ]
    return planned


def plan_wire(underlay: Underlay, wire: Wire) -> list[KernelObject]:
    """Plan a node's namespace, its cable into the fabric, its address and its way out."""
    why = f"node/{wire.node}"
    port = wire.node if len(wire.node) <= 15 else names.interface("port", wire.node)  # noqa: PLR2004 (IFNAMSIZ - 1)
    device = underlay.interface
    return [
        Netns(netns=wire.node, why=why),
        Veth(
            netns=names.FABRIC,
            name=port,
            peer_netns=wire.node,
            peer=device,
            peer_mac=names.mac(f"{wire.node}/{device}"),
            mtu=underlay.mtu,
            master=_bridge(wire.subnet),
            why=why,
        ),
        Sysctl(netns=wire.node, name="net/ipv4/ip_forward", value="1", why=f"{why}: nodes route for their pods"),
        *_rp_filter_off(wire.node),
        Sysctl(netns=wire.node, name="net/ipv4/icmp_ratelimit", value="0", why=f"{why}: every refusal is told, also the second within a second"),
        Address(netns=wire.node, dev=device, cidr=f"{wire.address}/{wire.prefix}", why=why),
        Route(netns=wire.node, dst="default", via=wire.gateway, dev=device, proto="static", why=why),
    ]


def _rp_filter_off(netns: str) -> list[KernelObject]:
    """Accept asymmetric paths: a namespace inherits the host's reverse path filter, a teacher's network must not depend on it."""
    why = "no reverse path filter inherited from the host"
    return [Sysctl(netns=netns, name=f"net/ipv4/conf/{scope}/rp_filter", value="0", why=why) for scope in ("all", "default")]


def _bridge(place: int) -> str:
    return f"fabric{place or ''}"
