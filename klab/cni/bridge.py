"""Docker on one host: docker0, containers as its ports, masquerade for what leaves the host (moby libnetwork/drivers/bridge)."""

from __future__ import annotations

from collections.abc import Sequence

from klab.cni.bridged import plan_bridge, plan_port, settle_mtu
from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork
from klab.linux.iptables import Rule
from klab.linux.objects import KernelObject

_DOCKER_OUI = "02:42"


def plan_node(network: PodNetwork, node: NodeNetwork, _others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan docker0 and its masquerade; nothing leads to other hosts."""
    bridge = network.bridge or "docker0"
    masquerade = [
        Rule(
            netns=node.name,
            table="nat",
            chain="POSTROUTING",
            text=f"-s {block} ! -o {bridge} -j MASQUERADE",
            order=50,
            why=f"node/{node.name}: masquerade",
        )
        for block in node.blocks
        if block.version == 4  # noqa: PLR2004 (docker0 has no IPv6 by default)
    ]
    return [*plan_bridge(node, bridge, settle_mtu(network, 0)), *masquerade]


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan a container; its MAC address tells its IP address, as docker's do: 172.17.0.2 has 02:42:ac:11:00:02."""
    first = next((address for address in pod.ips if "." in address), "")
    mac = ":".join((_DOCKER_OUI, *(f"{int(octet):02x}" for octet in first.split(".")))) if first else ""
    return plan_port(node, pod, network.bridge or "docker0", settle_mtu(network, 0), hairpin=True, mac=mac)
