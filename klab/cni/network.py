"""The inputs of every pod network, and the choice of the plugin by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from klab.linux import names
from klab.linux.objects import KernelObject

Block = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The cluster's settings: plugin, all pod CIDRs, the underlay's subnets and MTU, VXLAN's number and port; "" and 0 leave it to the plugin."""

    plugin: str
    pod_cidrs: tuple[Block, ...]
    underlay: tuple[Block, ...]
    interface: str = "eth0"
    underlay_mtu: int = 1500
    mtu: int = 0
    bridge: str = ""
    vni: int = 1
    port: int = 8472
    cni_conf: Mapping[str, Any] | None = None
    cni_bin: str = "/usr/lib/cni"
    state_directory: str = ""  # where CNI plugins keep their allocations


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """A node: its underlay address, its blocks of pod addresses, and the address in each block that its bridge has."""

    name: str
    address: str
    blocks: tuple[Block, ...]
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the node that leads to a port of a pod."""

    host_port: int
    container_port: int
    protocol: str
    host_ip: str


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """A pod that gets an interface on its node; `ips` one address a family, `ports` those that it wants on its node."""

    namespace: str
    name: str
    ips: tuple[str, ...]
    uid: str = ""
    ports: tuple[HostPort, ...] = ()

    @property
    def netns(self) -> str:
        """Name its network namespace."""
        return names.pod_netns(self.namespace, self.name)

    @property
    def why(self) -> str:
        """Name it in a reason."""
        return f"pod/{self.name}" if self.namespace == "default" else f"pod/{self.namespace}/{self.name}"


NodePlan = Callable[[PodNetwork, NodeNetwork, Sequence[NodeNetwork]], list[KernelObject]]
PodPlan = Callable[[PodNetwork, NodeNetwork, PodAttachment], list[KernelObject]]


def plan_node(network: PodNetwork, node: NodeNetwork, others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan what the node needs for its own pods and for the way to those of all other nodes."""
    planner: NodePlan = import_module(f"klab.cni.{network.plugin}").plan_node
    return planner(network, node, others)


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan the pod's namespace, its interface, address and routes, and what the node adds for it."""
    planner: PodPlan = import_module(f"klab.cni.{network.plugin}").plan_pod
    return planner(network, node, pod)


def family(address: str) -> int:
    """Tell 4 from 6."""
    return ip_address(address).version


def host_prefix(address: str) -> str:
    """Write the address alone as a prefix: /32 or /128."""
    return f"{address}/{32 if family(address) == 4 else 128}"  # noqa: PLR2004 (IP versions and their bits)


def same_family(blocks: Sequence[Block], address: str) -> Block:
    """Find the block of the address's family."""
    return next(block for block in blocks if block.version == family(address))
