"""EndpointSlices of Services, from pods or from the Endpoints that a person wrote down (k8s.io/endpointslice, pkg/controller/endpointslicemirroring).

Pure: each function gives the objects that ought to stand. A slice that is to be made has `generateName` instead of a name; one that stays as it is
comes back as the very mapping that was handed in; an existing one that is not among the answers is to be deleted.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from klab.api.endpointslice import MANAGED_BY_LABEL, SERVICE_NAME_LABEL
from klab.api.names import check_dns_subdomain
from klab.api.pod import Pod
from klab.api.selectors import Selector
from klab.api.service import Service, ServicePort

Object = dict[str, Any]
Raw = Mapping[str, Any]

MAX_ENDPOINTS = 100
"""So many endpoints a slice holds at most (--max-endpoints-per-slice)."""

CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"
HEADLESS_LABEL = "service.kubernetes.io/headless"
SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"
_RESERVED = frozenset({SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL})
_NEAR = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})

Zones = Mapping[str, str]
"""Zone of each node that exists, "" where it has none."""


def selected(service: Service, pods: Iterable[Pod]) -> list[Pod]:
    """Give the pods that a service selects: those of its namespace with its labels; a service without a selector selects none."""
    if not service.selector:
        return []
    selector = Selector.of_labels(service.selector)
    return [pod for pod in pods if pod.namespace == service.namespace and selector.matches(pod.labels)]


def reconcile_slices(obj: Raw, pods: Sequence[Pod], zones: Zones, existing: Sequence[Raw]) -> list[Raw]:
    """Give the EndpointSlices of a service with a selector; `pods` are those it selects, `existing` the slices that this controller made for it.

    Endpoints stay in the slice where they are; a service without any endpoint has one empty slice.
    """
    service = Service.of(obj)
    answer: list[Raw] = []
    for family in families_of(service):
        groups: dict[str, tuple[list[Object], list[Object]]] = {}
        for pod in pods:
            endpoint = endpoint_of(pod, service, family, zones)
            if endpoint is not None:
                ports = ports_in(service, pod)
                groups.setdefault(key_of(ports), (ports, []))[1].append(endpoint)
        own = [piece for piece in existing if _owned(piece, obj)]
        filled = [piece for ports, endpoints in groups.values() for piece in _fill(_new_slice(obj, CONTROLLER, family, ports), endpoints, own)]
        answer += filled or _placeholder(_new_slice(obj, CONTROLLER, family, []), own)
    return answer


def reconcile_mirror(obj: Raw, endpoints: Raw, existing: Sequence[Raw]) -> list[Raw]:
    """Give the EndpointSlices that mirror the hand-written Endpoints of a service without a selector (endpointslicemirroring controller)."""
    service = Service.of(obj)
    labels = (endpoints.get("metadata") or {}).get("labels") or {}
    if service.selector or labels.get(SKIP_MIRROR_LABEL) == "true":
        return []
    groups: dict[tuple[str, str], tuple[list[Object], list[Object]]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ()]
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                family = _family_of(address["ip"])
                groups.setdefault((family, key_of(ports)), (ports, []))[1].append(_mirrored(address, ready=ready))
    own = [piece for piece in existing if _owned(piece, endpoints)]
    return [
        piece
        for (family, _ports_key), (ports, listed) in groups.items()
        for piece in _fill(_new_slice(endpoints, MIRRORING_CONTROLLER, family, ports), listed, own)
    ]


def endpoint_of(pod: Pod, service: Service, family: str, zones: Zones | None) -> Object | None:
    """Describe a pod as an endpoint; None where it has no address of the family, is finished, or its node is gone."""
    addresses = [str(ipaddress.ip_address(address)) for address in pod.pod_ips if _family_of(address) == family]
    if not addresses or pod.finished:
        return None
    if zones is not None and pod.node_name not in zones and not service.publish_not_ready_addresses:
        return None
    ready = service.publish_not_ready_addresses or (pod.ready and not pod.terminating)
    found: Object = {
        "addresses": addresses,
        "conditions": {"ready": ready, "serving": pod.ready, "terminating": pod.terminating},
        "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
    }
    zone = (zones or {}).get(pod.node_name, "")
    if pod.node_name:
        found["nodeName"] = pod.node_name
    if zone:
        found["zone"] = zone
    if pod.hostname and pod.subdomain == service.name:
        found["hostname"] = pod.hostname
    hints = _hints(service, pod.node_name, zone) if ready else {}
    return {**found, "hints": hints} if hints else found


def _hints(service: Service, node: str, zone: str) -> Object:
    """Give the hints that spec.trafficDistribution asks for (k8s.io/endpointslice/trafficdist)."""
    if service.traffic_distribution not in _NEAR:
        return {}
    hints: Object = {"forZones": [{"name": zone}]} if zone else {}
    if node and service.traffic_distribution == "PreferSameNode":
        hints["forNodes"] = [{"name": node}]
    return hints


def ports_in(service: Service, pod: Pod) -> list[Object]:
    """Give the service's ports with the numbers that they have in this pod; a named target that the pod does not declare is left out."""
    found = ((port, _target(port, pod)) for port in service.ports)
    return [
        {"name": port.name, "protocol": port.protocol, "port": number, **({"appProtocol": port.app_protocol} if port.app_protocol else {})}
        for port, number in found
        if number
    ]


def _target(port: ServicePort, pod: Pod) -> int:
    """Resolve a target port by number, or by name and protocol among the containers and sidecars (podutil.FindPort); 0 where there is none."""
    if isinstance(port.target_port, int):
        return port.target_port
    sidecars = (container for container in pod.init_containers if container.restart_policy == "Always")
    declared = (item for container in (*pod.containers, *sidecars) for item in container.ports)
    return next((item.container_port for item in declared if item.name == port.target_port and item.protocol == port.protocol), 0)


def _fill(template: Object, endpoints: Sequence[Object], existing: Sequence[Raw]) -> list[Raw]:
    """Put endpoints into slices like `template`, which all have the same ports.

    Each stays in the slice where it is; new ones fill up slices that change anyway, then one slice that takes the rest, then new slices.
    """
    wanted = {_identity(endpoint): endpoint for endpoint in endpoints}
    pieces: list[tuple[Raw, list[Object]]] = []
    for piece in existing:
        if piece.get("addressType") == template["addressType"] and key_of(piece.get("ports") or []) == key_of(template["ports"]):
            found = map(_identity, piece.get("endpoints") or ())
            pieces.append((piece, [wanted.pop(identity) for identity in found if identity in wanted]))
    missing = list(wanted.values())
    for piece, kept in pieces:
        if kept != list(piece.get("endpoints") or ()):
            room = MAX_ENDPOINTS - len(kept)
            kept.extend(missing[:room])
            del missing[:room]
    roomy = [kept for _piece, kept in pieces if len(kept) + len(missing) <= MAX_ENDPOINTS]
    if missing and roomy:
        max(roomy, key=len).extend(missing)
        missing.clear()
    parts = [missing[start : start + MAX_ENDPOINTS] for start in range(0, len(missing), MAX_ENDPOINTS)]
    answer = [_updated(piece, template, kept) for piece, kept in pieces if kept]
    return [*answer, *({**template, "endpoints": part} for part in parts)]


def _placeholder(template: Object, existing: Sequence[Raw]) -> list[Raw]:
    """Give the one empty slice of a service without endpoints."""
    empty = next((piece for piece in existing if piece.get("addressType") == template["addressType"] and not piece.get("ports")), None)
    return [template if empty is None else _updated(empty, template, [])]


def _new_slice(owner: Raw, controller: str, family: str, ports: list[Object]) -> Object:
    metadata = owner["metadata"]
    headless = owner.get("kind") != "Endpoints" and not Service.of(owner).proxied
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in _RESERVED}
    labels |= {HEADLESS_LABEL: ""} if headless else {}
    labels |= {SERVICE_NAME_LABEL: metadata["name"], MANAGED_BY_LABEL: controller}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": _prefix(metadata["name"]),
            "namespace": metadata.get("namespace") or "default",
            "labels": labels,
            "ownerReferences": [_owner_reference(owner)],
        },
        "addressType": family,
        "endpoints": [],
        "ports": ports,
    }


def _updated(piece: Raw, template: Object, endpoints: list[Object]) -> Raw:
    """Give an existing slice as it ought to be; the same mapping where nothing changes."""
    metadata, labels = piece["metadata"], template["metadata"]["labels"]
    if list(piece.get("endpoints") or ()) == endpoints and (metadata.get("labels") or {}) == labels:
        return piece
    return {**piece, "metadata": {**metadata, "labels": labels}, "endpoints": endpoints}


def _mirrored(address: Raw, *, ready: bool) -> Object:
    """Describe an address of a hand-written Endpoints object."""
    found: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    found |= {key: address[key] for key in ("hostname", "nodeName", "targetRef") if address.get(key)}
    return found


def families_of(service: Service) -> tuple[str, ...]:
    """Give the address families of a service's endpoints (getAddressTypesForService)."""
    if service.ip_families:
        return service.ip_families
    return tuple(dict.fromkeys(_family_of(address) for address in service.cluster_ips if address != "None")) or ("IPv4",)


def _family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _owned(piece: Raw, owner: Raw) -> bool:
    """Tell whether a slice belongs to this very object; one of a namesake that is gone does not."""
    uid = owner["metadata"].get("uid")
    return any(reference.get("uid") == uid for reference in piece["metadata"].get("ownerReferences") or ())


def _owner_reference(owner: Raw) -> Object:
    kind = owner.get("kind") or "Service"
    metadata = owner["metadata"]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _prefix(name: str) -> str:
    """Give the beginning of a slice's name: with a dash where that is a name (getEndpointSlicePrefix)."""
    return name if check_dns_subdomain(f"{name}-x") else f"{name}-"


def _identity(endpoint: Raw) -> str:
    """Tell endpoints apart by what does not change while they are the same (endpointutil.EndpointSet hashes addresses and target)."""
    return key_of([endpoint.get("addresses"), endpoint.get("targetRef") and endpoint["targetRef"].get("uid"), endpoint.get("hostname")])


def key_of(value: Any) -> str:
    """Give a text by which equal values are equal."""
    return json.dumps(value, sort_keys=True)
