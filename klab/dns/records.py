"""The records of one Service, as Kubernetes DNS specification 1.1.0 and CoreDNS' kubernetes plugin give them.

A table maps an owner relative to `<service>.<namespace>.svc.<domain>.` ("" for the Service itself) to its records by type, in RFC 1035 text.
An owner without records is a name that exists only because others lie below it (`_tcp`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from klab.dns.objects import Endpoint, Port, Service, Slice

Node = dict[str, tuple[str, ...]]
Table = dict[str, Node]


def calc_table(service: Service, slices: Iterable[Slice], domain: str) -> Table:
    """Give all records of a Service; empty if its name does not exist (headless without a ready endpoint)."""
    base = f"{service.name}.{service.namespace}.svc.{domain}."
    if service.external_name:
        return {} if is_address(service.external_name) else {"": {"CNAME": (absolute(service.external_name),)}}
    addresses: dict[str, dict[str, None]] = defaultdict(dict)
    targets: dict[str, dict[tuple[int, str], None]] = defaultdict(dict)
    for label, address, ports in _backends(service, slices):
        owners: dict[str, Iterable[Port]] = {label: ports}
        if service.headless or not label:
            owners |= {"": ports} | {port.owner: (port,) for port in ports if port.owner}
        for owner, owned in owners.items():
            addresses[owner][address] = None
            for port in owned:
                targets[owner][port.number, f"{label}.{base}" if label else base] = None
    table = {owner: _node(found, targets[owner]) for owner, found in addresses.items()}
    return {**{parent: {} for owner in table for parent in _parents(owner)}, **table}


def endpoint_name(endpoint: Endpoint, address: str) -> str:
    """Give an endpoint's label: its hostname, else its address with dashes (`10-1-2-3`, `fd00--5`)."""
    if endpoint.hostname:
        return endpoint.hostname
    dashed = address.replace(".", "-").replace(":", "-")
    return f"{dashed}0" if dashed.endswith("-") else dashed


def address_type(address: str) -> str:
    """Give the record type of an address."""
    return "AAAA" if ":" in address else "A"


def is_address(name: str) -> bool:
    """Tell whether an externalName is an IPv4 address, which has no CNAME (a hostname of digits and dots cannot be resolved)."""
    parts = name.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)  # noqa: PLR2004 (IPv4)


def absolute(name: str) -> str:
    """Give a name its dot at the end."""
    return name if name.endswith(".") else f"{name}."


def _backends(service: Service, slices: Iterable[Slice]) -> Iterator[tuple[str, str, tuple[Port, ...]]]:
    """Give (label, address, ports) of the Service itself, by the label "", and of each endpoint that may be named."""
    for address in service.cluster_ips:
        yield "", address, service.ports
    for piece in slices:
        for endpoint in piece.endpoints:
            if endpoint.ready or service.publish_not_ready:
                for address in endpoint.addresses:
                    yield endpoint_name(endpoint, address), address, piece.ports


def _parents(owner: str) -> Iterator[str]:
    """Give the names between an owner and the Service."""
    while "." in owner:
        owner = owner.partition(".")[2]
        yield owner


def _node(addresses: Iterable[str], targets: Iterable[tuple[int, str]]) -> Node:
    """Give one owner's A, AAAA and SRV records; priority 0, weights share 100 as CoreDNS has it."""
    found: dict[str, list[str]] = {}
    for address in addresses:
        found.setdefault(address_type(address), []).append(address)
    node = {kind: tuple(group) for kind, group in found.items()}
    services = tuple(targets)
    if services:
        weight = max(100 // len(services), 1)
        node["SRV"] = tuple(f"0 {weight} {number} {target}" for number, target in services)
    return node
