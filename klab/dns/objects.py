"""What DNS reads of Kubernetes objects: trimmed mappings to send between processes, and typed values.

Three kinds matter: Service, EndpointSlice (an Endpoints object counts through its mirrored slices) and Namespace. Pods do not: their records
`10-1-2-3.ns.pod.<domain>` are made from the question alone, as Kubernetes' default Corefile asks for (`pods insecure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("Service", "EndpointSlice", "Namespace")
SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service or EndpointSlice; `name` is "" for an unnamed one, `protocol` is lower-case."""

    name: str
    protocol: str
    number: int

    @property
    def owner(self) -> str:
        """Give the SRV owner relative to the Service (`_http._tcp`), "" for an unnamed port."""
        return f"_{self.name}._{self.protocol}" if self.name else ""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service; without addresses and without a target it is headless."""

    namespace: str
    name: str
    cluster_ips: tuple[str, ...]
    headless: bool
    external_name: str
    publish_not_ready: bool
    ports: tuple[Port, ...]

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Service:
        """Read a Service, whole or trimmed; targetPort and status do not matter to DNS."""
        meta, spec = obj["metadata"], obj.get("spec") or {}
        addresses = tuple(address for address in spec.get("clusterIPs") or (spec.get("clusterIP"),) if address)
        external = spec.get("type") == "ExternalName"
        return cls(
            meta["namespace"],
            meta["name"],
            () if external else tuple(normal_address(address) for address in addresses if address != "None"),
            "None" in addresses and not external,
            (spec.get("externalName") or "") if external else "",
            bool(spec.get("publishNotReadyAddresses")),
            _ports(spec.get("ports") or ()),
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Addresses that share a hostname; `hostname` is "" where the endpoint has none of its own."""

    addresses: tuple[str, ...]
    hostname: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice of the Service `service` ("" for none) in its namespace."""

    namespace: str
    name: str
    service: str
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Slice:
        """Read an EndpointSlice, whole or trimmed; one of addressType FQDN has no addresses to give."""
        meta = obj["metadata"]
        endpoints = () if obj.get("addressType") == "FQDN" else obj.get("endpoints") or ()
        return cls(
            meta["namespace"],
            meta["name"],
            (meta.get("labels") or {}).get(SERVICE_NAME_LABEL, ""),
            _ports(obj.get("ports") or ()),
            tuple(
                Endpoint(
                    tuple(normal_address(address) for address in endpoint.get("addresses") or ()),
                    (endpoint.get("hostname") or "").lower(),
                    (endpoint.get("conditions") or {}).get("ready") is not False,
                )
                for endpoint in endpoints
            ),
        )


def key(obj: Mapping[str, Any]) -> str:
    """Name an object in a delta: `Service/default/web`, `Namespace//shop`."""
    meta = obj["metadata"]
    return f"{obj['kind']}/{meta.get('namespace') or ''}/{meta['name']}"


def trim(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep what DNS reads of an object, None for a kind that it does not read; equal results mean that nothing changed for DNS."""
    kind, meta = obj["kind"], obj["metadata"]
    if kind not in KINDS:
        return None
    trimmed: dict[str, Any] = {"kind": kind, "metadata": _pick(meta, "name", "namespace")}
    if kind == "Service":
        spec = obj.get("spec") or {}
        trimmed["spec"] = _pick(spec, "type", "clusterIP", "clusterIPs", "externalName", "publishNotReadyAddresses")
        trimmed["spec"]["ports"] = [_pick(port, "name", "protocol", "port") for port in spec.get("ports") or ()]
    elif kind == "EndpointSlice":
        trimmed["metadata"]["labels"] = _pick(meta.get("labels") or {}, SERVICE_NAME_LABEL)
        trimmed |= _pick(obj, "addressType")
        trimmed["ports"] = [_pick(port, "name", "protocol", "port") for port in obj.get("ports") or ()]
        trimmed["endpoints"] = [_trim_endpoint(endpoint) for endpoint in obj.get("endpoints") or ()]
    return trimmed


def normal_address(text: str) -> str:
    """Give an IPv4 or IPv6 address in its canonical text; ValueError if it is none."""
    return str(ip_address(text))


def _trim_endpoint(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    trimmed = _pick(endpoint, "addresses", "hostname")
    ready = (endpoint.get("conditions") or {}).get("ready")
    return trimmed if ready is None else {**trimmed, "conditions": {"ready": ready}}


def _ports(ports: Any) -> tuple[Port, ...]:
    """Read ports; one without a number (an EndpointSlice means all ports by it) has no record."""
    return tuple(Port((port.get("name") or "").lower(), (port.get("protocol") or "TCP").lower(), port["port"]) for port in ports if port.get("port"))


def _pick(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: mapping[name] for name in names if mapping.get(name)}
