"""A service port as kube-proxy treats it: one port of one service in one address family (pkg/proxy/serviceport.go)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig


@dataclass(frozen=True, slots=True)
class ServicePortInfo:
    """Everything that rules are made of; `affinity_seconds` 0 means no session affinity, `node_port` and `health_check_node_port` 0 none."""

    namespace: str
    service: str
    port_name: str
    protocol: str
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    load_balancer_vips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    affinity_seconds: int
    health_check_node_port: int
    external_policy_local: bool
    internal_policy_local: bool

    @property
    def name(self) -> str:
        """Give the ServicePortName: "default/web:http", "default/web" for an unnamed port."""
        return f"{self.namespace}/{self.service}:{self.port_name}" if self.port_name else f"{self.namespace}/{self.service}"

    @property
    def why(self) -> str:
        """Name the object that the rules serve."""
        return f"Service {self.namespace}/{self.service}"

    @property
    def proto(self) -> str:
        """Give the protocol as rules spell it."""
        return self.protocol.lower()

    @property
    def externally_accessible(self) -> bool:
        """Tell whether it can be reached by node port, external IP or load balancer IP."""
        return bool(self.node_port or self.load_balancer_vips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Tell whether any traffic follows policy Cluster; external traffic from inside the cluster does, whatever the policy is."""
        return not self.internal_policy_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Tell whether any traffic follows policy Local."""
        return self.internal_policy_local or (self.external_policy_local and self.externally_accessible)


def service_ports(service: Service, config: ProxyConfig) -> tuple[ServicePortInfo, ...]:
    """Give the ports that are proxied in the family of `config`: none of a headless or ExternalName service, or one without an IP of the family."""
    cluster_ip = next((address for address in service.cluster_ips if service.proxied and config.own(address)), "")
    if not cluster_ip:
        return ()
    external_ips = tuple(_canonical(address) for address in service.external_ips if config.own(address))
    vips = tuple(_canonical(entry.ip) for entry in service.ingress if entry.ip and entry.ip_mode == "VIP" and config.own(entry.ip))
    ranges = tuple(str(ipaddress.ip_network(cidr, strict=False)) for cidr in service.load_balancer_source_ranges if config.own(cidr))
    return tuple(
        ServicePortInfo(
            namespace=service.namespace,
            service=service.name,
            port_name=port.name,
            protocol=port.protocol,
            cluster_ip=_canonical(cluster_ip),
            port=port.port,
            node_port=port.node_port,
            external_ips=external_ips,
            load_balancer_vips=vips,
            source_ranges=ranges,
            affinity_seconds=service.affinity_timeout_seconds if service.session_affinity == "ClientIP" else 0,
            health_check_node_port=service.health_check_node_port if service.needs_health_check else 0,
            external_policy_local=service.external_policy_local,
            internal_policy_local=service.internal_policy_local,
        )
        for port in service.ports
    )


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))
