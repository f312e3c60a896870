"""Endpoints objects of Services with a selector, beside their EndpointSlices for those who still read them (pkg/controller/endpoint). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from klab.api.pod import Pod
from klab.api.service import Service
from klab.controlplane.controllers.endpointslice import HEADLESS_LABEL, endpoint_of, families_of, key_of, ports_in

Object = dict[str, Any]
Raw = Mapping[str, Any]

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"

MAX_ADDRESSES = 1000
"""So many addresses an object holds at most."""


def reconcile_endpoints(obj: Raw, pods: Sequence[Pod], existing: Raw | None) -> Object:
    """Give the Endpoints object of a service with a selector: addresses by readiness, those with the same ports together."""
    service = Service.of(obj)
    family = families_of(service)[0]
    places: dict[str, tuple[Object, bool]] = {}  # address and readiness
    by_port: dict[str, tuple[list[Object], set[str]]] = {}  # the port, or none of a headless service, and the addresses that have it
    for pod in pods:
        endpoint = endpoint_of(pod, service, family, None)
        if endpoint is None or (pod.terminating and not service.publish_not_ready_addresses):
            continue
        address: Object = {"ip": endpoint["addresses"][0]}
        address |= {field: endpoint[field] for field in ("hostname", "nodeName", "targetRef") if field in endpoint}
        key = key_of(address)
        places[key] = (address, endpoint["conditions"]["ready"])
        for part in [[port] for port in ports_in(service, pod)] if service.ports else [[]]:
            by_port.setdefault(key_of(part), (part, set()))[1].add(key)
    by_addresses: dict[frozenset[str], list[Object]] = {}
    for part, keys in by_port.values():
        by_addresses.setdefault(frozenset(keys), []).extend(part)
    subsets = [_subset([places[key] for key in keys], ports) for keys, ports in by_addresses.items()]
    return _endpoints_object(obj, service, sorted(subsets, key=key_of), existing, over=len(places) > MAX_ADDRESSES)


def _subset(places: Iterable[tuple[Object, bool]], ports: list[Object]) -> Object:
    """Make one subset of an Endpoints object, addresses in order."""
    listed = sorted(places, key=lambda place: (place[0]["ip"], (place[0].get("targetRef") or {}).get("uid", "")))
    ready = [address for address, is_ready in listed if is_ready]
    waiting = [address for address, is_ready in listed if not is_ready]
    named = [{key: value for key, value in port.items() if key != "name" or value} for port in ports]
    fields = {"addresses": ready, "notReadyAddresses": waiting, "ports": named}
    return {field: value for field, value in fields.items() if value}


def _endpoints_object(obj: Raw, service: Service, subsets: list[Object], existing: Raw | None, *, over: bool) -> Object:
    """Make the Endpoints object; at most a thousand addresses, ready ones first."""
    before = dict((existing or {}).get("metadata") or {})
    annotations = {key: value for key, value in (before.get("annotations") or {}).items() if key != OVER_CAPACITY}
    if over:
        annotations[OVER_CAPACITY] = "truncated"
        subsets = list(_truncated(subsets))
    labels = {key: value for key, value in ((obj.get("metadata") or {}).get("labels") or {}).items() if key != HEADLESS_LABEL}
    labels |= {MANAGED_BY: CONTROLLER} | ({} if service.proxied else {HEADLESS_LABEL: ""})
    metadata = {**before, "name": service.name, "namespace": service.namespace, "labels": labels}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    answer: Object = {**(existing or {}), "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    answer.pop("subsets", None)
    return {**answer, "subsets": subsets} if subsets else answer


def _truncated(subsets: Sequence[Object]) -> Iterator[Object]:
    left = MAX_ADDRESSES
    for field in ("addresses", "notReadyAddresses"):
        for subset in subsets:
            part = (subset.get(field) or [])[:left]
            left -= len(part)
            if part:
                yield {field: part, "ports": subset["ports"]} if "ports" in subset else {field: part}
