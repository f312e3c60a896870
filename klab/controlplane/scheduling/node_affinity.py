"""nodeSelector and nodeAffinity of a pod (component-helpers/scheduling/corev1/nodeaffinity)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.pod import Pod
from klab.api.selectors import Requirement, Selector

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}
_NAME = "metadata.name"


@dataclass(frozen=True, slots=True)
class Term:
    """A nodeSelectorTerm: conditions on labels and on fields; one without any matches nothing."""

    labels: Selector
    fields: Selector

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Term:
        """Read a nodeSelectorTerm."""
        return cls(_selector(raw.get("matchExpressions")), _selector(raw.get("matchFields")))

    @property
    def is_empty(self) -> bool:
        """Tell whether it has no conditions."""
        return not self.labels.requirements and not self.fields.requirements

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Tell whether the node of that name and with those labels fulfils all conditions."""
        return not self.is_empty and self.labels.matches(labels) and self.fields.matches({_NAME: name})

    @property
    def names(self) -> frozenset[str] | None:
        """Give the nodes that `matchFields` names, None where it names none."""
        found: frozenset[str] | None = None
        for requirement in self.fields.requirements:
            if requirement.key == _NAME and requirement.operator == "in":
                found = frozenset(requirement.values) if found is None else found & frozenset(requirement.values)
        return found


@dataclass(frozen=True, slots=True)
class NodeAffinity:
    """What a pod asks of its node: labels (nodeSelector), any of the `required` terms (None: not asked for), preferred terms with their weights."""

    selector: Selector
    required: tuple[Term, ...] | None
    preferred: tuple[tuple[int, Term], ...]

    @classmethod
    def of(cls, pod: Pod) -> NodeAffinity | None:
        """Read a pod's nodeSelector and nodeAffinity; None where it has neither."""
        affinity = pod.affinity.get("nodeAffinity") or {}
        if not affinity and not pod.node_selector:
            return None
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        return cls(
            Selector.of_labels(pod.node_selector),
            None if required is None else tuple(Term.of(raw) for raw in required.get("nodeSelectorTerms") or ()),
            tuple(
                (raw.get("weight") or 0, Term.of(raw.get("preference") or {}))
                for raw in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            ),
        )

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a node is what the pod requires."""
        return self.selector.matches(labels) and (self.required is None or any(term.matches(name, labels) for term in self.required))

    def score(self, name: str, labels: Mapping[str, str]) -> int:
        """Add up the weights of the preferred terms that the node matches."""
        return sum(weight for weight, term in self.preferred if term.matches(name, labels))

    @property
    def names(self) -> frozenset[str] | None:
        """Give the only nodes that come into question by name (as for a DaemonSet's pod), None where all do."""
        if not self.required:
            return None
        names: frozenset[str] = frozenset()
        for term in self.required:
            if term.names is None:
                return None
            names |= term.names
        return names


def _selector(raws: list[Mapping[str, Any]] | None) -> Selector:
    return Selector(tuple(Requirement(raw["key"], _OPERATORS[raw["operator"]], tuple(raw.get("values") or ())) for raw in raws or ()))
