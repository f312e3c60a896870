"""The ipvs mode as kube-proxy's pkg/proxy/ipvs/proxier.go lays it out.

Every service address is an address of the dummy device kube-ipvs0 and a virtual server; a fixed set of iptables rules decides, by looking into
ipsets, what is masqueraded, accepted and refused. kube-proxy leaves out the rules whose set is empty; here all of them stand from the beginning (a
rule over an empty set matches nothing), so a service is nothing but set entries, addresses and virtual servers, however many services there are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from klab.api.endpointslice import PortEndpoint, PortEndpoints
from klab.api.service import Service
from klab.kubeproxy import ipsets
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.iptables import MARK_MASQ, forward_rules, masquerade_rules
from klab.kubeproxy.ports import ServicePortInfo, service_ports
from klab.kubeproxy.topology import Endpoints, categorize
from klab.linux.ipset import IpSet, IpSetEntry
from klab.linux.iptables import Chain, Rule, SharedChain, comment, host
from klab.linux.ipvs import RealServer, VirtualServer
from klab.linux.objects import Address, Dummy, KernelObject, Sysctl

DEVICE = "kube-ipvs0"
OUT_FILTER = "KUBE-IPVS-OUT-FILTER"

_SYSCTLS = (
    ("net/ipv4/vs/conntrack", "1"),
    ("net/ipv4/vs/expire_nodest_conn", "1"),
    ("net/ipv4/vs/expire_quiescent_template", "1"),
    ("net/ipv4/ip_forward", "1"),
)
_STRICT_ARP = (("net/ipv4/conf/all/arp_ignore", "1"), ("net/ipv4/conf/all/arp_announce", "2"))
# table, chain jumped to, built-in chain, comment; each is put before those above it
_JUMPS = (
    ("nat", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals"),
    ("nat", "KUBE-SERVICES", "PREROUTING", "kubernetes service portals"),
    ("nat", "KUBE-POSTROUTING", "POSTROUTING", "kubernetes postrouting rules"),
    ("filter", "KUBE-FORWARD", "FORWARD", "kubernetes forwarding rules"),
    ("filter", "KUBE-NODE-PORT", "INPUT", "kubernetes health check rules"),
    ("filter", "KUBE-PROXY-FIREWALL", "INPUT", "kube-proxy firewall rules"),
    ("filter", "KUBE-PROXY-FIREWALL", "FORWARD", "kube-proxy firewall rules"),
    ("filter", "KUBE-IPVS-FILTER", "INPUT", "kubernetes ipvs access filter"),
    ("filter", OUT_FILTER, "OUTPUT", "kubernetes ipvs access filter"),
)


def plan_base(node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what stands on a node without any service."""
    common: dict[str, Any] = {"netns": node.netns, "why": "kube-proxy"}
    family = config.family
    for name, value in (*_SYSCTLS, *(_STRICT_ARP if config.strict_arp else ())):
        yield Sysctl(name=name, value=value, **common)
    yield Dummy(name=DEVICE, up=False, **common)
    for name, (kind, _comment) in ipsets.IPSETS.items():
        yield IpSet(name=_set(name, config), type=kind, options=_options(kind, config), **common)
    yield SharedChain(table="filter", family=family, name=OUT_FILTER, **common)
    for name, nat_rules in _nat_chains(config).items():
        yield Chain(table="nat", family=family, name=name, rules=nat_rules, **common)
    for name, filter_rules in _filter_chains(config).items():
        yield Chain(table="filter", family=family, name=name, rules=filter_rules, **common)
    for position, (table, target, source, text) in enumerate(_JUMPS):
        yield Rule(table=table, family=family, chain=source, text=f"{comment(text)} -j {target}", order=-1 - position, **common)


def _set(name: str, config: ProxyConfig) -> str:
    """Name a set; those of IPv6 are called KUBE-6-..., cut to what a set's name may be long."""
    return name.replace("KUBE-", "KUBE-6-", 1)[:31] if config.ipv6 else name


def _options(kind: str, config: ProxyConfig) -> str:
    if kind == "bitmap:port":
        return "range 0-65535"
    return f"family {'inet6' if config.ipv6 else 'inet'} hashsize 1024 maxelem 65536"


class _Match:
    """Writes matches against the sets."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config

    def bare(self, name: str, fields: str) -> str:
        """Match a set."""
        return f"-m set --match-set {_set(name, self._config)} {fields}"

    def said(self, name: str, fields: str) -> str:
        """Match a set, with its comment."""
        return f"{comment(ipsets.IPSETS[name][1])} {self.bare(name, fields)}"


def _nat_chains(config: ProxyConfig) -> dict[str, tuple[str, ...]]:
    """Give the chains of the nat table, those that are jumped to first."""
    match = _Match(config)
    node_port: list[str] = []
    for protocol, fields in (("TCP", "dst"), ("UDP", "dst"), ("SCTP", "dst,dst")):
        node_port.append(f"-p {protocol.lower()} {match.said(ipsets.NODE_PORT_LOCAL[protocol], fields)} -j RETURN")
        node_port.append(f"-p {protocol.lower()} {match.said(ipsets.NODE_PORT[protocol], fields)} -j {MARK_MASQ}")
    external, external_local = match.said(ipsets.EXTERNAL_IP, "dst,dst"), match.said(ipsets.EXTERNAL_IP_LOCAL, "dst,dst")
    return {
        MARK_MASQ: (f"-j MARK --set-xmark {config.mark:#x}/{config.mark:#x}",),
        "KUBE-POSTROUTING": (f"{match.said(ipsets.LOOP_BACK, 'dst,dst,src')} -j MASQUERADE", *masquerade_rules(config)),
        "KUBE-LOAD-BALANCER": (f"{match.said(ipsets.LOAD_BALANCER_LOCAL, 'dst,dst')} -j RETURN", f"-j {MARK_MASQ}"),
        "KUBE-NODE-PORT": tuple(node_port),
        "KUBE-SERVICES": (
            f"-s {config.loopback} -j RETURN",
            f"{match.said(ipsets.LOAD_BALANCER, 'dst,dst')} -j KUBE-LOAD-BALANCER",
            _masquerade_cluster_ips(config),
            f"{external} -j {MARK_MASQ}",
            *_external_accepts(external),
            *_external_accepts(external_local),
            "-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
            f"{match.bare(ipsets.CLUSTER_IP, 'dst,dst')} -j ACCEPT",
            f"{match.bare(ipsets.LOAD_BALANCER, 'dst,dst')} -j ACCEPT",
        ),
    }


def _masquerade_cluster_ips(config: ProxyConfig) -> str:
    """Masquerade what comes to a cluster IP from outside the cluster; where pods are not known, what has a service address as its own source."""
    match = _Match(config)
    if config.masquerade_all:
        return f"{match.said(ipsets.CLUSTER_IP, 'dst,dst')} -j {MARK_MASQ}"
    if config.cluster_cidr:
        return f"! -s {config.cluster_cidr} {match.said(ipsets.CLUSTER_IP, 'dst,dst')} -j {MARK_MASQ}"
    return f"{match.said(ipsets.CLUSTER_IP, 'src,dst')} -j {MARK_MASQ}"


def _external_accepts(match: str) -> tuple[str, str]:
    """Accept what comes to an external IP from off the machine, or where that IP is one of the machine's own."""
    return (
        f"{match} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT",
        f"{match} -m addrtype --dst-type LOCAL -j ACCEPT",
    )


def _filter_chains(config: ProxyConfig) -> dict[str, tuple[str, ...]]:
    """Give the chains of the filter table, those that are jumped to first."""
    match = _Match(config)
    unreachable = "icmp6-port-unreachable" if config.ipv6 else "icmp-port-unreachable"
    known = (ipsets.LOAD_BALANCER, ipsets.CLUSTER_IP, ipsets.EXTERNAL_IP, ipsets.EXTERNAL_IP_LOCAL)
    return {
        "KUBE-FORWARD": forward_rules(config),
        "KUBE-NODE-PORT": (f"{match.said(ipsets.HEALTH_CHECK, 'dst')} -j ACCEPT",),
        "KUBE-SOURCE-RANGES-FIREWALL": (
            f"{match.said(ipsets.LOAD_BALANCER_SOURCE_CIDR, 'dst,dst,src')} -j RETURN",
            f"{match.said(ipsets.LOAD_BALANCER_SOURCE_IP, 'dst,dst,src')} -j RETURN",
            "-j DROP",
        ),
        "KUBE-PROXY-FIREWALL": (f"{match.said(ipsets.LOAD_BALANCER_FW, 'dst,dst')} -j KUBE-SOURCE-RANGES-FIREWALL",),
        "KUBE-IPVS-FILTER": (
            *(f"{match.bare(name, 'dst,dst')} -j RETURN" for name in known),
            f"{match.bare(ipsets.HEALTH_CHECK, 'dst')} -j RETURN",
            f"-m conntrack --ctstate NEW {match.bare(ipsets.IPVS_IPS, 'dst')} -j REJECT --reject-with {unreachable}",
        ),
    }


def plan_service(service: Service, endpoints: PortEndpoints, node: ProxyNode, config: ProxyConfig) -> Iterator[KernelObject]:
    """Plan what one service needs on a node."""
    for info in service_ports(service, config):
        found = endpoints.get((info.port_name, info.protocol), ())
        yield from _Port(info, found, node, config).objects()


class _Port:
    """The addresses, set entries and servers of one service port."""

    def __init__(self, info: ServicePortInfo, endpoints: tuple[PortEndpoint, ...], node: ProxyNode, config: ProxyConfig) -> None:
        self.info, self.endpoints, self.node, self.config = info, endpoints, node, config
        self.usable: Endpoints = categorize(endpoints, info, node)

    def objects(self) -> Iterator[KernelObject]:
        info = self.info
        for endpoint in self.endpoints:
            if endpoint.node_name == self.node.name:
                yield self._entry(ipsets.LOOP_BACK, f"{endpoint.ip},{info.proto}:{endpoint.port},{endpoint.ip}")
        yield self._entry(ipsets.CLUSTER_IP, self._at(info.cluster_ip))
        yield from self._bound(info.cluster_ip)
        yield from self._servers(info.cluster_ip, info.port, local=info.internal_policy_local)
        for address in info.external_ips:
            yield self._entry(ipsets.EXTERNAL_IP_LOCAL if info.external_policy_local else ipsets.EXTERNAL_IP, self._at(address))
            yield from self._external(address)
        for address in info.load_balancer_vips:
            yield from self._load_balancer(address)
            yield from self._external(address)
        if info.node_port:
            yield from self._node_port()
        if info.health_check_node_port:
            yield self._entry(ipsets.HEALTH_CHECK, str(info.health_check_node_port))

    def _at(self, address: str) -> str:
        return f"{address},{self.info.proto}:{self.info.port}"

    def _entry(self, name: str, entry: str) -> IpSetEntry:
        return IpSetEntry(netns=self.node.netns, why=self.info.why, set=_set(name, self.config), entry=entry)

    def _bound(self, address: str) -> Iterator[KernelObject]:
        """Make an address one of kube-ipvs0's, unless another interface of the node has it."""
        if address not in self.node.addresses:
            yield self._entry(ipsets.IPVS_IPS, address)
            yield Address(netns=self.node.netns, why=self.info.why, dev=DEVICE, cidr=host(address))

    def _external(self, address: str) -> Iterator[KernelObject]:
        yield from self._bound(address)
        yield from self._servers(address, self.info.port, local=self.info.external_policy_local)

    def _servers(self, address: str, port: int, *, local: bool) -> Iterator[KernelObject]:
        """Give the virtual server and those behind it.

        External traffic under policy Local goes to all of them where none is local, so that pods and the node get through; the answers to a client
        go astray (Kubernetes PR 97081). To the cluster IP under policy Local there are none then.
        """
        info, config = self.info, self.config
        where: dict[str, Any] = {"netns": self.node.netns, "why": info.why, "protocol": info.protocol, "address": address, "port": port}
        yield VirtualServer(scheduler=config.scheduler, persistence=info.affinity_seconds, hash_ports=config.scheduler == "mh", **where)
        fallback = () if local and address == info.cluster_ip else self.usable.cluster
        for endpoint in (self.usable.local if local else ()) or fallback:
            yield RealServer(real_address=endpoint.ip, real_port=endpoint.port, **where)

    def _load_balancer(self, address: str) -> Iterator[KernelObject]:
        """Enter the address into the sets that decide who may reach it, and whose source address survives."""
        info, at = self.info, self._at(address)
        yield self._entry(ipsets.LOAD_BALANCER, at)
        if info.external_policy_local:
            yield self._entry(ipsets.LOAD_BALANCER_LOCAL, at)
        if not info.source_ranges:
            return
        yield self._entry(ipsets.LOAD_BALANCER_FW, at)
        for cidr in info.source_ranges:
            yield from (self._entry(ipsets.LOAD_BALANCER_SOURCE_CIDR, f"{at},{part}") for part in _storable(cidr))
        if any(ipaddress.ip_address(self.node.ip) in ipaddress.ip_network(cidr) for cidr in info.source_ranges):
            yield self._entry(ipsets.LOAD_BALANCER_SOURCE_IP, f"{at},{address}")
        else:
            number = {"TCP": 6, "UDP": 17, "SCTP": 132}[info.protocol]
            text = f"-s {host(address)} -m ipvs --vproto {number} --vaddr {address} --vport {info.port} -j DROP"
            yield Rule(netns=self.node.netns, why=info.why, table="filter", family=self.config.family, chain=OUT_FILTER, text=text)

    def _node_port(self) -> Iterator[KernelObject]:
        """Open the port on every address of the node; only a set of SCTP ports needs the addresses too."""
        info = self.info
        limited = self.config.node_port_ips(self.node)
        addresses = self.node.addresses if limited is None else limited
        own = [address for address in addresses if self.config.own(address) and not ipaddress.ip_address(address).is_loopback]
        sctp = [f"{address},sctp:{info.node_port}" for address in own]
        for entry in sctp if info.protocol == "SCTP" else [str(info.node_port)]:
            yield self._entry(ipsets.NODE_PORT[info.protocol], entry)
            if info.external_policy_local:
                yield self._entry(ipsets.NODE_PORT_LOCAL[info.protocol], entry)
        for address in own:
            yield from self._servers(address, info.node_port, local=info.external_policy_local)


def _storable(cidr: str) -> list[str]:
    """Give a CIDR as a set of type hash:ip,port,net holds it: a host without its mask, everything as two halves."""
    network = ipaddress.ip_network(cidr)
    if network.prefixlen == 0:
        return [str(half) for half in network.subnets()]
    return [str(network.network_address) if network.num_addresses == 1 else cidr]
