"""The kube-proxies of all nodes: Services and their endpoints into what each node's kernel must have, a service at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from klab.api import resources
from klab.api.endpointslice import SERVICE_NAME_LABEL, EndpointSlice, PortEndpoints, port_endpoints
from klab.api.lab import Lab
from klab.api.service import Service
from klab.cluster.topology import Owned, Topology
from klab.controlplane.store import Event, Store
from klab.errors import NotFoundError
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.conntrack import calc_frontends
from klab.kubeproxy.healthcheck import count_local_endpoints, render_answer
from klab.kubeproxy.plan import plan_base, plan_service
from klab.linux.conntrack import Frontend
from klab.linux.objects import Address

SERVICES = resources.of("v1", "Service")
SLICES = resources.of("discovery.k8s.io/v1", "EndpointSlice")
ZONE_LABEL = "topology.kubernetes.io/zone"

Place = tuple[str, str]  # a Service's namespace and name
HealthAnswer = tuple[int, dict[str, str], bytes]  # status, headers, body


@dataclass(slots=True)
class Proxies:
    """Knows the slices of each service; what a service had on a node is remembered by the wiring."""

    store: Store
    lab: Lab
    dirty: set[Place] = field(default_factory=set)
    _slices: dict[Place, dict[str, EndpointSlice]] = field(default_factory=dict)
    _checked: set[Place] = field(default_factory=set)  # services with a healthCheckNodePort
    _topology: Topology | None = None  # the one that `_addresses` are of
    _addresses: dict[str, list[str]] = field(default_factory=dict)  # of each node's interfaces
    _former: dict[Place, Service] = field(default_factory=dict)  # each service as it was when its flows were last looked after

    def __post_init__(self) -> None:
        """Read what the store has."""
        for obj in self.store.list(SLICES):
            self._note_slice(obj, gone=False)
        for obj in self.store.list(SERVICES):
            self._note_service(obj)

    def hear(self, event: Event) -> bool:
        """Take note of a change; say whether it concerns a service."""
        if event.resource.kind == "Service":
            self._note_service(event.object)
            return True
        if event.resource.kind == "EndpointSlice":
            self._note_slice(event.object, gone=event.type == "DELETED")
            return True
        return False

    def plan_bases(self, topology: Topology, nodes: Iterable[Mapping[str, Any]]) -> Owned:
        """Plan what kube-proxy keeps on each node whatever services there are."""
        return {base_owner(node.name): plan_base(node, config) for node in self.nodes(topology, nodes) for config in self._configs}

    def plan(self, places: Iterable[Place], nodes: Iterable[ProxyNode]) -> Owned:
        """Plan services on nodes; one that is gone, or has no cluster IP, has nothing."""
        planned: Owned = {}
        nodes = list(nodes)
        for place in places:
            service = self._find(place)
            for node in nodes:
                planned[service_owner(node.name, place)] = tuple(self._plan(service, place, node)) if service else ()
        return planned

    def take_frontends(self, places: Iterable[Place]) -> dict[Frontend, frozenset[str]]:
        """Give the UDP frontends whose flows may have gone stale by what happened to these services since they were last asked about."""
        frontends: dict[Frontend, frozenset[str]] = {}
        for place in places:
            before, after = self._former.pop(place, None), self._find(place)
            if after is not None:
                self._former[place] = after
            for config in self._configs:
                frontends |= calc_frontends(before, after, self._endpoints(place), config)
        return frontends

    def health_checks(self, node: str) -> dict[int, HealthAnswer]:
        """Give what a node answers on the healthCheckNodePorts of Services."""
        return {
            service.health_check_node_port: render_answer(service, count_local_endpoints(self._endpoints(place), node))
            for place, service in ((place, self._find(place)) for place in self._checked)
            if service and service.needs_health_check
        }

    def places(self) -> set[Place]:
        """Give all services that there are."""
        return {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self.store.list(SERVICES)}

    def nodes(self, topology: Topology, nodes: Iterable[Mapping[str, Any]]) -> list[ProxyNode]:
        """Give the nodes as kube-proxy sees them: with all addresses that their interfaces carry."""
        if topology is not self._topology:
            self._topology, self._addresses = topology, _addresses_of(topology)
        found = []
        for obj in nodes:
            name = obj["metadata"]["name"]
            zone = (obj["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
            addresses = tuple(self._addresses.get(name, ()))
            found.append(ProxyNode(name=name, netns=name, ip=topology.nodes[name].address, addresses=addresses, zone=zone))
        return found

    @property
    def _configs(self) -> list[ProxyConfig]:
        network, services = self.lab.network, self.lab.services
        return [
            ProxyConfig(
                mode=services.proxy,  # type: ignore[arg-type]
                cluster_cidr=str(next(cidr for cidr in network.pod_cidrs if cidr.version == 4)),  # noqa: PLR2004 (IPv4)
                service_cidrs=tuple(str(cidr) for cidr in services.cidrs if cidr.version == 4),  # noqa: PLR2004 (IPv4)
                scheduler=services.scheduler,
            )
        ]

    def _plan(self, service: Service, place: Place, node: ProxyNode) -> Iterable[Any]:
        for config in self._configs:
            yield from plan_service(service, self._endpoints(place), node, config)

    def _endpoints(self, place: Place) -> PortEndpoints:
        return port_endpoints(self._slices.get(place, {}).values(), "IPv4")

    def _find(self, place: Place) -> Service | None:
        try:
            return Service.of(self.store.get(SERVICES, *place))
        except NotFoundError:
            return None

    def _note_service(self, obj: Mapping[str, Any]) -> None:
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        self.dirty.add(place)
        if obj["spec"].get("healthCheckNodePort"):
            self._checked.add(place)
        else:
            self._checked.discard(place)

    def _note_slice(self, obj: Mapping[str, Any], *, gone: bool) -> None:
        meta = obj["metadata"]
        service = (meta.get("labels") or {}).get(SERVICE_NAME_LABEL)
        if not service:
            return
        place = (meta["namespace"], service)
        known = self._slices.setdefault(place, {})
        if gone:
            known.pop(meta["name"], None)
        else:
            known[meta["name"]] = EndpointSlice.of(obj)
        if not known:
            del self._slices[place]
        self.dirty.add(place)


def _addresses_of(topology: Topology) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for objects in topology.plan_base().values():
        for item in objects:
            if isinstance(item, Address):
                found.setdefault(item.netns, []).append(item.cidr.split("/")[0])
    return found


def base_owner(node: str) -> str:
    """Name a node's kube-proxy as an owner of kernel objects."""
    return f"kube-proxy/{node}"


def service_owner(node: str, place: Place) -> str:
    """Name a service on a node as an owner of kernel objects."""
    return f"kube-proxy/{node}/{place[0]}/{place[1]}"
