"""What ought to stand in the kernel, by owner: the underlay, each node, each pod. A pure reading of the store's objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from klab.api.lab import Lab
from klab.api.pod import Pod
from klab.cloud.underlay import calc_wire, plan_surroundings, plan_wire
from klab.cni.hostlocal import calc_gateway, calc_reserved
from klab.cni.network import HostPort, NodeNetwork, PodAttachment, PodNetwork, plan_node, plan_pod
from klab.linux.objects import KernelObject

UNDERLAY = "underlay"
PINNED_ANNOTATION = "klab.dev/pinned-addresses"
"""On a Node: the addresses of its block that pods were pinned to when the lab was made; the bridge and other pods keep away from them."""

Owned = dict[str, tuple[KernelObject, ...]]


@dataclass(frozen=True, slots=True)
class Topology:
    """The lab's settings and its present nodes."""

    lab: Lab
    nodes: Mapping[str, NodeNetwork] = field(default_factory=dict)
    state_directory: str = ""
    pinned: frozenset[str] = frozenset()

    @classmethod
    def of(cls, lab: Lab, nodes: Iterable[Mapping[str, Any]], state_directory: str) -> Topology:
        """Read the Node objects; CNI plugins keep their allocations in `state_directory`."""
        nodes = list(nodes)
        pinned = frozenset(address for obj in nodes for address in _pinned(obj))
        return cls(lab, {node.name: node for node in (_node_network(lab, obj) for obj in nodes)}, state_directory, pinned)

    def plan_base(self) -> Owned:
        """Plan underlay and nodes."""
        network, underlay = self.pod_network, self.lab.underlay
        planned: Owned = {UNDERLAY: tuple(plan_surroundings(underlay))}
        for node in self.nodes.values():
            others = [other for other in self.nodes.values() if other is not node]
            wire = calc_wire(underlay, node.name, node.address)
            planned[node_owner(node.name)] = (*plan_wire(underlay, wire), *plan_node(network, node, others))
        return planned

    def plan_pod(self, pod: Pod) -> tuple[KernelObject, ...]:
        """Plan what stands for a pod: nothing before it has a node and an address, on the node's own network, or after its end."""
        node = self.nodes.get(pod.node_name)
        if node is None or pod.host_network or pod.finished or not (pod.pod_ips or self.plugins_address):
            return ()
        ports = tuple(
            HostPort(port.host_port, port.container_port, port.protocol, port.host_ip)
            for container in (*pod.containers, *pod.init_containers)
            for port in container.ports
            if port.host_port
        )
        ips = pod.fixed_ips if self.plugins_address else pod.pod_ips
        return tuple(plan_pod(self.pod_network, node, PodAttachment(pod.namespace, pod.name, ips, pod.uid, ports)))

    @property
    def plugins_address(self) -> bool:
        """Say whether CNI plugins choose the pods' addresses, and tell them once a pod is attached."""
        return self.lab.network.plugin == "plugin"

    def reserved(self, node: str) -> frozenset[str]:
        """Give the addresses of a node's blocks that no pod gets."""
        found = self.nodes[node]
        gateways = found.gateways or ("",) * len(found.blocks)
        return frozenset(address for block, gateway in zip(found.blocks, gateways, strict=True) for address in calc_reserved(block, gateway))

    @property
    def pod_network(self) -> PodNetwork:
        """Give the settings that the CNI planners take."""
        network, underlay = self.lab.network, self.lab.underlay
        return PodNetwork(
            plugin=network.plugin,
            pod_cidrs=network.pod_cidrs,
            underlay=tuple(subnet.cidr for subnet in underlay.subnets),
            interface=underlay.interface,
            underlay_mtu=underlay.mtu,
            mtu=network.mtu or 0,
            bridge=network.bridge or "",
            vni=network.vni,
            port=network.port,
            cni_conf=network.cni_conf,
            cni_bin=network.cni_bin,
            state_directory=self.state_directory,
        )


def node_owner(name: str) -> str:
    """Name a node as an owner of kernel objects."""
    return f"node/{name}"


def pod_owner(namespace: str, name: str) -> str:
    """Name a pod as an owner of kernel objects."""
    return f"pod/{namespace}/{name}"


def _node_network(lab: Lab, obj: Mapping[str, Any]) -> NodeNetwork:
    name = obj["metadata"]["name"]
    address = next(entry["address"] for entry in obj["status"]["addresses"] if entry["type"] == "InternalIP")
    blocks = tuple(ip_network(cidr) for cidr in obj["spec"]["podCIDRs"])
    gateways = (calc_gateway(lab.network.plugin, block, _pinned(obj)) for block in blocks)
    return NodeNetwork(name, address, blocks, tuple(gateway for gateway in gateways if gateway))


def _pinned(obj: Mapping[str, Any]) -> list[str]:
    return [address for address in (obj["metadata"].get("annotations") or {}).get(PINNED_ANNOTATION, "").split(",") if address]
