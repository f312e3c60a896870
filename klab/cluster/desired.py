"""All that ought to stand for a store, by owner: underlay and nodes, pods, kube-proxies. A control plane adopts it, `plan` compares with it."""

from __future__ import annotations

from klab.api import resources
from klab.cluster.proxies import Proxies
from klab.cluster.topology import Owned, Topology, pod_owner
from klab.controlplane.store import Store
from klab.controlplane.views import PodViews

PODS = resources.of("v1", "Pod")
NODES = resources.of("v1", "Node")


def plan_everything(store: Store, topology: Topology, proxies: Proxies, views: PodViews) -> Owned:
    """Plan for every object of the store; owners that need nothing are left out."""
    nodes = store.list(NODES)
    planned: Owned = {**topology.plan_base(), **proxies.plan_bases(topology, nodes)}
    planned |= proxies.plan(proxies.places(), proxies.nodes(topology, nodes))
    planned |= {pod_owner(pod.namespace, pod.name): topology.plan_pod(pod) for pod in map(views.of, store.list(PODS))}
    return {owner: objects for owner, objects in planned.items() if objects}
