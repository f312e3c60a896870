"""What all networks with a bridge on each node share: the bridge itself, and a pod as a port of it."""

from __future__ import annotations

from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork, family, same_family
from klab.linux import names
from klab.linux.objects import Address, Bridge, KernelObject, Netns, Route, Sysctl, Veth


def plan_bridge(node: NodeNetwork, name: str, mtu: int) -> list[KernelObject]:
    """Plan the bridge with the gateway address of each of the node's blocks.

    br_netfilter is on so that replies between two ports of the bridge pass conntrack and are un-NATed for Services. The bridge has a MAC address of
    its own: without one it takes its ports' lowest, and the pods' idea of their gateway ends with the pod that has it.
    """
    why = f"node/{node.name}: pod network"
    return [
        Bridge(netns=node.name, name=name, mtu=mtu, mac=names.mac(f"{node.name}/{name}"), why=why),
        Sysctl(netns=node.name, name="net/bridge/bridge-nf-call-iptables", value="1", why=why),
        *(Address(netns=node.name, dev=name, cidr=f"{gateway}/{same_family(node.blocks, gateway).prefixlen}", why=why) for gateway in node.gateways),
    ]


def plan_port(  # noqa: PLR0913 (what makes one bridge's ports differ from another's)
    node: NodeNetwork, pod: PodAttachment, bridge: str, mtu: int, *, hairpin: bool, mac: str = ""
) -> list[KernelObject]:
    """Plan a pod with a veth pair into the bridge, its addresses and a default route over the bridge's address."""
    planned: list[KernelObject] = [
        Netns(netns=pod.netns, why=pod.why),
        Veth(
            netns=node.name,
            name=names.interface("veth", f"{pod.namespace}/{pod.name}"),
            peer_netns=pod.netns,
            peer="eth0",
            peer_mac=mac or _mac(pod),
            mtu=mtu,
            master=bridge,
            hairpin=hairpin,
            why=pod.why,
        ),
    ]
    for address in pod.ips:
        block = same_family(node.blocks, address)
        gateway = next(gateway for gateway in node.gateways if family(gateway) == block.version)
        planned += [
            Address(netns=pod.netns, dev="eth0", cidr=f"{address}/{block.prefixlen}", why=pod.why),
            Route(netns=pod.netns, dst="default", via=gateway, dev="eth0", why=pod.why),
        ]
    return planned


def _mac(pod: PodAttachment) -> str:
    """Derive a pod's MAC address from its first IPv4 address, as the CNI bridge plugin did: who inherits an address has no stale neighbours."""
    first = next((address for address in pod.ips if family(address) == 4), "")  # noqa: PLR2004 (four octets)
    return ":".join(("0a", "58", *(f"{int(octet):02x}" for octet in first.split(".")))) if first else names.mac(pod.netns)


def settle_mtu(network: PodNetwork, overhead: int) -> int:
    """Give the pods' MTU: the one asked for, else the underlay's less the encapsulation."""
    return network.mtu or network.underlay_mtu - overhead
