"""The iptables mode: chains and rules as kube-proxy's pkg/proxy/iptables/proxier.go writes them.

Each service port has chains of its own (KUBE-SVC-, KUBE-SVL-, KUBE-EXT-, KUBE-FW-, and KUBE-SEP- for each endpoint) and lines in shared chains.
The order of service lines in a shared chain has no meaning; the jump to KUBE-NODEPORTS has to be the last of KUBE-SERVICES.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from klab.api.endpointslice import PortEndpoint, PortEndpoints
from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.naming import chain, endpoint_chain
from klab.kubeproxy.ports import ServicePortInfo, service_ports
from klab.kubeproxy.topology import Endpoints, categorize
from klab.linux.iptables import Chain, Rule, SharedChain, comment, host, probability
from klab.linux.objects import KernelObject, Sysctl

MARK_MASQ = "KUBE-MARK-MASQ"
SERVICES, EXTERNAL_SERVICES, NODEPORTS = "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS"
PROXY_FIREWALL, FIREWALL, FORWARD, POSTROUTING = "KUBE-PROXY-FIREWALL", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-POSTROUTING"

_NEW = "-m conntrack --ctstate NEW "

# Table, chain jumped to, built-in chain, comment, first match; each is put before those above it. The jump from OUTPUT to KUBE-EXTERNAL-SERVICES is
# not kube-proxy's: without it a node is not refused at an external IP without endpoints, as everyone else is.
_JUMPS = (
    ("filter", EXTERNAL_SERVICES, "OUTPUT", "kubernetes externally-visible service portals", _NEW),
    ("filter", EXTERNAL_SERVICES, "INPUT", "kubernetes externally-visible service portals", _NEW),
    ("filter", EXTERNAL_SERVICES, "FORWARD", "kubernetes externally-visible service portals", _NEW),
    ("filter", NODEPORTS, "INPUT", "kubernetes health check service ports", ""),
    ("filter", SERVICES, "FORWARD", "kubernetes service portals", _NEW),
    ("filter", SERVICES, "OUTPUT", "kubernetes service portals", _NEW),
    ("filter", FORWARD, "FORWARD", "kubernetes forwarding rules", ""),
    ("filter", PROXY_FIREWALL, "INPUT", "kubernetes load balancer firewall", _NEW),
    ("filter", PROXY_FIREWALL, "OUTPUT", "kubernetes load balancer firewall", _NEW),
    ("filter", PROXY_FIREWALL, "FORWARD", "kubernetes load balancer firewall", _NEW),
    ("nat", SERVICES, "OUTPUT", "kubernetes service portals", ""),
    ("nat", SERVICES, "PREROUTING", "kubernetes service portals", ""),
    ("nat", POSTROUTING, "POSTROUTING", "kubernetes postrouting rules", ""),
    ("filter", FIREWALL, "INPUT", "", ""),
    ("filter", FIREWALL, "OUTPUT", "", ""),
)
_SHARED = (
    ("filter", SERVICES),
    ("filter", EXTERNAL_SERVICES),
    ("filter", NODEPORTS),
    ("filter", PROXY_FIREWALL),
    ("nat", SERVICES),
    ("nat", NODEPORTS),
)
_CANARY = "KUBE-PROXY-CANARY"


def plan_base(node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what stands on a node without any service."""
    common: dict[str, Any] = {"netns": node.netns, "why": "kube-proxy"}
    family = config.family
    if config.opens_localhost:
        yield Sysctl(name="net/ipv4/conf/all/route_localnet", value="1", **common)
    for table in ("mangle", "nat", "filter"):
        yield Chain(table=table, family=family, name=_CANARY, rules=(), **common)
    for table, name in _SHARED:
        yield SharedChain(table=table, family=family, name=name, **common)
    yield Chain(table="nat", family=family, name=MARK_MASQ, rules=(f"-j MARK --set-xmark {config.mark:#x}/{config.mark:#x}",), **common)
    yield Chain(table="nat", family=family, name=POSTROUTING, rules=masquerade_rules(config), **common)
    yield Chain(table="filter", family=family, name=FORWARD, rules=("-m conntrack --ctstate INVALID -j DROP", *forward_rules(config)), **common)
    yield Chain(table="filter", family=family, name=FIREWALL, rules=_localnet_guard() if config.opens_localhost else (), **common)
    for position, (table, target, source, text, match) in enumerate(_JUMPS):
        words = f"{match}{comment(text)} " if text else ""
        yield Rule(table=table, family=family, chain=source, text=f"{words}-j {target}", order=-1 - position, **common)
    tail = comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    for match_to, match_type in _node_port_destinations(node, config):
        yield Rule(table="nat", family=family, chain=SERVICES, text=f"{match_to}{tail}{match_type} -j {NODEPORTS}", **common)


def masquerade_rules(config: ProxyConfig) -> tuple[str, ...]:
    """Give KUBE-POSTROUTING: masquerade what is marked, and take the mark off lest the packet be masqueraded again on its way through a tunnel."""
    return (
        f"-m mark ! --mark {config.mark:#x}/{config.mark:#x} -j RETURN",
        f"-j MARK --set-xmark {config.mark:#x}/0x0",
        f"{comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully",
    )


def forward_rules(config: ProxyConfig) -> tuple[str, ...]:
    """Give the part of KUBE-FORWARD that the modes share: marked packets pass whatever the policy of FORWARD is, and so does what follows them."""
    return (
        f"{comment('kubernetes forwarding rules')} -m mark --mark {config.mark:#x}/{config.mark:#x} -j ACCEPT",
        f"{comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )


def _localnet_guard() -> tuple[str, ...]:
    """Close the hole that route_localnet opens: nobody outside reaches 127.0.0.0/8 (kubernetes issue 90259)."""
    text = comment("block incoming localnet connections")
    return (f"! -s 127.0.0.0/8 -d 127.0.0.0/8 {text} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",)


def _node_port_destinations(node: ProxyNode, config: ProxyConfig) -> tuple[tuple[str, str], ...]:
    """Give, for each rule that leads to the node ports, what stands before and after its comment."""
    addresses = config.node_port_ips(node)
    if addresses is not None:
        return tuple((f"-d {host(address)} ", "") for address in addresses)
    return ((f"{'' if config.opens_localhost else f'! -d {config.loopback} '}", " -m addrtype --dst-type LOCAL"),)


def plan_service(service: Service, endpoints: PortEndpoints, node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what one service needs on a node."""
    for info in service_ports(service, config):
        usable = categorize(endpoints.get((info.port_name, info.protocol), ()), info, node)
        yield from _Port(info, usable, node, config).objects()


class _Port:
    """The rules of one service port."""

    def __init__(self, info: ServicePortInfo, usable: Endpoints, node: ProxyNode, config: ProxyConfig) -> None:
        self.info, self.usable, self.node, self.config = info, usable, node, config
        self.cluster_chain, self.local_chain = chain("SVC", info), chain("SVL", info)
        self.external_chain, self.firewall_chain = chain("EXT", info), chain("FW", info)
        self.internal_chain = self.local_chain if info.internal_policy_local else self.cluster_chain
        self.firewalled = usable.anywhere and bool(info.load_balancer_vips) and bool(info.source_ranges)

    def objects(self) -> Iterator[KernelObject]:
        """Give chains before those that jump to them, and the lines of the shared chains last."""
        for endpoint in self.usable.reachable:
            yield self._chain(endpoint_chain(self.info, endpoint), self._endpoint(endpoint))
        if self.usable.cluster:
            yield self._chain(self.cluster_chain, self._balance(self.cluster_chain, self.usable.cluster))
        if self.usable.local:
            yield self._chain(self.local_chain, self._balance(self.local_chain, self.usable.local))
        if self.usable.anywhere and self.info.externally_accessible:
            yield self._chain(self.external_chain, self._external())
        if self.firewalled:
            yield self._chain(self.firewall_chain, self._firewall())
        yield from self._dispatch()
        yield from self._refusals()
        if self.info.health_check_node_port:
            text = comment(f"{self.info.name} health check node port")
            yield self._rule("filter", NODEPORTS, f"-p tcp {text} -m tcp --dport {self.info.health_check_node_port} -j ACCEPT")

    def _rule(self, table: str, name: str, text: str) -> Rule:
        return Rule(netns=self.node.netns, why=self.info.why, table=table, family=self.config.family, chain=name, text=text, order=-1)

    def _chain(self, name: str, rules: Iterator[str]) -> Chain:
        return Chain(netns=self.node.netns, why=self.info.why, table="nat", family=self.config.family, name=name, rules=tuple(rules))

    def _to(self, address: str, text: str) -> str:
        """Match packets to the service's port on an address."""
        info = self.info
        return f"-d {host(address)} -p {info.proto} {comment(text)} -m {info.proto} --dport {info.port}"

    def _dispatch(self) -> Iterator[Rule]:
        """Lead what is addressed to the service to its chains (nat)."""
        info, name = self.info, self.info.name
        if self.usable.internal:
            yield self._rule("nat", SERVICES, f"{self._to(info.cluster_ip, f'{name} cluster IP')} -j {self.internal_chain}")
        if not self.usable.anywhere:
            return
        for address in info.external_ips:
            yield self._rule("nat", SERVICES, f"{self._to(address, f'{name} external IP')} -j {self.external_chain}")
        for address in info.load_balancer_vips:
            target = self.firewall_chain if self.firewalled else self.external_chain
            yield self._rule("nat", SERVICES, f"{self._to(address, f'{name} loadbalancer IP')} -j {target}")
            if self.firewalled:
                text = f"{name} traffic not accepted by {self.firewall_chain}"
                yield self._rule("filter", PROXY_FIREWALL, f"{self._to(address, text)} -j DROP")
        if info.node_port:
            match = f"-p {info.proto} {comment(name)} -m {info.proto} --dport {info.node_port}"
            yield self._rule("nat", NODEPORTS, f"{match} -j {self.external_chain}")

    def _refusals(self) -> Iterator[Rule]:
        """Refuse what finds no endpoint at all, and drop what a Local policy leaves without one (filter)."""
        info = self.info
        if self.usable.anywhere:
            text, target = f"{info.name} has no local endpoints", "DROP"
        else:
            port_unreachable = "icmp6-port-unreachable" if self.config.ipv6 else "icmp-port-unreachable"
            text, target = f"{info.name} has no endpoints", f"REJECT --reject-with {port_unreachable}"
        if not self.usable.internal:
            yield self._rule("filter", SERVICES, f"{self._to(info.cluster_ip, text)} -j {target}")
        if not self.usable.external:
            for address in (*info.external_ips, *info.load_balancer_vips):
                yield self._rule("filter", EXTERNAL_SERVICES, f"{self._to(address, text)} -j {target}")
            if info.node_port:
                match = f"-p {info.proto} {comment(text)} -m addrtype --dst-type LOCAL -m {info.proto} --dport {info.node_port}"
                yield self._rule("filter", EXTERNAL_SERVICES, f"{match} -j {target}")

    def _external(self) -> Iterator[str]:
        """Fill KUBE-EXT-: under policy Local, what comes from inside the cluster takes the short way to all endpoints."""
        name = self.info.name
        if self.info.external_policy_local:
            if self.config.cluster_cidr:
                yield f"-s {self.config.cluster_cidr} {comment(f'pod traffic for {name} external destinations')} -j {self.cluster_chain}"
            local = "-m addrtype --src-type LOCAL"
            yield f"{comment(f'masquerade LOCAL traffic for {name} external destinations')} {local} -j {MARK_MASQ}"
            yield f"{comment(f'route LOCAL traffic for {name} external destinations')} {local} -j {self.cluster_chain}"
        else:
            yield f"{comment(f'masquerade traffic for {name} external destinations')} -j {MARK_MASQ}"
        if self.usable.external:
            yield f"-j {self.local_chain if self.info.external_policy_local else self.cluster_chain}"

    def _firewall(self) -> Iterator[str]:
        """Fill KUBE-FW-: the allowed sources go on, the others meet KUBE-PROXY-FIREWALL undelivered."""
        name, ranges = self.info.name, self.info.source_ranges
        text = comment(f"{name} loadbalancer IP")
        sources = list(ranges)
        if any(ipaddress.ip_address(self.node.ip) in ipaddress.ip_network(cidr) for cidr in ranges):
            sources += [host(address) for address in self.info.load_balancer_vips]
        for source in sources:
            match = "" if source.endswith("/0") else f"-s {source} "
            yield f"{match}{text} -j {self.external_chain}"
        yield comment(f"other traffic to {name} will be dropped by KUBE-PROXY-FIREWALL")

    def _balance(self, name: str, endpoints: tuple[PortEndpoint, ...]) -> Iterator[str]:
        """Fill KUBE-SVC- or KUBE-SVL-: masquerade what comes to the cluster IP from outside the cluster, then affinity, then chance."""
        info, config = self.info, self.config
        if name == self.internal_chain and self.usable.internal:
            match = self._to(info.cluster_ip, f"{info.name} cluster IP")
            if config.masquerade_all:
                yield f"{match} -j {MARK_MASQ}"
            elif config.cluster_cidr:
                yield f"! -s {config.cluster_cidr} {match} -j {MARK_MASQ}"
        if info.affinity_seconds:
            for endpoint in endpoints:
                own = endpoint_chain(info, endpoint)
                recent = f"-m recent --rcheck --seconds {info.affinity_seconds} --reap --name {own} {self._mask}"
                yield f"{comment(f'{info.name} -> {endpoint}')} {recent} -j {own}"
        for position, endpoint in enumerate(endpoints):
            left = len(endpoints) - position
            chance = f" {probability(left)}" if left > 1 else ""
            yield f"{comment(f'{info.name} -> {endpoint}')}{chance} -j {endpoint_chain(info, endpoint)}"

    @property
    def _mask(self) -> str:
        mask = ":".join(["ffff"] * 8) if self.config.ipv6 else "255.255.255.255"
        return f"--mask {mask} --rsource"

    def _endpoint(self, endpoint: PortEndpoint) -> Iterator[str]:
        """Fill KUBE-SEP-: masquerade what would come back to its sender, remember the client, translate."""
        info, text = self.info, comment(self.info.name)
        yield f"-s {host(endpoint.ip)} {text} -j {MARK_MASQ}"
        recent = f"-m recent --set --name {endpoint_chain(info, endpoint)} {self._mask} " if info.affinity_seconds else ""
        yield f"-p {info.proto} {text} {recent}-m {info.proto} -j DNAT --to-destination {endpoint}"
