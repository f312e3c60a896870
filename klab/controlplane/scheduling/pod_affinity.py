"""podAffinity and podAntiAffinity of a pod, as terms (pkg/scheduler/framework/types.go, plugins/interpodaffinity)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.pod import Pod
from klab.api.selectors import NOTHING, Requirement, Selector

HARD_WEIGHT = 1
"""What a required affinity of a pod that runs already adds to the score of its place (hardPodAffinityWeight)."""


@dataclass(frozen=True, slots=True)
class Term:
    """Pods that `selector` matches, of `namespaces` or of those whose labels `namespace_selector` matches, within one value of a node label."""

    topology_key: str
    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector

    @classmethod
    def of(cls, raw: Mapping[str, Any], pod: Pod) -> Term:
        """Read a podAffinityTerm of `pod`; one that names no namespaces means the pod's own."""
        selector = Selector.of(raw.get("labelSelector"))
        more = [Requirement(key, "in", (pod.labels[key],)) for key in raw.get("matchLabelKeys") or () if key in pod.labels]
        more += [Requirement(key, "notin", (pod.labels[key],)) for key in raw.get("mismatchLabelKeys") or () if key in pod.labels]
        if more and not selector.nothing:
            selector = Selector((*selector.requirements, *more))
        namespaces = frozenset(raw.get("namespaces") or ())
        namespace_selector = raw.get("namespaceSelector")
        if not namespaces and namespace_selector is None:
            namespaces = frozenset({pod.namespace})
        return cls(raw.get("topologyKey", ""), selector, namespaces, Selector.of(namespace_selector))

    def matches(self, pod: Pod, namespace_labels: Mapping[str, str]) -> bool:
        """Tell whether a pod, in a namespace with those labels, is meant."""
        in_namespace = pod.namespace in self.namespaces or self.namespace_selector.matches(namespace_labels)
        return in_namespace and self.selector.matches(pod.labels)

    def resolve(self, namespaces: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
        """Give the names of all namespaces that are meant, of those with labels in `namespaces`."""
        if self.namespace_selector is NOTHING:
            return self.namespaces
        return self.namespaces | {name for name, labels in namespaces.items() if self.namespace_selector.matches(labels)}


@dataclass(frozen=True, slots=True)
class PodAffinity:
    """A pod's terms; the weights of `preferred` are negative where the pod would rather be elsewhere."""

    required: tuple[Term, ...]
    required_anti: tuple[Term, ...]
    preferred: tuple[tuple[Term, int], ...]

    @classmethod
    def of(cls, pod: Pod) -> PodAffinity | None:
        """Read a pod's affinity to other pods; None where it has none."""
        together, apart = pod.affinity.get("podAffinity") or {}, pod.affinity.get("podAntiAffinity") or {}
        if not together and not apart:
            return None
        return cls(
            _required(together, pod),
            _required(apart, pod),
            (*_preferred(together, pod, 1), *_preferred(apart, pod, -1)),
        )

    @property
    def attraction(self) -> Iterable[tuple[Term, int]]:
        """Give the terms by which this pod, once it runs, draws others to its place or away from it, with their weights."""
        yield from ((term, HARD_WEIGHT) for term in self.required)
        yield from self.preferred


def _required(raw: Mapping[str, Any], pod: Pod) -> tuple[Term, ...]:
    return tuple(Term.of(term, pod) for term in raw.get("requiredDuringSchedulingIgnoredDuringExecution") or ())


def _preferred(raw: Mapping[str, Any], pod: Pod, sign: int) -> tuple[tuple[Term, int], ...]:
    terms = raw.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple((Term.of(term.get("podAffinityTerm") or {}, pod), sign * (term.get("weight") or 0)) for term in terms)
