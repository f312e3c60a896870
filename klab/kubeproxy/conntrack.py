"""Which UDP flows a change of a service leaves pointing nowhere (pkg/proxy/conntrack/cleanup.go).

The kernel translates a flow once and then goes on as it began: datagrams of a client that keeps its port would go to a pod that is gone, or past a
service that has become one meanwhile. TCP needs no help: its clients connect anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from klab.api.endpointslice import PortEndpoints
from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig
from klab.kubeproxy.ports import ServicePortInfo, service_ports
from klab.linux.conntrack import Frontend


def calc_frontends(before: Service | None, after: Service | None, endpoints: PortEndpoints, config: ProxyConfig) -> dict[Frontend, frozenset[str]]:
    """Give the UDP frontends of a service after a change, each with the addresses that serve it; those it had before and lost have none.

    Every flow on every node that klab.linux.conntrack.is_stale finds by them is to be deleted. Unlike kube-proxy, which leaves the flows of a service
    without endpoints alone, they end here: the next datagram is refused as that of a newcomer.
    """
    lost = {frontend: frozenset[str]() for info in _udp_ports(before, config) for frontend in _frontends(info)}
    kept = {frontend: _serving(info, endpoints) for info in _udp_ports(after, config) for frontend in _frontends(info)}
    return lost | kept


def _udp_ports(service: Service | None, config: ProxyConfig) -> Iterator[ServicePortInfo]:
    if service is not None:
        yield from (info for info in service_ports(service, config) if info.protocol == "UDP")


def _frontends(info: ServicePortInfo) -> Iterator[Frontend]:
    for address in (info.cluster_ip, *info.load_balancer_vips, *info.external_ips):
        yield (address, info.port)
    if info.node_port:
        yield ("", info.node_port)


def _serving(info: ServicePortInfo, endpoints: PortEndpoints) -> frozenset[str]:
    """Give all that serve, whatever policy or hint: a change of those moves no flow, as with TCP."""
    return frozenset(item.ip for item in endpoints.get((info.port_name, info.protocol), ()) if item.serving)
