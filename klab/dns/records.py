"""The records of one Service, as Kubernetes DNS specification 1.1.0 and CoreDNS' kubernetes plugin give them.

A table maps an owner relative to `<service>.<namespace>.svc.<domain>.` ("" for the Service itself) to its records by type, in RFC 1035 text.
An owner without records is a name that exists only because others lie below it (`_tcp`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from klab.api.service import EXTERNAL_NAME
from klab.dns.names import absolute, address_type, is_address, normal_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from klab.api.endpointslice import Endpoint, EndpointSlice, SlicePort
    from klab.api.service import Service, ServicePort

    Port = ServicePort | SlicePort

Node = dict[str, tuple[str, ...]]
Table = dict[str, Node]


def calc_table(service: Service, slices: Iterable[EndpointSlice], domain: str) -> Table:
    """Give all records of a Service; empty if its name does not exist (headless without a ready endpoint)."""
    base = f"{service.name}.{service.namespace}.svc.{domain}."
    if service.type == EXTERNAL_NAME:
        return {} if is_address(service.external_name) else {"": {"CNAME": (absolute(service.external_name),)}}
    addresses: dict[str, dict[str, None]] = defaultdict(dict)
    targets: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    for label, address, ports in _backends(service, slices):
        owners: dict[str, Iterable[Port]] = {label: ports}
        if service.headless or not label:
            owners |= {"": ports} | {_srv_owner(port): (port,) for port in ports if port.name}
        for owner, owned in owners.items():
            addresses[owner][address] = None
            for port in owned:
                targets[owner][port.port, f"{label}.{base}" if label else base] += 1
    table = {owner: _node(found, targets[owner]) for owner, found in addresses.items()}
    return {**{parent: {} for owner in table for parent in _parents(owner)}, **table}


def endpoints_of(piece: EndpointSlice) -> tuple[Endpoint, ...]:
    """Give the endpoints that have an address: those of a slice of addressType FQDN have none."""
    return () if piece.address_type == "FQDN" else piece.endpoints


def endpoint_name(endpoint: Endpoint) -> str:
    """Give an endpoint's label: its hostname, else its address with dashes (`10-1-2-3`, `fd00--5`)."""
    if endpoint.hostname:
        return endpoint.hostname.lower()
    dashed = normal_address(endpoint.address).replace(".", "-").replace(":", "-")
    return f"{dashed}0" if dashed.endswith("-") else dashed


def _backends(service: Service, slices: Iterable[EndpointSlice]) -> Iterator[tuple[str, str, Sequence[Port]]]:
    """Give (label, address, ports) of the Service itself, by the label "", and of each endpoint that may be named."""
    if service.proxied:
        for address in service.cluster_ips:
            yield "", normal_address(address), service.ports
    for piece in slices:
        ports = tuple(port for port in piece.ports if port.port)
        for endpoint in endpoints_of(piece):
            if endpoint.ready or service.publish_not_ready_addresses:
                yield endpoint_name(endpoint), normal_address(endpoint.address), ports


def _srv_owner(port: Port) -> str:
    """Give the owner of a named port's SRV records relative to the Service."""
    return f"_{port.name}._{port.protocol}".lower()


def _parents(owner: str) -> Iterator[str]:
    """Give the names between an owner and the Service."""
    while "." in owner:
        owner = owner.partition(".")[2]
        yield owner


def _node(addresses: Iterable[str], targets: Counter[tuple[int, str]]) -> Node:
    """Give one owner's A, AAAA and SRV records.

    An SRV record has priority 0 and, as CoreDNS has it, 100 over the number of all addresses behind the owner's ports as its weight.
    """
    found: dict[str, list[str]] = {}
    for address in addresses:
        found.setdefault(address_type(address), []).append(address)
    node = {kind: tuple(group) for kind, group in found.items()}
    if targets:
        weight = max(100 // targets.total(), 1)
        node["SRV"] = tuple(f"0 {weight} {number} {target}" for number, target in targets)
    return node
