"""Pod networks by a VXLAN overlay, as flannel's vxlan backend: cni0, flannel.1, and for each other node a neighbour, an FDB entry and a route.

flannel pkg/backend/vxlan/vxlan_network.go, pkg/trafficmngr/iptables/iptables.go. The order neighbour, FDB, route is that of klab.linux' ranks: with
the route first the kernel would ARP into the void.
"""

from __future__ import annotations

from collections.abc import Sequence

from klab.cni.bridged import plan_bridge, plan_port, settle_mtu
from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork, family
from klab.linux import names
from klab.linux.iptables import Chain, Rule
from klab.linux.objects import Address, Fdb, KernelObject, Neighbour, Route, Vxlan

_OVERHEAD = 50
_MASQ = '-m comment --comment "flanneld masq"'
_FORWARD = '-m comment --comment "flanneld forward"'


def plan_node(network: PodNetwork, node: NodeNetwork, others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan cni0, flannel.1 with the block's network address, and the way to every other node's block."""
    device, why = f"flannel.{network.vni}", f"node/{node.name}: pod network"
    mtu = settle_mtu(network, _OVERHEAD)
    return [
        *plan_bridge(node, network.bridge or "cni0", mtu),
        Vxlan(
            netns=node.name,
            name=device,
            mtu=mtu,
            mac=_tunnel_mac(node),
            vni=network.vni,
            local=node.address,
            device_below=network.interface,
            port=network.port,
            why=why,
        ),
        *(Address(netns=node.name, dev=device, cidr=f"{block.network_address}/{block.max_prefixlen}", why=why) for block in node.blocks),
        *(item for other in others for item in _plan_way(node, other, device)),
        *_plan_rules(network, node),
    ]


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan the pod as a port of cni0."""
    return plan_port(node, pod, network.bridge or "cni0", settle_mtu(network, _OVERHEAD), hairpin=True)


def _plan_way(node: NodeNetwork, other: NodeNetwork, device: str) -> list[KernelObject]:
    why = f"pods of node/{other.name}"
    planned: list[KernelObject] = [Fdb(netns=node.name, dev=device, mac=_tunnel_mac(other), dst=other.address, why=why)]
    for block in other.blocks:
        tunnel_end = str(block.network_address)
        planned += [
            Neighbour(netns=node.name, dev=device, address=tunnel_end, mac=_tunnel_mac(other), why=why),
            Route(netns=node.name, dst=str(block), via=tunnel_end, dev=device, onlink=True, why=why),
        ]
    return planned


def _plan_rules(network: PodNetwork, node: NodeNetwork) -> list[KernelObject]:
    """Plan flannel's own chains: traffic between pods keeps its addresses, what leaves the cluster is masqueraded."""
    why = f"node/{node.name}: masquerade"
    planned: list[KernelObject] = []
    for cluster in (cidr for cidr in network.pod_cidrs if family(str(cidr.network_address)) == 4):  # noqa: PLR2004 (iptables is IPv4's)
        own = next(block for block in node.blocks if block.version == cluster.version)
        masquerade = (
            f"-m mark --mark 0x4000/0x4000 {_MASQ} -j RETURN",
            f"-s {own} -d {cluster} {_MASQ} -j RETURN",
            f"-s {cluster} -d {own} {_MASQ} -j RETURN",
            f"! -s {cluster} -d {own} {_MASQ} -j RETURN",
            f"-s {cluster} ! -d 224.0.0.0/4 {_MASQ} -j MASQUERADE --random-fully",
            f"! -s {cluster} -d {cluster} {_MASQ} -j MASQUERADE --random-fully",
        )
        forward = (f"-s {cluster} {_FORWARD} -j ACCEPT", f"-d {cluster} {_FORWARD} -j ACCEPT")
        planned += [
            Chain(netns=node.name, table="nat", name="FLANNEL-POSTRTG", rules=masquerade, why=why),
            Rule(netns=node.name, table="nat", chain="POSTROUTING", text=f"{_MASQ} -j FLANNEL-POSTRTG", order=50, why=why),
            Chain(netns=node.name, table="filter", name="FLANNEL-FWD", rules=forward, why=why),
            Rule(netns=node.name, table="filter", chain="FORWARD", text=f"{_FORWARD} -j FLANNEL-FWD", order=50, why=why),
        ]
    return planned


def _tunnel_mac(node: NodeNetwork) -> str:
    """Give the MAC address of the node's flannel.1, known to all without asking."""
    return names.mac(f"flannel/{node.name}")
