"""Where a DaemonSet's pods ought to be, and which to make and delete next. Pure; the rules are those of pkg/controller/daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from klab.api.meta import labels_of
from klab.api.pod import Pod
from klab.controlplane.controllers.pods import is_going, is_ready, phase_of, until_available
from klab.controlplane.controllers.rollout import resolve
from klab.controlplane.controllers.templates import REVISION_HASH_LABEL, add_label
from klab.controlplane.scheduling.node_affinity import NodeAffinity
from klab.controlplane.scheduling.taints import Taint, find_untolerated

Object = dict[str, Any]
Raw = Mapping[str, Any]
Placed = Mapping[str, Sequence[Object]]
"""Pods by the name of the node that they are on or meant for, oldest first."""

NO_EXECUTE = frozenset({"NoExecute"})
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_NETWORK_UNAVAILABLE = ("node.kubernetes.io/network-unavailable", "NoSchedule")


@dataclass(slots=True)
class Plan:
    """Nodes to make a pod on, pods to delete, and those of them that ended by themselves, who are told of."""

    create: list[str] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    ended: list[Object] = field(default_factory=list)


def make_template(daemon_set: Raw, digest: str) -> Object:
    """Give the pod template with the hash of its revision and with what daemons tolerate by nature."""
    template = add_label(daemon_set["spec"]["template"], REVISION_HASH_LABEL, digest)
    spec = template["spec"]
    wanted = [*_TOLERATED, *([_NETWORK_UNAVAILABLE] if spec.get("hostNetwork") else [])]
    given = [one for one in spec.get("tolerations") or () if (one.get("key"), one.get("effect")) not in wanted or one.get("operator") != "Exists"]
    tolerations = [*given, *({"key": key, "operator": "Exists", "effect": effect} for key, effect in wanted)]
    return {**template, "spec": {**spec, "tolerations": tolerations}}


def pin(affinity: Raw | None, node: str) -> Object:
    """Give a pod's affinity narrowed to one node by its name, so that the scheduler puts it there."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    given = (affinity or {}).get("nodeAffinity") or {}
    return {**(affinity or {}), "nodeAffinity": {**given, "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def find_node(pod: Raw) -> str:
    """Give the node that a pod is on or was pinned to, "" where there is none."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    affinity = NodeAffinity.of(Pod.of(pod))
    names = affinity.names if affinity is not None else None
    return next(iter(names)) if names and len(names) == 1 else ""


def place(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """Group pods by node; those that ended and are on their way out count no more."""
    placed: dict[str, list[Object]] = {}
    for pod in sorted(pods, key=_order):
        if not (is_going(pod) and phase_of(pod) in {"Succeeded", "Failed"}):
            placed.setdefault(find_node(pod), []).append(pod)
    return placed


def _order(pod: Raw) -> tuple[bool, str, str]:
    """Sort the assigned before the others, then the older before the younger."""
    return not pod["spec"].get("nodeName"), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of a node whether a pod made from a template is to be on it."""

    pod: Pod
    affinity: NodeAffinity | None

    @classmethod
    def of(cls, template: Raw) -> Judge:
        """Read a template that `make_template` gave."""
        pod = Pod.of({"metadata": {}, "spec": template["spec"]})
        return cls(pod, NodeAffinity.of(pod))

    def wants(self, node: Raw) -> tuple[bool, bool]:
        """Tell whether a pod is to start on a node, and whether one that is there may go on."""
        name = node["metadata"]["name"]
        if self.pod.node_name not in {"", name} or not (self.affinity is None or self.affinity.matches(name, labels_of(node))):
            return False, False
        raws = (node.get("spec") or {}).get("taints") or ()
        taints = [Taint(raw.get("key", ""), raw.get("value") or "", raw.get("effect", "")) for raw in raws]
        if find_untolerated(self.pod.tolerations, taints) is None:
            return True, True
        return False, find_untolerated(self.pod.tolerations, taints, NO_EXECUTE) is None


@dataclass(frozen=True, slots=True)
class View:
    """What the plans are made from: the nodes with what is wanted of them, the pods, the hash of the present revision, the time."""

    wanted: Mapping[str, tuple[bool, bool]]
    placed: Placed
    digest: str
    min_ready: int
    now: float

    @property
    def desired(self) -> int:
        """Give the number of nodes that are to have a pod."""
        return sum(start for start, _stay in self.wanted.values())

    def is_updated(self, pod: Raw) -> bool:
        """Tell whether a pod was made from the present template."""
        return labels_of(pod).get(REVISION_HASH_LABEL) == self.digest

    def is_available(self, pod: Raw) -> bool:
        """Tell whether a pod has been ready for long enough."""
        return until_available(pod, self.min_ready, self.now) == 0


def allows_surge(daemon_set: Raw) -> bool:
    """Tell whether an update starts the new pod beside the old one."""
    return _bound(daemon_set, "maxSurge", 1) > 0


def plan_placement(view: View, *, surge: bool) -> Plan:
    """Plan one pod on each node that is to have one, and none elsewhere (manage, podsShouldBeOnNode)."""
    plan = Plan()
    for name, (start, stay) in view.wanted.items():
        pods = view.placed.get(name)
        if pods is None:
            plan.create += [name] if start else []
        elif stay:
            _plan_node(plan, view, name, pods, surge=surge, start=start)
        else:
            plan.delete += [pod for pod in pods if not is_going(pod)]
    lost = [pod for name, pods in view.placed.items() if name not in view.wanted for pod in pods]
    plan.delete += [pod for pod in lost if not pod["spec"].get("nodeName") and not is_going(pod)]
    return plan


def _plan_node(plan: Plan, view: View, name: str, pods: Sequence[Object], *, surge: bool, start: bool) -> None:  # noqa: PLR0913
    """Plan for a node that has pods: those that ended go, the oldest stays, in an update also the oldest of the new ones."""
    alive = [pod for pod in pods if not is_going(pod)]
    ended = [pod for pod in alive if phase_of(pod) in {"Succeeded", "Failed"}]
    plan.ended += ended
    running = [pod for pod in alive if pod not in ended]
    if not surge:
        plan.delete += running[1:]
        return
    if not running and not ended and start:
        plan.create.append(name)
    new = [pod for pod in running if view.is_updated(pod)]
    old = [pod for pod in running if not view.is_updated(pod)]
    plan.delete += new[1:] + old[1:]
    if new and old and (not is_ready(old[0]) or view.is_available(new[0])):
        plan.delete.append(old[0])


def plan_update(daemon_set: Raw, view: View) -> Plan:
    """Plan the next step of a rolling update within maxSurge and maxUnavailable (rollingUpdate)."""
    surge, unavailable = (_bound(daemon_set, name, view.desired) for name in ("maxSurge", "maxUnavailable"))
    names = [*view.placed, *(name for name, (start, _stay) in view.wanted.items() if start and name not in view.placed)]
    pairs = {name: _pair(view, view.placed.get(name, ())) for name in names}
    return _plan_surge(view, pairs, surge) if surge else _plan_replacement(view, pairs, max(1, unavailable))


Pair = tuple[Object | None, Object | None] | None
"""The new and the old pod of a node; None where there are more of a sort, which `plan_placement` clears up."""


def _pair(view: View, pods: Sequence[Object]) -> Pair:
    alive = [pod for pod in pods if not is_going(pod)]
    new = [pod for pod in alive if view.is_updated(pod)]
    old = [pod for pod in alive if not view.is_updated(pod)]
    return (new[0] if new else None, old[0] if old else None) if len(new) <= 1 and len(old) <= 1 else None


def _plan_replacement(view: View, pairs: Mapping[str, Pair], most: int) -> Plan:
    """Delete old pods: the unavailable ones, and as many others as may be missing at a time."""
    missing = 0
    broken: list[Object] = []
    candidates: list[Object] = []
    for pair in pairs.values():
        new, old = pair or (None, None)
        if old is not None and new is None:
            (candidates if view.is_available(old) else broken).append(old)
            missing += not view.is_available(old)
        else:
            missing += new is None or old is not None or not view.is_available(new)
    return Plan(delete=[*broken, *candidates[: max(0, most - missing)]])


def _plan_surge(view: View, pairs: Mapping[str, Pair], most: int) -> Plan:
    """Make new pods beside old ones, at once where the old one is unavailable; delete the old where the new is available.

    An old pod on a node that is to have none any more stays until enough others are available.
    """
    plan = Plan()
    surging = available = 0
    candidates: list[str] = []
    leaving: list[Object] = []
    for name, pair in pairs.items():
        if pair is None:
            surging += 1
            continue
        new, old = pair
        counted = old or new
        available += counted is not None and view.is_available(counted)
        if old is None:
            continue
        start, _stay = view.wanted.get(name, (False, False))
        if new is not None:
            surging += not view.is_available(new)
            plan.delete += [old] if view.is_available(new) else []
        elif not start:
            (leaving if view.is_available(old) else plan.delete).append(old)
        elif view.is_available(old):
            candidates.append(name)
        else:
            plan.create.append(name)
    plan.delete += leaving[: max(0, available - view.desired)]
    plan.create += candidates[: max(0, most - surging)]
    return plan


def _bound(daemon_set: Raw, name: str, total: int) -> int:
    """Resolve maxSurge or maxUnavailable; without RollingUpdate it is 0."""
    strategy = daemon_set["spec"]["updateStrategy"]
    return resolve((strategy.get("rollingUpdate") or {}).get(name), total, up=True) if strategy["type"] == "RollingUpdate" else 0
