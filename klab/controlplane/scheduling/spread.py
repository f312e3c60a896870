"""topologySpreadConstraints of a pod, and the default ones (plugins/podtopologyspread, plugins/helper/spread.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.pod import Pod
from klab.api.selectors import Requirement, Selector
from klab.api.service import Service

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
_SPREADING_OWNERS = frozenset({"ReplicationController", "ReplicaSet", "StatefulSet"})


@dataclass(frozen=True, slots=True)
class Constraint:
    """Pods that `selector` matches, spread over the values of a node label."""

    topology_key: str
    max_skew: int
    selector: Selector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


def constraints_of(pod: Pod, action: str) -> tuple[Constraint, ...]:
    """Read the constraints with `action` DoNotSchedule or ScheduleAnyway."""
    return tuple(_constraint(raw, pod) for raw in pod.topology_spread_constraints if raw.get("whenUnsatisfiable") == action)


def default_constraints(selector: Selector) -> tuple[Constraint, ...]:
    """Give the cluster's own constraints, which only count in scores: over nodes and over zones, for pods that something selects."""
    return (Constraint(HOSTNAME, 3, selector), Constraint(ZONE, 5, selector)) if selector.requirements else ()


def default_selector(pod: Pod, services: Iterable[Service], owner: Mapping[str, Any] | None) -> Selector:
    """Choose the pods that `pod` is spread among: those of its Services and of its controller, `owner` (other kinds than RS, RC, STS count not)."""
    labels: dict[str, str] = {}
    for service in services:
        if service.namespace == pod.namespace and service.selector and service.selector.items() <= pod.labels.items():
            labels.update(service.selector)
    requirements = Selector.of_labels(labels).requirements
    if owner is not None and owner.get("kind") in _SPREADING_OWNERS:
        raw = (owner.get("spec") or {}).get("selector") or {}
        more = Selector.of_labels(raw) if owner["kind"] == "ReplicationController" else Selector.of(raw)
        requirements += more.requirements
    return Selector(requirements)


def _constraint(raw: Mapping[str, Any], pod: Pod) -> Constraint:
    selector = Selector.of(raw.get("labelSelector"))
    keys = tuple(Requirement(key, "=", (pod.labels[key],)) for key in raw.get("matchLabelKeys") or () if key in pod.labels)
    if keys and not selector.nothing:
        selector = Selector((*keys, *selector.requirements))
    return Constraint(
        raw.get("topologyKey", ""),
        raw.get("maxSkew") or 1,
        selector,
        raw.get("minDomains") or 1,
        raw.get("nodeAffinityPolicy", "Honor") != "Ignore",
        raw.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )
