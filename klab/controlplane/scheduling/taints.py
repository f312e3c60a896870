"""Taints and tolerations: NodeUnschedulable and TaintToleration (component-helpers/scheduling/corev1/helpers.go)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from klab.api.pod import Toleration

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
REPELLING = frozenset({"NoSchedule", "NoExecute"})
"""The effects that keep a pod from a node."""


@dataclass(frozen=True, slots=True)
class Taint:
    """What repels pods from a node; `effect` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str
    effect: str


CORDON = Taint(UNSCHEDULABLE, "", "NoSchedule")
"""What spec.unschedulable amounts to."""


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Tell whether one toleration covers a taint; an empty key or effect of it covers all."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def find_untolerated(tolerations: Sequence[Toleration], taints: Iterable[Taint], effects: frozenset[str] = REPELLING) -> Taint | None:
    """Give the first taint with one of `effects` that no toleration covers."""
    for taint in taints:
        if taint.effect in effects and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def count_unpreferred(tolerations: Sequence[Toleration], taints: Iterable[Taint]) -> int:
    """Count the PreferNoSchedule taints that no toleration covers."""
    return sum(taint.effect == "PreferNoSchedule" and not any(tolerates(toleration, taint) for toleration in tolerations) for taint in taints)
