"""Pod networks by plain routes, as kubenet's cbr0 with a cloud's routes, or flannel's host-gw: each node is the gateway to its pods.

It needs a flat underlay: a node in another subnet cannot be a next hop (flannel's host-gw: "must have direct layer 2 connectivity").
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from klab.cni.bridged import plan_bridge, plan_port, settle_mtu
from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork, family
from klab.linux.iptables import Chain, Rule
from klab.linux.objects import KernelObject, Route

_CHAIN = "KUBENET-MASQ"


def plan_node(network: PodNetwork, node: NodeNetwork, others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan cbr0, a route to every other node's block that can be reached, and masquerade for what leaves the cluster."""
    routes = [
        Route(netns=node.name, dst=str(block), via=other.address, dev=network.interface, why=f"pods of node/{other.name}")
        for other in others
        if reachable(network, node, other)
        for block in other.blocks
        if block.version == family(other.address)
    ]
    return [*plan_bridge(node, network.bridge or "cbr0", settle_mtu(network, 0)), *routes, *plan_masquerade(network, node)]


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan the pod as a port of cbr0."""
    return plan_port(node, pod, network.bridge or "cbr0", settle_mtu(network, 0), hairpin=True)


def reachable(network: PodNetwork, node: NodeNetwork, other: NodeNetwork) -> bool:
    """Say whether the other node is in the same subnet, without a router between."""
    return any(ip_address(node.address) in subnet and ip_address(other.address) in subnet for subnet in network.underlay)


def plan_masquerade(network: PodNetwork, node: NodeNetwork) -> list[KernelObject]:
    """Masquerade what leaves the cluster, as kubenet does beyond its non-masquerade CIDRs: pods and nodes see each other's own addresses."""
    why = f"node/{node.name}: masquerade"
    inside = [str(cidr) for cidr in (*network.pod_cidrs, *network.underlay) if cidr.version == 4]  # noqa: PLR2004 (iptables is IPv4's)
    text = '-m comment --comment "kubenet: SNAT for outbound traffic from cluster"'
    returns = tuple(f"-d {cidr} {text} -j RETURN" for cidr in inside)
    return [
        Chain(netns=node.name, table="nat", name=_CHAIN, rules=(*returns, f"{text} -j MASQUERADE"), why=why),
        *(
            Rule(
                netns=node.name,
                table="nat",
                chain="POSTROUTING",
                text=f"-s {block} {text} -m addrtype ! --dst-type LOCAL -j {_CHAIN}",
                order=50,
                why=why,
            )
            for block in network.pod_cidrs
            if block.version == 4  # noqa: PLR2004 (iptables is IPv4's)
        ),
    ]
