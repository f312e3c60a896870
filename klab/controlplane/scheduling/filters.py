"""Which nodes a pod can run on at all: the Filter part of the default plugins, each with its reason.

A filter is made for one pod (`plan_filters`) and leaves out what does not concern it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from klab.controlplane.scheduling.cluster import Cluster
from klab.controlplane.scheduling.pod_affinity import Term
from klab.controlplane.scheduling.spread import constraints_of
from klab.controlplane.scheduling.state import NodeInfo, PodInfo
from klab.controlplane.scheduling.taints import CORDON, find_untolerated


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not take a pod; `resolvable` tells whether it could if other pods went."""

    reasons: tuple[str, ...]
    resolvable: bool


Filter = Callable[[NodeInfo], Refusal | None]

_NOT_NAMED = Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), resolvable=False)
_CORDONED = Refusal(("node(s) were unschedulable",), resolvable=False)
_WRONG_NODE = Refusal(("node(s) didn't match Pod's node affinity/selector",), resolvable=False)
_PORT_TAKEN = Refusal(("node(s) didn't have free ports for the requested pod ports",), resolvable=True)
_SKEWED = Refusal(("node(s) didn't match pod topology spread constraints",), resolvable=True)
_NO_TOPOLOGY = Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",), resolvable=False)
_NOT_TOGETHER = Refusal(("node(s) didn't match pod affinity rules",), resolvable=False)
_NOT_APART = Refusal(("node(s) didn't match pod anti-affinity rules",), resolvable=True)
_NOT_WANTED = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), resolvable=True)


def plan_filters(cluster: Cluster, info: PodInfo) -> list[Filter]:
    """Give the filters that concern a pod, in the plugins' order; the first that refuses a node says why."""
    found = [_name_filter(info), _cordon_filter(info), _taint_filter(info), _node_affinity_filter(info), _port_filter(info), _fit_filter(info)]
    found += [_spread_filter(cluster, info), *_affinity_filters(cluster, info), _existing_filter(cluster, info)]
    return [one for one in found if one is not None]


def _name_filter(info: PodInfo) -> Filter | None:
    names = info.node_affinity.names if info.node_affinity else None
    if names is None:
        return None
    return lambda node: None if node.name in names else _NOT_NAMED


def _cordon_filter(info: PodInfo) -> Filter | None:
    if find_untolerated(info.pod.tolerations, (CORDON,)) is None:
        return None
    return lambda node: _CORDONED if node.unschedulable else None


def _taint_filter(info: PodInfo) -> Filter:
    tolerations = info.pod.tolerations

    def check(node: NodeInfo) -> Refusal | None:
        taint = find_untolerated(tolerations, node.taints) if node.taints else None
        return Refusal((f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}",), resolvable=False) if taint else None

    return check


def _node_affinity_filter(info: PodInfo) -> Filter | None:
    affinity = info.node_affinity
    if affinity is None:
        return None
    return lambda node: None if affinity.matches(node.name, node.labels) else _WRONG_NODE


def _port_filter(info: PodInfo) -> Filter | None:
    if not info.ports:
        return None
    return lambda node: None if node.has_free(info.ports) else _PORT_TAKEN


def _fit_filter(info: PodInfo) -> Filter:
    """Compare the number of pods and what they request with what the node has to give (NodeResourcesFit)."""
    requests = sorted((name, amount) for name, amount in info.requests.items() if amount)

    def check(node: NodeInfo) -> Refusal | None:
        capacity, used = node.allocatable, node.requested
        reasons = []
        resolvable = True
        if len(node.pods) >= capacity.get("pods", 0):
            reasons.append("Too many pods")
        for name, amount in requests:
            limit = capacity.get(name, 0)
            if amount > limit - used.get(name, 0):
                reasons.append(f"Insufficient {name}")
                resolvable &= amount <= limit
        return Refusal(tuple(reasons), resolvable) if reasons else None

    return check


def _spread_filter(cluster: Cluster, info: PodInfo) -> Filter | None:
    constraints = constraints_of(info.pod, "DoNotSchedule")
    if not constraints:
        return None
    keys = {constraint.topology_key for constraint in constraints}
    parts = []
    for constraint in constraints:
        found = cluster.count_by_topology(constraint, info, keys)
        least = min(found.values(), default=0) if len(found) >= constraint.min_domains else 0
        limit = constraint.max_skew + least - constraint.selector.matches(info.pod.labels)
        parts.append((constraint.topology_key, found, limit))

    def check(node: NodeInfo) -> Refusal | None:
        for key, found, limit in parts:
            value = node.labels.get(key)
            if value is None:
                return _NO_TOPOLOGY
            if found.get(value, 0) > limit:
                return _SKEWED
        return None

    return check


def _affinity_filters(cluster: Cluster, info: PodInfo) -> Iterable[Filter]:
    if info.affinity is None:
        return
    if info.affinity.required:
        yield _together_filter(cluster, info, info.affinity.required)
    if info.affinity.required_anti:
        yield _apart_filter(cluster, info.affinity.required_anti)


def _together_filter(cluster: Cluster, info: PodInfo, terms: tuple[Term, ...]) -> Filter:
    """Ask for pods that match all terms, within each term's topology; the first of a series that matches itself goes anywhere."""
    pods_on = cluster.count_matching_all(terms)
    by_term = {term: cluster.by_topology(pods_on, term.topology_key) for term in terms}
    first = not any(by_term.values()) and all(term.matches(info.pod, cluster.labels_of_namespace(info.pod.namespace)) for term in terms)

    def check(node: NodeInfo) -> Refusal | None:
        values = [node.labels.get(term.topology_key) for term in terms]
        if None in values:
            return _NOT_TOGETHER
        if first or all(by_term[term].get(value or "", 0) for term, value in zip(terms, values, strict=True)):
            return None
        return _NOT_TOGETHER

    return check


def _apart_filter(cluster: Cluster, terms: tuple[Term, ...]) -> Filter:
    taken = [(term.topology_key, cluster.by_topology(cluster.count_matching_all((term,)), term.topology_key)) for term in terms]
    return lambda node: _NOT_APART if any(found.get(node.labels.get(key, ""), 0) for key, found in taken if key in node.labels) else None


def _existing_filter(cluster: Cluster, info: PodInfo) -> Filter | None:
    """Keep clear of pods that run already and do not want this one near."""
    barred: set[tuple[str, str]] = set()
    for term, pods_on in cluster.repelling_terms():
        if term.matches(info.pod, cluster.labels_of_namespace(info.pod.namespace)):
            barred |= {(term.topology_key, value) for value in cluster.by_topology(pods_on, term.topology_key)}
    if not barred:
        return None
    return lambda node: _NOT_WANTED if any(pair in barred for pair in node.labels.items()) else None


def count_reasons(refusals: Iterable[Refusal]) -> str:
    """Say how many nodes refuse for which reason: `1 Insufficient cpu, 2 Too many pods` (FitError)."""
    counts: dict[str, int] = {}
    for refusal in refusals:
        for reason in refusal.reasons:
            counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
