"""The Lab document as typed frozen values with all defaults filled in: underlay, pod network, Services, DNS, ingress, nodes.

Addresses are `ipaddress` objects of either family; where dual stack gives two, a tuple holds the primary one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from klab.api.addresses import Address, Interface, Net, first_address

API_VERSION = "klab.dev/v1"
PLUGINS = ("bridge", "hostgw", "vxlan", "ipip", "plugin")
BRIDGED = frozenset({"bridge", "hostgw", "vxlan"})
"""Plugins that make pods ports of a bridge, which takes a gateway address and has 1023 ports."""
RESERVED_NODE_NAMES = frozenset({"client", "fabric", "router"})
"""Namespaces that each lab has beside its nodes."""
PROXIES = ("iptables", "ipvs", "nftables")
IPVS_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh")
DNS_SERVERS = ("builtin", "coredns", "none")
INGRESS_CONTROLLERS = ("haproxy", "nginx", "none")
MAX_PODS = 110
"""How many pods a node takes by default (KubeletConfiguration.maxPods)."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """One layer-2 segment of the underlay; `gateway` is the router's address in it."""

    cidr: Net
    gateway: Address


@dataclass(frozen=True, slots=True)
class Underlay:
    """What the nodes are plugged into; the first subnet takes the nodes without an address, `client` is the outside client's address and network."""

    subnets: tuple[Subnet, ...] = (Subnet(IPv4Network("172.18.0.0/24"), IPv4Address("172.18.0.1")),)
    interface: str = "eth0"
    mtu: int = 1500
    client: Interface = field(default_factory=lambda: IPv4Interface("203.0.113.10/24"))

    @property
    def client_gateway(self) -> Address:
        """Give the router's address in the client's network: the first one."""
        return first_address(self.client.network)

    def subnet_of(self, address: Address) -> Subnet | None:
        """Find the subnet that `address` is in."""
        return next((subnet for subnet in self.subnets if address in subnet.cidr), None)


@dataclass(frozen=True, slots=True)
class Network:
    """The pod network; `node_masks` has one prefix length per pod CIDR, `mtu` and `bridge` None leave the choice to the plugin.

    `cni_conf` is a CNI configuration list for plugin "plugin", None for klab's own; `cni_bin` is where its binaries are.
    """

    plugin: str = "vxlan"
    pod_cidrs: tuple[Net, ...] = (IPv4Network("10.244.0.0/16"),)
    node_masks: tuple[int, ...] = (24,)
    mtu: int | None = None
    bridge: str | None = None
    vni: int = 1
    port: int = 8472
    cni_conf: Mapping[str, Any] | None = None
    cni_bin: str = "/usr/lib/cni"


@dataclass(frozen=True, slots=True)
class Services:
    """Addresses and ports of Services and who serves them; `scheduler` is ipvs mode's."""

    cidrs: tuple[Net, ...] = (IPv4Network("10.96.0.0/12"),)
    proxy: str = "iptables"
    node_ports: range = range(30000, 32768)
    scheduler: str = "rr"

    @property
    def cidr(self) -> Net:
        """Give the primary CIDR."""
        return self.cidrs[0]


@dataclass(frozen=True, slots=True)
class Dns:
    """Cluster DNS; names outside `domain` go to `upstream`, REFUSED where there is none."""

    domain: str = "cluster.local"
    server: str = "builtin"
    upstream: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Ingress:
    """The ingress controller."""

    controller: str = "haproxy"


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node; effect is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node; `pods` is how many it takes at most, `capacity` its cpu and memory as Kubernetes quantities."""

    name: str
    addresses: tuple[Address, ...]
    pod_cidrs: tuple[Net, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    pods: int = MAX_PODS
    capacity: Mapping[str, str] = field(default_factory=lambda: {"cpu": "4", "memory": "8Gi"})

    @property
    def address(self) -> Address:
        """Give the primary address (status.addresses InternalIP)."""
        return self.addresses[0]

    @property
    def pod_cidr(self) -> Net:
        """Give the primary block of pod addresses (spec.podCIDR)."""
        return self.pod_cidrs[0]


@dataclass(frozen=True, slots=True)
class Lab:
    """A whole lab without its Kubernetes objects."""

    name: str
    underlay: Underlay
    network: Network
    services: Services
    dns: Dns
    ingress: Ingress
    nodes: tuple[NodeSpec, ...]

    def node(self, name: str) -> NodeSpec | None:
        """Find a node by its name."""
        return next((node for node in self.nodes if node.name == name), None)

    def to_object(self) -> dict[str, Any]:
        """Give the Lab document with every default spelt out; parsing it gives an equal Lab."""
        first, *others = self.underlay.subnets
        network, services, dns = self.network, self.services, self.dns
        spec: dict[str, Any] = {
            "underlay": _subnet_object(first)
            | {
                "interface": self.underlay.interface,
                "mtu": self.underlay.mtu,
                "client": {"cidr": str(self.underlay.client.network), "address": str(self.underlay.client.ip)},
            },
            "network": {
                "plugin": network.plugin,
                "podCIDR": _joined(network.pod_cidrs),
                "vni": network.vni,
                "port": network.port,
                "cniBin": network.cni_bin,
            },
            "services": {
                "cidr": _joined(services.cidrs),
                "proxy": services.proxy,
                "nodePorts": f"{services.node_ports.start}-{services.node_ports.stop - 1}",
                "scheduler": services.scheduler,
            },
            "dns": {"domain": dns.domain, "server": dns.server, "upstream": [str(address) for address in dns.upstream]},
            "ingress": {"controller": self.ingress.controller},
            "nodes": [_node_object(node) for node in self.nodes],
        }
        if others:
            spec["underlay"]["subnets"] = [_subnet_object(subnet) for subnet in others]
        for cidr, mask in zip(network.pod_cidrs, network.node_masks, strict=True):
            spec["network"]["nodeMask" if cidr.version == 4 else "nodeMaskIPv6"] = mask  # noqa: PLR2004
        optional = {"mtu": network.mtu, "bridge": network.bridge, "cniConf": network.cni_conf}
        spec["network"] |= {name: value for name, value in optional.items() if value is not None}
        return {"apiVersion": API_VERSION, "kind": "Lab", "metadata": {"name": self.name}, "spec": spec}


def _subnet_object(subnet: Subnet) -> dict[str, Any]:
    return {"cidr": str(subnet.cidr), "gateway": str(subnet.gateway)}


def _node_object(node: NodeSpec) -> dict[str, Any]:
    taints = [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in node.taints]
    return {
        "name": node.name,
        "address": _joined(node.addresses),
        "podCIDR": _joined(node.pod_cidrs),
        "labels": dict(node.labels),
        "taints": taints,
        "maxPods": node.pods,
        "capacity": dict(node.capacity),
    }


def _joined(values: Iterable[Address | Net]) -> str:
    return ",".join(str(value) for value in values)
