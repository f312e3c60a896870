"""The pod garbage collector: takes away the pods of nodes that are no more (pkg/controller/podgc)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from klab.api import resources
from klab.controlplane.controllers.conditions import set_condition
from klab.controlplane.controllers.context import PODS, Context
from klab.controlplane.controllers.owners import key_of
from klab.controlplane.controllers.pods import is_finished
from klab.controlplane.manager import Key
from klab.controlplane.store import Event

NODES = resources.of("v1", "Node")
QUARANTINE = 40.0
"""Seconds that a node may be missing before its pods are taken for lost."""


class PodGarbageCollector:
    """Fails and deletes the pods of missing nodes; its keys are ("", node)."""

    name = "pod-garbage-collector-controller"

    def __init__(self, context: Context) -> None:
        """Watch all nodes and the pods on them."""
        self._context = context
        self._missing: dict[str, float] = {}  # since when

    def affected(self, event: Event) -> Iterable[Key]:
        """Give a node that came or went, or that a pod names though it is not there."""
        if event.resource == NODES and event.type != "MODIFIED":
            yield "", event.object["metadata"]["name"]
        elif event.resource == PODS and event.type != "DELETED":
            node = event.object["spec"].get("nodeName")
            if node and (event.old is None or event.old["spec"].get("nodeName") != node) and self._context.find(NODES, ("", node)) is None:
                yield "", node

    def reconcile(self, key: Key) -> float | None:
        """Take away the pods of a node that has been missing for long enough; give the seconds that another has left."""
        node, now = key[1], self._context.now()
        pods = [pod for pod in self._context.store.list(PODS) if pod["spec"].get("nodeName") == node]
        if not pods or self._context.find(NODES, key) is not None:
            self._missing.pop(node, None)
            return None
        left = self._missing.setdefault(node, now) + QUARANTINE - now
        if left > 0:
            return left
        for pod in pods:
            self._remove(pod)
        del self._missing[node]
        return None

    def _remove(self, pod: dict[str, Any]) -> None:
        """Fail a pod that runs for all that is known, and delete it without grace: nobody is there to end it."""
        if not is_finished(pod):
            status = pod.get("status") or {}
            lost = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists",
                "lastTransitionTime": self._context.stamp(),
            }
            conditions = set_condition(status.get("conditions") or (), lost)
            self._context.write_status(PODS, pod, {**status, "phase": "Failed", "conditions": conditions})
        self._context.store.delete(PODS, *key_of(pod), 0)
