"""The nftables mode: one table `ip kube-proxy` as kube-proxy's pkg/proxy/nftables/proxier.go lays it out.

Packets are dispatched through verdict maps (service-ips, service-nodeports, no-endpoint-..., firewall-ips), so one service is some map elements and
some chains of its own, and a look-up costs the same with one service and with ten thousand.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from klab.api.endpointslice import PortEndpoint, PortEndpoints
from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.naming import nft_endpoint_name, nft_name
from klab.kubeproxy.ports import ServicePortInfo, service_ports
from klab.kubeproxy.topology import Endpoints, categorize
from klab.linux.nft import NftChain, NftElement, NftSet, NftTable, address_set
from klab.linux.objects import KernelObject

TABLE = "kube-proxy"
MARK_MASQ, REJECT = "mark-for-masquerade", "reject-chain"
SERVICE_IPS, SERVICE_NODEPORTS, CLUSTER_IPS, NODEPORT_IPS = "service-ips", "service-nodeports", "cluster-ips", "nodeport-ips"
NO_ENDPOINT_SERVICES, NO_ENDPOINT_NODEPORTS, FIREWALL_IPS = "no-endpoint-services", "no-endpoint-nodeports", "firewall-ips"

_NEW = "ct state new "
# Base chain, its hook, what it jumps to and when. kube-proxy checks for endpoints in filter-output, before DNAT, and so drops what its node sends to
# a Local service without local endpoints; here that stands after DNAT, so that the node takes the short way to all endpoints as in the other modes.
_BASE_CHAINS = (
    ("filter-prerouting", "filter hook prerouting priority -110", (f"{_NEW}jump firewall-check",)),
    ("filter-input", "filter hook input priority -110", (f"{_NEW}jump nodeport-endpoints-check", f"{_NEW}jump service-endpoints-check")),
    ("filter-forward", "filter hook forward priority -110", (f"{_NEW}jump service-endpoints-check", f"{_NEW}jump cluster-ips-check")),
    ("filter-output", "filter hook output priority -110", (f"{_NEW}jump firewall-check",)),
    ("filter-output-post-dnat", "filter hook output priority -90", (f"{_NEW}jump service-endpoints-check", f"{_NEW}jump cluster-ips-check")),
    ("nat-prerouting", "nat hook prerouting priority -100", ("jump services",)),
    ("nat-output", "nat hook output priority -100", ("jump services",)),
    ("nat-postrouting", "nat hook postrouting priority 100", ("jump masquerading",)),
)


class _Family:
    """The words that differ between IPv4 and IPv6, and the makers of values that share netns, family, table and reason."""

    def __init__(self, node: ProxyNode, config: ProxyConfig, why: str) -> None:
        self.netns, self.why = node.netns, why
        self.ip, self.address = ("ip6", "ipv6_addr") if config.ipv6 else ("ip", "ipv4_addr")

    def chain(self, name: str, *rules: str, hook: str = "", comment: str = "") -> NftChain:
        return NftChain(netns=self.netns, why=self.why, family=self.ip, table=TABLE, name=name, rules=rules, hook=hook, comment=comment)

    def set(self, name: str, kind: str, comment: str = "", flags: str = "", timeout: int = 0) -> NftSet:
        return NftSet(
            netns=self.netns, why=self.why, family=self.ip, table=TABLE, name=name, type=kind, flags=flags, timeout=timeout, comment=comment
        )

    def element(self, name: str, element: str, value: str = "", comment: str = "") -> NftElement:
        return NftElement(netns=self.netns, why=self.why, family=self.ip, table=TABLE, set=name, element=element, value=value, comment=comment)


def plan_base(node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what stands on a node without any service."""
    make = _Family(node, config, "kube-proxy")
    yield NftTable(netns=node.netns, why=make.why, family=make.ip, table=TABLE, comment="rules for kube-proxy")
    yield from _sets(make)
    addresses = config.node_port_ips(node)
    if addresses is not None:
        yield make.set(NODEPORT_IPS, make.address, "IPs that accept NodePort traffic")
        yield from (make.element(NODEPORT_IPS, address) for address in addresses if not ipaddress.ip_address(address).is_loopback)
    yield from _dispatch_chains(make, config, everywhere=addresses is None)
    for name, hook, rules in _BASE_CHAINS:
        yield make.chain(name, *rules, hook=f"type {hook}")


def _sets(make: _Family) -> Iterator[NftSet]:
    by_ip, by_port = f"{make.address} . inet_proto . inet_service : verdict", "inet_proto . inet_service : verdict"
    yield make.set(CLUSTER_IPS, make.address, "Active ClusterIPs")
    yield make.set(NO_ENDPOINT_SERVICES, by_ip, "vmap to drop or reject packets to services with no endpoints")
    yield make.set(NO_ENDPOINT_NODEPORTS, by_port, "vmap to drop or reject packets to service nodeports with no endpoints")
    yield make.set(FIREWALL_IPS, by_ip, "destinations that are subject to LoadBalancerSourceRanges")
    yield make.set(SERVICE_IPS, by_ip, "ClusterIP, ExternalIP and LoadBalancer IP traffic")
    yield make.set(SERVICE_NODEPORTS, by_port, "NodePort traffic")


def _dispatch_chains(make: _Family, config: ProxyConfig, *, everywhere: bool) -> Iterator[NftChain]:
    """Give the chains between the hooks and the maps; node ports are open `everywhere` but on loopback, or on the addresses of a set."""
    ip, mark = make.ip, f"{config.mark:#010x}"
    service, port = f"{ip} daddr . meta l4proto . th dport vmap", "meta l4proto . th dport vmap"
    loopback = config.loopback.removesuffix("/128")
    not_local, local = (
        (f"{ip} daddr != {loopback}", f"fib daddr type local {ip} daddr != {loopback}") if everywhere else (f"{ip} daddr @{NODEPORT_IPS}",) * 2
    )
    yield make.chain(MARK_MASQ, f"meta mark set meta mark | {mark}")
    yield make.chain(REJECT, "reject", comment="helper for @no-endpoint-services / @no-endpoint-nodeports")
    yield make.chain("masquerading", f"meta mark & {mark} == 0x00000000 return", f"meta mark set meta mark ^ {mark}", "masquerade fully-random")
    checks = [f'{ip} daddr @{CLUSTER_IPS} reject comment "Reject traffic to invalid ports of ClusterIPs"']
    cidrs = [cidr for cidr in config.service_cidrs if config.own(cidr)]
    checks += [f'{ip} daddr {address_set(cidrs)} drop comment "Drop traffic to unallocated ClusterIPs"'] if cidrs else []
    yield make.chain("cluster-ips-check", *checks)
    yield make.chain("nodeport-endpoints-check", f"{not_local} {port} @{NO_ENDPOINT_NODEPORTS}")
    yield make.chain("service-endpoints-check", f"{service} @{NO_ENDPOINT_SERVICES}")
    yield make.chain("firewall-check", f"{service} @{FIREWALL_IPS}")
    yield make.chain("services", f"{service} @{SERVICE_IPS}", f"{local} {port} @{SERVICE_NODEPORTS}")


def plan_service(service: Service, endpoints: PortEndpoints, node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what one service needs on a node."""
    for info in service_ports(service, config):
        usable = categorize(endpoints.get((info.port_name, info.protocol), ()), info, node)
        yield from _Port(info, usable, node, config).objects()


class _Port:
    """The chains, sets and elements of one service port."""

    def __init__(self, info: ServicePortInfo, usable: Endpoints, node: ProxyNode, config: ProxyConfig) -> None:
        self.info, self.usable, self.node, self.config = info, usable, node, config
        self.make = _Family(node, config, info.why)
        self.cluster_chain, self.local_chain = nft_name("service", info), nft_name("local", info)
        self.external_chain, self.firewall_chain = nft_name("external", info), nft_name("firewall", info)
        self.internal_chain = self.local_chain if info.internal_policy_local else self.cluster_chain
        self.firewalled = bool(info.load_balancer_vips) and bool(info.source_ranges)

    def objects(self) -> Iterator[KernelObject]:
        info, make = self.info, self.make
        if info.affinity_seconds:
            for endpoint in self.usable.reachable:
                yield make.set(self._affinity(endpoint), make.address, flags="dynamic,timeout", timeout=info.affinity_seconds)
        for endpoint in self.usable.reachable:
            yield make.chain(nft_endpoint_name("endpoint", info, endpoint), *self._endpoint(endpoint))
        if self.usable.cluster:
            yield make.chain(self.cluster_chain, *self._balance(self.cluster_chain, self.usable.cluster))
        if self.usable.local:
            yield make.chain(self.local_chain, *self._balance(self.local_chain, self.usable.local))
        if self.usable.anywhere and info.externally_accessible:
            yield make.chain(self.external_chain, *self._external())
        if self.firewalled:
            yield make.chain(self.firewall_chain, f"{make.ip} saddr != {address_set(self._sources())} drop")
        yield make.element(CLUSTER_IPS, info.cluster_ip)
        yield from self._dispatch()
        yield from self._refusals()

    def _dispatch(self) -> Iterator[NftElement]:
        """Lead what is addressed to the service to its chains."""
        info, make = self.info, self.make
        if self.usable.internal:
            yield make.element(SERVICE_IPS, self._at(info.cluster_ip), f"goto {self.internal_chain}")
        if self.firewalled:
            yield from (make.element(FIREWALL_IPS, self._at(address), f"goto {self.firewall_chain}") for address in info.load_balancer_vips)
        if self.usable.anywhere:
            for address in (*info.external_ips, *info.load_balancer_vips):
                yield make.element(SERVICE_IPS, self._at(address), f"goto {self.external_chain}")
            if info.node_port:
                yield make.element(SERVICE_NODEPORTS, f"{info.proto} . {info.node_port}", f"goto {self.external_chain}")

    def _refusals(self) -> Iterator[NftElement]:
        """Refuse what finds no endpoint at all, and drop what a Local policy leaves without one."""
        info, make = self.info, self.make
        verdict = "drop" if self.usable.anywhere else f"goto {REJECT}"
        if not self.usable.internal:
            yield make.element(NO_ENDPOINT_SERVICES, self._at(info.cluster_ip), verdict, info.name)
        if not self.usable.external:
            for address in (*info.external_ips, *info.load_balancer_vips):
                yield make.element(NO_ENDPOINT_SERVICES, self._at(address), verdict, info.name)
            if info.node_port:
                yield make.element(NO_ENDPOINT_NODEPORTS, f"{info.proto} . {info.node_port}", verdict, info.name)

    def _at(self, address: str) -> str:
        return f"{address} . {self.info.proto} . {self.info.port}"

    def _affinity(self, endpoint: PortEndpoint) -> str:
        return nft_endpoint_name("affinity", self.info, endpoint)

    def _external(self) -> Iterator[str]:
        """Fill external-: under policy Local, what comes from inside the cluster takes the short way to all endpoints."""
        if self.info.external_policy_local:
            if self.config.cluster_cidr:
                yield f'{self.make.ip} saddr {self.config.cluster_cidr} goto {self.cluster_chain} comment "short-circuit pod traffic"'
            yield f'fib saddr type local jump {MARK_MASQ} comment "masquerade local traffic"'
            yield f'fib saddr type local goto {self.cluster_chain} comment "short-circuit local traffic"'
        else:
            yield f"jump {MARK_MASQ}"
        if self.usable.external:
            yield f"goto {self.local_chain if self.info.external_policy_local else self.cluster_chain}"

    def _sources(self) -> tuple[str, ...]:
        """Give who may reach the load balancer's address; a node that may, may with that very address as its own, too."""
        ranges = self.info.source_ranges
        allowed = any(ipaddress.ip_address(self.node.ip) in ipaddress.ip_network(cidr) for cidr in ranges)
        return (*ranges, *(self.info.load_balancer_vips if allowed else ()))

    def _balance(self, name: str, endpoints: tuple[PortEndpoint, ...]) -> Iterator[str]:
        """Fill service- or local-: masquerade what comes to the cluster IP from outside the cluster, then affinity, then chance."""
        info, config, ip = self.info, self.config, self.make.ip
        if name == self.internal_chain and self.usable.internal:
            match = f"{ip} daddr {info.cluster_ip} {info.proto} dport {info.port}"
            if config.masquerade_all:
                yield f"{match} jump {MARK_MASQ}"
            elif config.cluster_cidr:
                yield f"{match} {ip} saddr != {config.cluster_cidr} jump {MARK_MASQ}"
        targets = [nft_endpoint_name("endpoint", info, endpoint) for endpoint in endpoints]
        if info.affinity_seconds:
            for endpoint, target in zip(endpoints, targets, strict=True):
                yield f"{ip} saddr @{self._affinity(endpoint)} goto {target}"
        choices = ", ".join(f"{number} : goto {target}" for number, target in enumerate(targets))
        yield f"numgen random mod {len(targets)} vmap {{ {choices} }}"

    def _endpoint(self, endpoint: PortEndpoint) -> Iterator[str]:
        """Fill endpoint-: masquerade what would come back to its sender, remember the client, translate."""
        yield f"{self.make.ip} saddr {endpoint.ip} jump {MARK_MASQ}"
        if self.info.affinity_seconds:
            yield f"update @{self._affinity(endpoint)} {{ {self.make.ip} saddr }}"
        yield f"meta l4proto {self.info.proto} dnat to {endpoint}"
