"""Typed view of a v1 Service, as kube-proxy, the endpoint controller, DNS and the allocators read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.meta import Meta

CLUSTER_IP = "ClusterIP"
NODE_PORT = "NodePort"
LOAD_BALANCER = "LoadBalancer"
EXTERNAL_NAME = "ExternalName"
HEADLESS = "None"
"""The clusterIP of a service that DNS alone resolves."""

AFFINITY_TIMEOUT_SECONDS = 10800
"""What the API server puts into sessionAffinityConfig.clientIP.timeoutSeconds."""

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One entry of spec.ports; `target_port` is a number or the name of a container's port, `node_port` 0 means none."""

    name: str
    protocol: str
    port: int
    target_port: int | str
    node_port: int
    app_protocol: str


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    """One entry of status.loadBalancer.ingress; `ip_mode` VIP (packets arrive with this address) or Proxy (they arrive with the node's)."""

    ip: str
    hostname: str
    ip_mode: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service with the API server's defaults; `cluster_ips` is () for ExternalName and for one not yet allocated, ("None",) when headless."""

    meta: Meta
    type: str
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    external_name: str
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str]
    session_affinity: str
    affinity_timeout_seconds: int
    internal_traffic_policy: str
    external_traffic_policy: str
    health_check_node_port: int
    load_balancer_source_ranges: tuple[str, ...]
    load_balancer_class: str
    load_balancer_ip: str
    publish_not_ready_addresses: bool
    traffic_distribution: str
    ip_families: tuple[str, ...]
    ip_family_policy: str
    ingress: tuple[LoadBalancerIngress, ...]

    @classmethod
    def of(cls, obj: Raw) -> Service:
        """Read a Service that passed validation."""
        spec = obj.get("spec") or {}
        get = spec.get
        client_ip = (get("sessionAffinityConfig") or {}).get("clientIP") or {}
        load_balancer = (obj.get("status") or {}).get("loadBalancer") or {}
        return cls(
            meta=Meta.of(obj),
            type=get("type") or CLUSTER_IP,
            cluster_ips=_cluster_ips(spec),
            external_ips=tuple(get("externalIPs") or ()),
            external_name=get("externalName") or "",
            ports=tuple(_port(raw) for raw in get("ports") or ()),
            selector=get("selector") or {},
            session_affinity=get("sessionAffinity") or "None",
            affinity_timeout_seconds=client_ip.get("timeoutSeconds") or AFFINITY_TIMEOUT_SECONDS,
            internal_traffic_policy=get("internalTrafficPolicy") or "Cluster",
            external_traffic_policy=get("externalTrafficPolicy") or "Cluster",
            health_check_node_port=get("healthCheckNodePort") or 0,
            load_balancer_source_ranges=tuple(cidr.strip() for cidr in get("loadBalancerSourceRanges") or ()),
            load_balancer_class=get("loadBalancerClass") or "",
            load_balancer_ip=get("loadBalancerIP") or "",
            publish_not_ready_addresses=bool(get("publishNotReadyAddresses")),
            traffic_distribution=get("trafficDistribution") or "",
            ip_families=tuple(get("ipFamilies") or ()),
            ip_family_policy=get("ipFamilyPolicy") or "",
            ingress=tuple(_ingress(raw) for raw in load_balancer.get("ingress") or ()),
        )

    @property
    def name(self) -> str:
        """Give metadata.name."""
        return self.meta.name

    @property
    def namespace(self) -> str:
        """Give metadata.namespace."""
        return self.meta.namespace

    @property
    def headless(self) -> bool:
        """Tell whether DNS answers with the endpoints themselves."""
        return self.cluster_ips[:1] == (HEADLESS,)

    @property
    def proxied(self) -> bool:
        """Tell whether kube-proxy serves it: it has a cluster IP and is no ExternalName (proxyutil.ShouldSkipService)."""
        return bool(self.cluster_ips) and not self.headless and self.type != EXTERNAL_NAME

    @property
    def externally_accessible(self) -> bool:
        """Tell whether it can be reached by something other than its cluster IP (apiservice.ExternallyAccessible)."""
        return self.type in {LOAD_BALANCER, NODE_PORT} or (self.type == CLUSTER_IP and bool(self.external_ips))

    @property
    def external_policy_local(self) -> bool:
        """Tell whether external traffic goes to endpoints of the node that it reaches alone."""
        return self.externally_accessible and self.external_traffic_policy == "Local"

    @property
    def internal_policy_local(self) -> bool:
        """Tell whether traffic to the cluster IP goes to endpoints of the same node alone."""
        return self.internal_traffic_policy == "Local"

    @property
    def needs_health_check(self) -> bool:
        """Tell whether each node answers on healthCheckNodePort (apiservice.NeedsHealthCheck)."""
        return self.type == LOAD_BALANCER and self.external_policy_local


def _cluster_ips(spec: Raw) -> tuple[str, ...]:
    if spec.get("type") == EXTERNAL_NAME:
        return ()
    first = spec.get("clusterIP") or ""
    return tuple(spec.get("clusterIPs") or ((first,) if first else ()))


def _port(raw: Raw) -> ServicePort:
    get = raw.get
    number = get("port") or 0
    return ServicePort(
        get("name") or "", get("protocol") or "TCP", number, get("targetPort") or number, get("nodePort") or 0, get("appProtocol") or ""
    )


def _ingress(raw: Raw) -> LoadBalancerIngress:
    return LoadBalancerIngress(raw.get("ip") or "", raw.get("hostname") or "", raw.get("ipMode") or "VIP")
