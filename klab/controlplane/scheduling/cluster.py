"""The scheduler's picture of the cluster: nodes, the pods on them, and the terms by which those draw others near or keep them away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from klab.api.selectors import Selector
from klab.controlplane.scheduling.pod_affinity import Term
from klab.controlplane.scheduling.spread import Constraint
from klab.controlplane.scheduling.state import Key, MatchCounts, NodeInfo, PodInfo
from klab.controlplane.scheduling.taints import find_untolerated

T = TypeVar("T")

Counts = Mapping[str, int]
"""A number for each node's name, or for each value of a label."""


class Cluster:
    """Nodes and the pods on them; kept up to date pod by pod and node by node."""

    def __init__(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Begin empty; `namespaces` gives the labels of each namespace and may change behind."""
        self.nodes: dict[str, NodeInfo] = {}
        self._namespaces = namespaces
        self._place: dict[Key, str] = {}
        self._homeless: dict[Key, tuple[PodInfo, str]] = {}  # pods on nodes that are not known (yet, or any more)
        self._matches = MatchCounts()
        self._repelling: dict[Term, dict[str, int]] = {}
        self._attracting: dict[tuple[Term, int], dict[str, int]] = {}

    def set_node(self, raw: Mapping[str, Any]) -> None:
        """Take a node in, or what changed of it."""
        new = NodeInfo.of(raw)
        node = self.nodes.get(new.name)
        if node is not None:
            node.labels, node.taints, node.unschedulable, node.allocatable = new.labels, new.taints, new.unschedulable, new.allocatable
            return
        self.nodes[new.name] = new
        for info, name in list(self._homeless.values()):
            if name == new.name:
                self.add(info, name)

    def remove_node(self, name: str) -> None:
        """Take a node out; its pods are remembered until they are removed too. An unknown one is fine."""
        if name in self.nodes:
            pods = list(self.nodes[name].pods.values())
            for info in pods:
                self.remove(info.key)
            del self.nodes[name]
            self._homeless |= {info.key: (info, name) for info in pods}

    def add(self, info: PodInfo, node_name: str) -> None:
        """Count a pod in on its node."""
        self.remove(info.key)
        node = self.nodes.get(node_name)
        if node is None:
            self._homeless[info.key] = (info, node_name)
            return
        self._place[info.key] = node_name
        node.add(info)
        self._matches.add(info.pod, node_name)
        self._count_terms(info, node_name, 1)

    def remove(self, key: Key) -> None:
        """Count a pod out; an unknown one is fine."""
        self._homeless.pop(key, None)
        node_name = self._place.pop(key, None)
        if node_name is not None:
            info = self.nodes[node_name].remove(key)
            self._matches.remove(info.pod)
            self._count_terms(info, node_name, -1)

    def _count_terms(self, info: PodInfo, node_name: str, by: int) -> None:
        if info.affinity is None:
            return
        for term in info.affinity.required_anti:
            _count(self._repelling, term, node_name, by)
        for weighted in info.affinity.attraction:
            _count(self._attracting, weighted, node_name, by)

    def labels_of_namespace(self, name: str) -> Mapping[str, str]:
        """Give the labels of a namespace."""
        return self._namespaces.get(name, {})

    def repelling_terms(self) -> Iterable[tuple[Term, Counts]]:
        """Give the required anti-affinity terms of the pods that run, with the number of those pods on each node."""
        return self._repelling.items()

    def attracting_terms(self) -> Iterable[tuple[tuple[Term, int], Counts]]:
        """Give the affinity terms, with their weights, of the pods that run, with the number of those pods on each node."""
        return self._attracting.items()

    def count(self, namespace: str, selector: Selector) -> Counts:
        """Count by node the pods of a namespace that `selector` matches, for spreading: an empty one counts none, nor do pods being deleted count."""
        return self._matches.of(namespace, selector, terminating=False) if selector.requirements else {}

    def count_matching_all(self, terms: Sequence[Term]) -> Counts:
        """Count by node the pods that match all of `terms`."""
        known: dict[str, Mapping[str, str]] = {name: {} for name in self._matches.namespaces} | dict(self._namespaces)
        namespaces = frozenset.intersection(*(term.resolve(known) for term in terms))
        if any(term.selector.nothing for term in terms):
            return {}
        selector = Selector(tuple(requirement for term in terms for requirement in term.selector.requirements))
        total: dict[str, int] = {}
        for namespace in namespaces:
            for node, count in self._matches.of(namespace, selector, terminating=True).items():
                total[node] = total.get(node, 0) + count
        return total

    def by_topology(self, counts: Counts, key: str) -> dict[str, int]:
        """Add counts by node up to counts by the value of the nodes' label `key`; nodes without it are left out."""
        total: dict[str, int] = {}
        for node in self.nodes.values():
            value, count = node.labels.get(key), counts.get(node.name, 0)
            if value is not None and count:
                total[value] = total.get(value, 0) + count
        return total

    def count_by_topology(self, constraint: Constraint, info: PodInfo, keys: AbstractSet[str]) -> dict[str, int]:
        """Count matching pods for each value of the topology, 0 included, over the nodes that have all labels `keys` and come into question."""
        counts = self.count(info.pod.namespace, constraint.selector)
        total: dict[str, int] = {}
        for node in self.nodes.values():
            if keys <= node.labels.keys() and _is_counted(constraint, info, node):
                value = node.labels.get(constraint.topology_key, "")
                total[value] = total.get(value, 0) + counts.get(node.name, 0)
        return total


def _is_counted(constraint: Constraint, info: PodInfo, node: NodeInfo) -> bool:
    """Tell whether a node belongs to the domains of a constraint (nodeAffinityPolicy, nodeTaintsPolicy)."""
    if constraint.honor_affinity and info.node_affinity is not None and not info.node_affinity.matches(node.name, node.labels):
        return False
    return not constraint.honor_taints or find_untolerated(info.pod.tolerations, node.taints) is None


def _count(terms: dict[T, dict[str, int]], term: T, node: str, by: int) -> None:
    """Count pods with a term in or out; what comes to nothing is forgotten."""
    counts = terms.setdefault(term, {})
    counts[node] = counts.get(node, 0) + by
    if not counts[node]:
        del counts[node]
    if not counts:
        del terms[term]
