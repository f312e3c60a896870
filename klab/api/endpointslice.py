"""Typed view of discovery.k8s.io/v1 EndpointSlices: the endpoints of a service, and those of one of its ports as kube-proxy sees them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"

Raw = Mapping[str, Any]
PortKey = tuple[str, str]
"""Name of a service's port ("" for a single unnamed one) and its protocol ("TCP")."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a slice with its conditions; `node_name`, `zone`, `hostname` and `target_pod` are "" where unknown."""

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node_name: str = ""
    zone: str = ""
    hostname: str = ""
    target_pod: str = ""
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: Raw) -> Endpoint:
        """Read one entry of `endpoints`; an unset condition means ready, serving, not terminating."""
        get = raw.get
        conditions = get("conditions") or {}
        target = get("targetRef") or {}
        hints = get("hints") or {}
        ready = conditions.get("ready")
        serving = conditions.get("serving")
        return cls(
            address=(get("addresses") or ("",))[0],
            ready=True if ready is None else ready,
            serving=True if serving is None else serving,
            terminating=bool(conditions.get("terminating")),
            node_name=get("nodeName") or "",
            zone=get("zone") or "",
            hostname=get("hostname") or "",
            target_pod=(target.get("name") or "") if target.get("kind") == "Pod" else "",
            zone_hints=tuple(hint.get("name", "") for hint in hints.get("forZones") or ()),
            node_hints=tuple(hint.get("name", "") for hint in hints.get("forNodes") or ()),
        )


@dataclass(frozen=True, slots=True)
class SlicePort:
    """One entry of `ports`; `port` 0 where the slice leaves it open."""

    name: str
    protocol: str
    port: int
    app_protocol: str


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """One slice; `service` is the name of the service that it belongs to, "" for none, `address_type` IPv4, IPv6 or FQDN."""

    name: str
    namespace: str
    service: str
    address_type: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[SlicePort, ...]

    @classmethod
    def of(cls, obj: Raw) -> EndpointSlice:
        """Read an EndpointSlice that passed validation."""
        meta = obj.get("metadata") or {}
        return cls(
            name=meta.get("name") or "",
            namespace=meta.get("namespace") or "",
            service=(meta.get("labels") or {}).get(SERVICE_NAME_LABEL) or "",
            address_type=obj.get("addressType") or "IPv4",
            endpoints=tuple(Endpoint.of(raw) for raw in obj.get("endpoints") or () if raw.get("addresses")),
            ports=tuple(
                SlicePort(raw.get("name") or "", raw.get("protocol") or "TCP", raw.get("port") or 0, raw.get("appProtocol") or "")
                for raw in obj.get("ports") or ()
            ),
        )


@dataclass(frozen=True, slots=True)
class PortEndpoint:
    """An endpoint of one service port: `str()` is "10.244.1.5:8080", "[fd00::5]:8080"."""

    ip: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node_name: str = ""
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


PortEndpoints = Mapping[PortKey, tuple[PortEndpoint, ...]]
"""All endpoints of a service by port, those of one port sorted by "ip:port" and each there once."""


def port_endpoints(slices: Iterable[EndpointSlice], address_type: str = "IPv4") -> dict[PortKey, tuple[PortEndpoint, ...]]:
    """Gather the endpoints of all slices of one service, in one address family (kube-proxy's EndpointSliceCache)."""
    found: dict[PortKey, dict[str, PortEndpoint]] = {}
    for piece in slices:
        if piece.address_type != address_type:
            continue
        for port in piece.ports:
            if port.port:
                listed = found.setdefault((port.name, port.protocol), {})
                for endpoint in piece.endpoints:
                    item = _at_port(endpoint, port.port)
                    if item.node_name or str(item) not in listed:
                        listed[str(item)] = item
    return {key: tuple(listed[text] for text in sorted(listed)) for key, listed in found.items()}


def _at_port(endpoint: Endpoint, port: int) -> PortEndpoint:
    return PortEndpoint(
        ip=str(ipaddress.ip_address(endpoint.address)),
        port=port,
        ready=endpoint.ready,
        serving=endpoint.serving,
        terminating=endpoint.terminating,
        node_name=endpoint.node_name,
        zone_hints=endpoint.zone_hints,
        node_hints=endpoint.node_hints,
    )
