"""Which endpoints of a service port a node sends which traffic to (pkg/proxy/topology.go): policies, readiness, termination, hints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klab.api.endpointslice import PortEndpoint
from klab.kubeproxy.config import ProxyNode
from klab.kubeproxy.ports import ServicePortInfo

PREFER_SAME_NODE = "PreferSameNode"
PREFER_SAME_ZONE = "PreferSameZone"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The usable endpoints of one service port on one node.

    `cluster` and `local` serve the two traffic policies, each () where the service never uses it; `reachable` is their union; `anywhere` tells
    whether there is a usable endpoint on whatever node.
    """

    cluster: tuple[PortEndpoint, ...]
    local: tuple[PortEndpoint, ...]
    reachable: tuple[PortEndpoint, ...]
    anywhere: bool
    internal: bool
    """Traffic to the cluster IP finds an endpoint."""
    external: bool
    """External traffic finds an endpoint under its own policy."""


def categorize(endpoints: Sequence[PortEndpoint], info: ServicePortInfo, node: ProxyNode) -> Endpoints:
    """Choose; ready endpoints are usable, and where there are none the serving ones that are terminating (KEP-1669), for each policy by itself."""
    cluster: tuple[PortEndpoint, ...] = ()
    local: tuple[PortEndpoint, ...] = ()
    if info.uses_cluster_endpoints:
        hinted = _by_hints(endpoints, node)
        cluster = tuple(item for item in endpoints if item.ready and hinted(item)) or _last_resort(endpoints)
    if info.uses_local_endpoints:
        here = [item for item in endpoints if item.node_name == node.name]
        local = tuple(item for item in here if item.ready) or _last_resort(here)
    some = bool(cluster) or (info.uses_local_endpoints and any(_usable(item) for item in endpoints))
    chosen = {*cluster, *local}
    return Endpoints(
        cluster=cluster,
        local=local,
        reachable=tuple(item for item in endpoints if item in chosen),
        anywhere=some,
        internal=bool(local) if info.internal_policy_local else some,
        external=bool(local) if info.external_policy_local else some,
    )


def _usable(item: PortEndpoint) -> bool:
    return item.ready or (item.serving and item.terminating)


def _last_resort(endpoints: Sequence[PortEndpoint]) -> tuple[PortEndpoint, ...]:
    return tuple(item for item in endpoints if item.serving and item.terminating)


def _by_hints(endpoints: Sequence[PortEndpoint], node: ProxyNode) -> Callable[[PortEndpoint], bool]:
    """Give the filter that the hints ask for: node, then zone; hints count only where every ready endpoint has them and one names us."""
    ready = [item for item in endpoints if item.ready]
    if ready and all(item.node_hints for item in ready) and any(node.name in item.node_hints for item in ready):
        return lambda item: node.name in item.node_hints
    if ready and all(item.zone_hints for item in ready) and any(node.zone in item.zone_hints for item in ready):
        return lambda item: node.zone in item.zone_hints
    return lambda _item: True
