"""What a planner has to know beside services: the node that it plans for, and kube-proxy's configuration (KubeProxyConfiguration, v1alpha1)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["iptables", "ipvs", "nftables"]
MODES: tuple[str, ...] = get_args(Mode)
_IPV6 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyNode:
    """A node: `ip` is its InternalIP, `addresses` all that its interfaces carry (without loopback and kube-ipvs0), `zone` its topology zone."""

    name: str
    netns: str
    ip: str
    addresses: tuple[str, ...] = ()
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """How kube-proxy runs, for one address family (4 or 6), with its defaults.

    `cluster_cidr` holds the addresses of all pods: what comes from elsewhere to a cluster IP is masqueraded; "" switches that off.
    `node_port_addresses` () means that node ports are open on every address of a node.
    """

    mode: Mode = "iptables"
    family: Literal[4, 6] = 4
    cluster_cidr: str = ""
    service_cidrs: tuple[str, ...] = ()
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    masquerade_all: bool = False
    masquerade_bit: int = 14
    scheduler: str = "rr"
    strict_arp: bool = False

    @property
    def ipv6(self) -> bool:
        """Tell whether this is the IPv6 half."""
        return self.family == _IPV6

    @property
    def mark(self) -> int:
        """Give the packet mark that asks for masquerading: 0x4000."""
        return 1 << self.masquerade_bit

    @property
    def loopback(self) -> str:
        """Give the family's loopback range as iptables prints it."""
        return "::1/128" if self.ipv6 else "127.0.0.0/8"

    def own(self, address: str) -> bool:
        """Tell whether an address or CIDR is of this family."""
        return (":" in address) == self.ipv6

    def node_port_ips(self, node: ProxyNode) -> tuple[str, ...] | None:
        """Give the node's addresses that node ports are open on, None where that is all of them (proxyutil.NodePortAddresses)."""
        cidrs = [ipaddress.ip_network(cidr, strict=False) for cidr in self.node_port_addresses if self.own(cidr)]
        if not cidrs or any(cidr.prefixlen == 0 for cidr in cidrs):
            return None
        loopback = ("127.0.0.1",) if self.localhost_node_ports and not self.ipv6 else ()
        candidates = (*node.addresses, *loopback)
        return tuple(address for address in candidates if self.own(address) and any(ipaddress.ip_address(address) in cidr for cidr in cidrs))

    @property
    def opens_localhost(self) -> bool:
        """Tell whether node ports are to answer on 127.0.0.1 (iptables mode, IPv4): asked for, and not excluded by the addresses."""
        if not self.localhost_node_ports or self.ipv6:
            return False
        cidrs = [ipaddress.IPv4Network(cidr, strict=False) for cidr in self.node_port_addresses if self.own(cidr)]
        return not cidrs or any(cidr.network_address.is_loopback or ipaddress.IPv4Address("127.0.0.0") in cidr for cidr in cidrs)
