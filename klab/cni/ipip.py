"""Pod networks by IP-in-IP, as Calico's: no bridge, a /32 route a pod, proxy ARP as the pods' gateway, tunl0 to the other nodes.

projectcalico/calico cni-plugin/internal/pkg/utils, felix/dataplane/linux, confd's bird_ipam.cfg (the blackhole of the own block).
"""

from __future__ import annotations

from collections.abc import Sequence

from klab.cni.bridged import settle_mtu
from klab.cni.network import Block, NodeNetwork, PodAttachment, PodNetwork, host_prefix
from klab.linux import names
from klab.linux.iptables import Chain, Rule
from klab.linux.objects import Address, Ipip, KernelObject, Netns, Route, Sysctl, Veth

GATEWAY = "169.254.1.1"
TUNNEL = "tunl0"
_OVERHEAD = 20
_HOST_MAC = "ee:ee:ee:ee:ee:ee"


def plan_node(network: PodNetwork, node: NodeNetwork, others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan tunl0 with the first address of the block, a blackhole for the block's free addresses, a route to every other block."""
    why = f"node/{node.name}: pod network"
    return [
        Ipip(netns=node.name, name=TUNNEL, mtu=settle_mtu(network, _OVERHEAD), why=why),
        *(Address(netns=node.name, dev=TUNNEL, cidr=host_prefix(str(block.network_address)), why=why) for block in _ipv4(node)),
        *(Route(netns=node.name, dst=str(block), type="blackhole", proto="bird", why=f"{why}: free addresses") for block in _ipv4(node)),
        *(
            Route(netns=node.name, dst=str(block), via=other.address, dev=TUNNEL, proto="bird", onlink=True, why=f"pods of node/{other.name}")
            for other in others
            for block in _ipv4(other)
        ),
        *_plan_masquerade(network, node),
    ]


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan the pod: everything goes to 169.254.1.1, for which the node's end of the pair answers by proxy ARP."""
    outer = names.interface("cali", f"{pod.namespace}.{pod.name}")
    planned: list[KernelObject] = [
        Netns(netns=pod.netns, why=pod.why),
        Veth(
            netns=node.name,
            name=outer,
            mac=_HOST_MAC,
            peer_netns=pod.netns,
            peer="eth0",
            mtu=settle_mtu(network, _OVERHEAD),
            why=pod.why,
        ),
        Sysctl(netns=node.name, name=f"net/ipv4/conf/{outer}/proxy_arp", value="1", why=pod.why),
        Sysctl(netns=node.name, name=f"net/ipv4/neigh/{outer}/proxy_delay", value="0", why=pod.why),
        Route(netns=pod.netns, dst=GATEWAY, dev="eth0", scope="link", why=pod.why),
        Route(netns=pod.netns, dst="default", via=GATEWAY, dev="eth0", why=pod.why),
    ]
    for address in pod.ips:
        planned += [
            Address(netns=pod.netns, dev="eth0", cidr=host_prefix(address), why=pod.why),
            Route(netns=node.name, dst=address, dev=outer, scope="link", why=pod.why),
        ]
    return planned


def _ipv4(node: NodeNetwork) -> list[Block]:
    return [block for block in node.blocks if block.version == 4]  # noqa: PLR2004 (IP-in-IP carries IPv4)


def _plan_masquerade(network: PodNetwork, node: NodeNetwork) -> list[KernelObject]:
    """Plan Calico's outgoing NAT (felix/rules/nat.go): from a pool to outside all pools."""
    why = f"node/{node.name}: masquerade"
    outgoing = tuple(f"-s {pool} ! -d {pool} -j MASQUERADE --random-fully" for pool in network.pod_cidrs if pool.version == 4)  # noqa: PLR2004 (IPv4 pools)
    return [
        Chain(netns=node.name, table="nat", name="cali-nat-outgoing", rules=outgoing, why=why),
        Chain(netns=node.name, table="nat", name="cali-POSTROUTING", rules=("-j cali-nat-outgoing",), why=why),
        Rule(netns=node.name, table="nat", chain="POSTROUTING", text="-j cali-POSTROUTING", order=50, why=why),
    ]
