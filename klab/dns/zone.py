"""The zone of a cluster: what is known of its objects, kept current object by object, and the look-up of a name.

A change costs what the object itself is large, however many Services there are; a Service's records are made at its first look-up.
Names exist and do not exist as RFC 8020 has it (a name above an existing name exists); a wildcard is a name like any other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from klab.api.endpointslice import EndpointSlice
from klab.api.service import Service
from klab.dns.delta import VERSION
from klab.dns.names import REVERSE_ORIGINS, address_type, normal_address, parse_pod_label, parse_reverse, reverse_name
from klab.dns.records import Table, calc_table, endpoint_name, endpoints_of
from klab.errors import KlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from klab.dns.records import Node

SCHEMA_VERSION = "1.1.0"
SCHEMA_TTL = 28800
TTL = 5
"""Seconds, of every record and of a negative answer: the default of CoreDNS' kubernetes plugin."""
DNS_SERVICE = ("kube-system", "kube-dns")
MAX_CHAIN = 10
"""CNAMEs followed in one look-up; more are a loop."""


@dataclass(frozen=True, slots=True)
class RRset:
    """Records of one owner (absolute, in the question's letter case) and type, in RFC 1035 text."""

    owner: str
    type: str
    rdatas: tuple[str, ...]
    ttl: int = TTL


@dataclass(frozen=True, slots=True)
class Answer:
    """What the zone says: an rcode's name and the sections; `chase` is a CNAME's target outside the zone, still to be asked for elsewhere."""

    rcode: str
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    chase: str = ""


class Zone:
    """The records of a cluster's domain (`cluster.local`, no dot at the end) and of the two reverse trees; one thread uses it."""

    def __init__(self, domain: str = "cluster.local") -> None:
        self.domain = domain.lower().rstrip(".")
        self.origin = f"{self.domain}."
        self.serial = 1
        self._clear()

    def _clear(self) -> None:
        self._namespaces: set[str] = set()
        self._services: dict[str, dict[str, Service]] = defaultdict(dict)  # namespace -> name -> Service
        self._slices: dict[tuple[str, str], EndpointSlice] = {}
        self._slices_of: dict[tuple[str, str], dict[str, EndpointSlice]] = defaultdict(dict)  # (namespace, service) -> name -> Slice
        self._service_at: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)  # cluster IP -> (namespace, service)
        self._slices_at: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)  # endpoint address -> (namespace, slice)
        self._tables: dict[tuple[str, str], Table] = {}

    # Changes

    def apply(self, delta: Mapping[str, Any]) -> None:
        """Take a delta as `klab.dns.delta.make_delta` gives it, objects whole or trimmed; `reset` forgets all that was before."""
        if delta.get("version") != VERSION:
            raise KlabError(f"a DNS delta of version {delta.get('version')} cannot be read, only {VERSION}; run the same klab on both sides")
        if delta.get("reset"):
            self._clear()
            self.serial += 1
        for name in delta.get("delete") or ():
            self.remove(name)
        for obj in delta.get("set") or ():
            self.set(obj)

    def set(self, obj: Mapping[str, Any]) -> None:
        """Put an object in place of the one of the same key; kinds that DNS does not read are passed over."""
        kind = obj["kind"]
        if kind == "Namespace":
            self._namespaces.add(obj["metadata"]["name"])
        elif kind == "Service":
            self._set_service(Service.of(obj))
        elif kind == "EndpointSlice":
            self._set_slice(EndpointSlice.of(obj))
        else:
            return
        self.serial += 1

    def remove(self, name: str) -> None:
        """Forget the object of a key (`klab.dns.delta.key`); an unknown one is fine."""
        kind, namespace, name = name.split("/", 2)
        if kind == "Namespace":
            self._namespaces.discard(name)
        elif kind == "Service":
            self._remove_service(namespace, name)
        elif kind == "EndpointSlice":
            self._remove_slice(namespace, name)
        else:
            return
        self.serial += 1

    def _set_service(self, service: Service) -> None:
        self._remove_service(service.namespace, service.name)
        self._services[service.namespace][service.name] = service
        for address in _addresses(service):
            self._service_at[address][service.namespace, service.name] = None

    def _remove_service(self, namespace: str, name: str) -> None:
        self._tables.pop((namespace, name), None)
        service = self._services[namespace].pop(name, None)
        if not self._services[namespace]:
            del self._services[namespace]
        for address in _addresses(service) if service else ():
            _discard(self._service_at, address, (namespace, name))

    def _set_slice(self, piece: EndpointSlice) -> None:
        self._remove_slice(piece.namespace, piece.name)
        self._slices[piece.namespace, piece.name] = piece
        self._slices_of[piece.namespace, piece.service][piece.name] = piece
        self._tables.pop((piece.namespace, piece.service), None)
        for endpoint in endpoints_of(piece):
            self._slices_at[normal_address(endpoint.address)][piece.namespace, piece.name] = None

    def _remove_slice(self, namespace: str, name: str) -> None:
        piece = self._slices.pop((namespace, name), None)
        if piece is None:
            return
        _discard(self._slices_of, (namespace, piece.service), name)
        self._tables.pop((namespace, piece.service), None)
        for endpoint in endpoints_of(piece):
            _discard(self._slices_at, normal_address(endpoint.address), (namespace, name))

    # Look-ups

    def lookup(self, name: str, kind: str) -> Answer | None:
        """Answer an absolute name in any letter case and a type's name; None if the name is in none of the zone's trees."""
        if self.origin_of(name) is None:
            return None
        answer: list[RRset] = []
        owner = name
        for _ in range(MAX_CHAIN):
            origin = self.origin_of(owner)
            if origin is None:
                return Answer("NOERROR", tuple(answer), chase=owner)
            node = self._node(owner.lower())
            if node is None:
                return Answer("NXDOMAIN", tuple(answer), (self.soa(origin),))
            if "CNAME" in node and kind != "CNAME":
                answer.append(RRset(owner, "CNAME", node["CNAME"]))
                owner = node["CNAME"][0]
                continue
            if kind not in node:
                return Answer("NOERROR", tuple(answer), (self.soa(origin),))
            found = RRset(owner, kind, node[kind], SCHEMA_TTL if kind == "TXT" else TTL)
            return Answer("NOERROR", (*answer, found), additional=self._addresses_of(found))
        return Answer("SERVFAIL")

    def origin_of(self, name: str) -> str | None:
        """Give the tree that an absolute name is in: the cluster's domain, in-addr.arpa. or ip6.arpa."""
        lower = name.lower()
        return next((origin for origin in (self.origin, *REVERSE_ORIGINS) if lower == origin or lower.endswith(f".{origin}")), None)

    def soa(self, origin: str) -> RRset:
        """Give a tree's SOA, with the values of CoreDNS: negative answers live TTL seconds."""
        return RRset(origin, "SOA", (f"ns.dns.{self.origin} hostmaster.{self.origin} {self.serial} 7200 1800 86400 {TTL}",))

    def namespaces(self) -> tuple[str, ...]:
        """Give the names of all namespaces, of Namespace objects and of Services, sorted."""
        return tuple(sorted(self._namespaces.union(self._services)))

    def records(self, origin: str) -> Iterator[RRset]:
        """Give all records of a tree without its SOA (for a zone file), but not those of pods, which are made from the question."""
        if origin == self.origin:
            yield RRset(f"dns-version.{origin}", "TXT", (f'"{SCHEMA_VERSION}"',), SCHEMA_TTL)
            for owner in (origin, f"ns.dns.{origin}"):
                yield from _rrsets(owner, self._node(owner) or {})
            for namespace, services in self._services.items():
                for name in services:
                    base = f"{name}.{namespace}.svc.{origin}"
                    for owner, node in self._table(namespace, name).items():
                        yield from _rrsets(f"{owner}.{base}" if owner else base, node)
        elif origin in REVERSE_ORIGINS:
            yield from _rrsets(origin, self._node(origin) or {})
            for address in {**self._service_at, **self._slices_at}:
                owner = reverse_name(address)
                if owner.endswith(origin):
                    yield from _rrsets(owner, self._reverse_node(owner) or {})

    def _node(self, name: str) -> Node | None:  # noqa: PLR0911 (one return for each form of name)
        """Give the records at a lower-case name inside the zone's trees, None if it does not exist."""
        if not name.endswith(self.origin):
            return self._reverse_node(name)
        labels = name.removesuffix(self.origin).removesuffix(".").split(".")
        match labels:
            case [""]:
                return self._name_servers()
            case ["dns-version"]:
                return {"TXT": (f'"{SCHEMA_VERSION}"',)}
            case ["svc"] | ["pod"] | ["dns"]:
                return {}
            case ["ns", "dns"]:
                return self._dns_addresses() or None
            case [namespace, "svc" | "pod"]:
                return {} if self._has_namespace(namespace) else None
            case [*owner, service, namespace, "svc"]:
                return self._table(namespace, service).get(".".join(owner))
            case [host, namespace, "pod"] if self._has_namespace(namespace):
                address = parse_pod_label(host)
                return {address_type(address): (address,)} if address else None
        return None

    def _has_namespace(self, namespace: str) -> bool:
        return namespace in self._namespaces or namespace in self._services

    def _table(self, namespace: str, name: str) -> Table:
        """Give a Service's records, made once and kept until it or one of its slices changes; empty for an unknown one."""
        table = self._tables.get((namespace, name))
        if table is None:
            service = self._services.get(namespace, {}).get(name)
            if service is None:
                return {}
            table = calc_table(service, self._slices_of.get((namespace, name), {}).values(), self.domain)
            self._tables[namespace, name] = table
        return table

    def _dns_addresses(self) -> Node:
        """Give the addresses of the DNS Service itself, which ns.dns.<domain> has too."""
        namespace, name = DNS_SERVICE
        return {kind: rdatas for kind, rdatas in self._table(namespace, name).get("", {}).items() if kind in {"A", "AAAA"}}

    def _name_servers(self) -> Node:
        """Give the records at a tree's top."""
        namespace, name = DNS_SERVICE
        return {"NS": (f"{name}.{namespace}.svc.{self.origin}",)} if self._dns_addresses() else {}

    def _reverse_node(self, name: str) -> Node | None:
        """Give the PTR records of an address: the Service's, else those of all ready endpoints there."""
        if name in REVERSE_ORIGINS:
            return self._name_servers()
        address = parse_reverse(name)
        services = tuple(self._service_at.get(address, ()))
        if services:
            namespace, service = services[0]
            return {"PTR": (f"{service}.{namespace}.svc.{self.origin}",)}
        names = dict.fromkeys(self._endpoint_names(address))
        return {"PTR": tuple(names)} if names else None

    def _endpoint_names(self, address: str) -> Iterator[str]:
        for where in self._slices_at.get(address, ()):
            piece = self._slices[where]
            table = self._table(piece.namespace, piece.service)
            for endpoint in endpoints_of(piece):
                if address == normal_address(endpoint.address):
                    host = endpoint_name(endpoint)
                    if address in table.get(host, {}).get(address_type(address), ()):
                        yield f"{host}.{piece.service}.{piece.namespace}.svc.{self.origin}"

    def _addresses_of(self, found: RRset) -> tuple[RRset, ...]:
        """Give the addresses of the targets of SRV and NS records, for the additional section."""
        if found.type not in {"SRV", "NS"}:
            return ()
        targets = dict.fromkeys(rdata.rpartition(" ")[2] for rdata in found.rdatas)
        return tuple(
            RRset(target, kind, rdatas) for target in targets for kind, rdatas in (self._node(target) or {}).items() if kind in {"A", "AAAA"}
        )


def _addresses(service: Service) -> tuple[str, ...]:
    """Give a Service's own addresses."""
    return tuple(normal_address(address) for address in service.cluster_ips) if service.proxied else ()


def _rrsets(owner: str, node: Node) -> Iterator[RRset]:
    return (RRset(owner, kind, rdatas) for kind, rdatas in node.items())


def _discard(index: dict[Any, dict[Any, Any]], group: Any, member: Any) -> None:
    """Take a member out of a group, and the group out of the index with its last member."""
    index[group].pop(member, None)
    if not index[group]:
        del index[group]
