"""Decides on which node a pod runs, as kube-scheduler's default profile does: filter, score, pick; an unschedulable pod is told why in its words.

Where kube-scheduler throws dice among equals, the node with the fewest pods is taken, then the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.pod import Pod
from klab.api.selectors import NOTHING, Selector
from klab.controlplane.scheduling.cluster import Cluster
from klab.controlplane.scheduling.filters import Filter, Refusal, count_reasons, plan_filters
from klab.controlplane.scheduling.scores import calc_scores
from klab.controlplane.scheduling.state import NodeInfo, PodInfo

NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, slots=True)
class Binding:
    """The pod goes to this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod; `message` is that of the FailedScheduling event and of the PodScheduled condition."""

    message: str


class Scheduler:
    """Holds the sums per node; told of every change, it decides a pod in the time it takes to look at each node once."""

    def __init__(
        self,
        nodes: Iterable[Mapping[str, Any]] = (),
        pods: Iterable[Pod] = (),
        *,
        spread_selector: Callable[[Pod], Selector] = lambda _: NOTHING,
        namespaces: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Begin with these nodes and the pods bound to them.

        `spread_selector` gives the selector of a pod's Services and controller (scheduling.spread.default_selector), `namespaces` each namespace's
        labels; both are asked anew for every pod.
        """
        self._cluster = Cluster(namespaces or {})
        self._spread_selector = spread_selector
        for node in nodes:
            self.set_node(node)
        for pod in pods:
            self.set_pod(pod)

    def set_node(self, node: Mapping[str, Any]) -> None:
        """Take a node in, or what changed of it."""
        self._cluster.set_node(node)

    def remove_node(self, name: str) -> None:
        """Take a node out; an unknown one is fine."""
        self._cluster.remove_node(name)

    def set_pod(self, pod: Pod) -> None:
        """Take a bound pod in, or what changed of it; one without a node or with all containers ended takes no place."""
        if pod.node_name and not pod.finished:
            self._cluster.add(PodInfo.of(pod), pod.node_name)
        else:
            self._cluster.remove((pod.namespace, pod.name))

    def remove_pod(self, namespace: str, name: str) -> None:
        """Take a pod out; an unknown one is fine."""
        self._cluster.remove((namespace, name))

    def schedule(self, pod: Pod) -> Binding | Unschedulable:
        """Choose a node and count the pod in there; if the binding does not come about, `remove_pod`."""
        info = PodInfo.of(pod)
        cluster = self._cluster
        if not cluster.nodes:
            return Unschedulable(NO_NODES)
        filters = plan_filters(cluster, info)
        feasible: list[NodeInfo] = []
        refusals: list[Refusal] = []
        for node in cluster.nodes.values():
            refusal = _ask(filters, node)
            if refusal is None:
                feasible.append(node)
            else:
                refusals.append(refusal)
        if not feasible:
            return Unschedulable(_render(refusals))
        best = feasible[0] if len(feasible) == 1 else self._pick(info, feasible)
        cluster.add(info, best.name)
        return Binding(best.name)

    def _pick(self, info: PodInfo, nodes: list[NodeInfo]) -> NodeInfo:
        scores = calc_scores(self._cluster, info, nodes, lambda: self._spread_selector(info.pod))
        return max(zip(scores, nodes, strict=True), key=lambda pair: (pair[0], -len(pair[1].pods)))[1]


def schedule(pod: Pod, nodes: Iterable[Mapping[str, Any]], pods: Iterable[Pod]) -> Binding | Unschedulable:
    """Decide one pod, given all nodes and all pods; many are decided faster by a Scheduler."""
    return Scheduler(nodes, pods).schedule(pod)


def _ask(filters: list[Filter], node: NodeInfo) -> Refusal | None:
    for check in filters:
        refusal = check(node)
        if refusal is not None:
            return refusal
    return None


def _render(refusals: Sequence[Refusal]) -> str:
    """Say why each node refuses, and that making room by preemption would not help (FitError.Error, preemption.go)."""
    none = f"0/{len(refusals)} nodes are available:"
    resolvable = sum(refusal.resolvable for refusal in refusals)
    answers = ((resolvable, "No preemption victims found for incoming pod"), (len(refusals) - resolvable, "Preemption is not helpful for scheduling"))
    preemption = ", ".join(sorted(f"{count} {text}" for count, text in answers if count))
    return f"{none} {count_reasons(refusals)}. preemption: {none} {preemption}."
