"""The ReplicaSet controller: so many pods as are wished, no more and no fewer (pkg/controller/replicaset).

A ReplicationController works alike; `replicationcontroller.py` makes one of the same class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from klab.api.meta import labels_of
from klab.api.resources import Resource
from klab.controlplane.controllers.conditions import drop_condition, find_condition, set_condition
from klab.controlplane.controllers.context import PODS, REPLICASETS, Context, without_zeros
from klab.controlplane.controllers.owners import claim, controller_of, find_owners
from klab.controlplane.controllers.pods import (
    PodControl,
    deletion_order,
    is_active,
    is_going,
    is_ready,
    is_terminating,
    next_available,
    until_available,
)
from klab.controlplane.manager import Key
from klab.controlplane.store import Event
from klab.errors import KlabError

Object = dict[str, Any]

FAILURE = "ReplicaFailure"


class ReplicaSetController:
    """Keeps the number of pods of each ReplicaSet."""

    def __init__(self, context: Context, resource: Resource = REPLICASETS, name: str = "replicaset-controller", component: str = "") -> None:
        """Control the objects of `resource`; `component` is what events say, where it is not the name."""
        self.name = name
        self._context = context
        self._resource = resource
        self._pods = PodControl(context, component or name)

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the ReplicaSets that a change concerns: its own, that of a pod, those that might adopt a pod."""
        return find_owners(self._context.store, event, self._resource, PODS)

    def reconcile(self, key: Key) -> float | None:
        """Create or delete pods until their number is right, and count them in the status."""
        owner = self._context.find(self._resource, key)
        if owner is None:
            return None
        pods = claim(self._context.store, self._context.children, owner, PODS)
        active = [pod for pod in pods if is_active(pod)]
        terminating = sum(map(is_terminating, pods))
        failure = ""
        if not is_going(owner):
            try:
                active, deleted = self._manage(owner, active)
                terminating += deleted
            except KlabError as error:
                failure = str(error)
        self._context.write_status(self._resource, owner, self._calc_status(owner, active, terminating, failure))
        return next_available(active, owner["spec"].get("minReadySeconds", 0), self._context.now())

    def _manage(self, owner: Object, active: Sequence[Object]) -> tuple[list[Object], int]:
        """Make the number of pods right; give those that are left and how many are being deleted now."""
        missing = owner["spec"]["replicas"] - len(active)
        if missing > 0:
            pod = self._pods.prepare(owner, owner["spec"]["template"])
            created = [self._pods.create(owner, pod) for _ in range(missing)]
            return [*active, *(one for one in created if one is not None)], 0
        if missing == 0:
            return list(active), 0
        chosen = self._choose(owner, active, -missing)
        for pod in chosen:
            self._pods.delete(owner, pod)
        gone = {pod["metadata"]["uid"] for pod in chosen}
        return [pod for pod in active if pod["metadata"]["uid"] not in gone], sum(bool(pod["spec"].get("nodeName")) for pod in chosen)

    def _choose(self, owner: Object, active: Sequence[Object], count: int) -> list[Object]:
        """Choose the pods to delete; pods of the same Deployment's other ReplicaSets count as neighbours too."""
        if count == len(active):
            return list(active)
        neighbours = Counter(pod["spec"].get("nodeName", "") for pod in self._related(owner) if is_active(pod))
        now = self._context.now()
        return sorted(active, key=lambda pod: deletion_order(pod, neighbours[pod["spec"].get("nodeName", "")], now))[:count]

    def _related(self, owner: Object) -> Iterable[Object]:
        parent = controller_of(owner)
        children = self._context.children
        siblings = [owner] if parent is None else children.of(self._resource, {"metadata": {"uid": parent["uid"]}})
        return (pod for sibling in siblings for pod in children.of(PODS, sibling))

    def _calc_status(self, owner: Object, active: Sequence[Object], terminating: int, failure: str) -> Object:
        spec, old, now = owner["spec"], owner.get("status") or {}, self._context.now()
        min_ready = spec.get("minReadySeconds", 0)
        labels = labels_of(spec["template"]).items()
        conditions = old.get("conditions") or []
        if not failure:
            conditions = drop_condition(conditions, FAILURE)
        elif find_condition(old, FAILURE) is None:
            reason = "FailedCreate" if len(active) < spec["replicas"] else "FailedDelete"
            stamp = self._context.stamp()
            conditions = set_condition(
                conditions, {"type": FAILURE, "status": "True", "lastTransitionTime": stamp, "reason": reason, "message": failure}
            )
        status: Object = {"replicas": len(active)} | without_zeros(
            fullyLabeledReplicas=sum(labels <= labels_of(pod).items() for pod in active),
            readyReplicas=sum(map(is_ready, active)),
            availableReplicas=sum(until_available(pod, min_ready, now) == 0 for pod in active),
            observedGeneration=owner["metadata"]["generation"],
        )
        if self._resource == REPLICASETS:
            status["terminatingReplicas"] = terminating
        return status | ({"conditions": conditions} if conditions else {})
