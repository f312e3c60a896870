"""The DaemonSet controller: one pod on every node that is to have one (pkg/controller/daemon)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from klab.api import resources
from klab.api.meta import labels_of
from klab.controlplane.controllers.context import PODS, Context, without_zeros
from klab.controlplane.controllers.daemonplan import Judge, Plan, View, allows_surge, make_template, pin, place, plan_placement, plan_update
from klab.controlplane.controllers.history import History, clean_history, sync_history
from klab.controlplane.controllers.owners import claim, find_owners, key_of
from klab.controlplane.controllers.pods import PodControl, is_going, is_ready, next_available, phase_of
from klab.controlplane.controllers.templates import REVISION_HASH_LABEL
from klab.controlplane.manager import Key
from klab.controlplane.store import Event
from klab.errors import InvalidManifestError

Object = dict[str, Any]

DAEMONSETS = resources.of("apps/v1", "DaemonSet")
NODES = resources.of("v1", "Node")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 900.0
"""Seconds before a failed daemon pod is replaced the first time on a node, and at most; they double."""


class DaemonSetController:
    """Keeps the pods of each DaemonSet on their nodes, and brings them to its present template."""

    name = "daemonset-controller"

    def __init__(self, context: Context) -> None:
        """Control all DaemonSets."""
        self._context = context
        self._pods = PodControl(context, self.name)
        self._pauses: dict[tuple[str, str], tuple[float, float]] = {}  # (uid, node) -> (when the last failed pod was deleted, pause after it)

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the DaemonSets that a change concerns; a node that comes, goes, or has other labels or taints concerns all."""
        if event.resource != NODES:
            yield from find_owners(self._context.store, event, DAEMONSETS, PODS)
        elif event.type == "DELETED" or event.old is None or _traits(event.old) != _traits(event.object):
            yield from map(key_of, self._context.store.list(DAEMONSETS))

    def reconcile(self, key: Key) -> float | None:
        """Make and delete pods node by node, or take a step of an update, and count in the status."""
        owner = self._context.find(DAEMONSETS, key)
        if owner is None or is_going(owner):
            return None
        history = sync_history(self._context, owner, REVISION_HASH_LABEL)
        digest = labels_of(history.current)[REVISION_HASH_LABEL]
        template = make_template(owner, digest)
        judge = Judge.of(template)
        wanted = {node["metadata"]["name"]: judge.wants(node) for node in self._context.store.list(NODES)}
        pods = claim(self._context.store, self._context.children, owner, PODS)
        now = self._context.now()
        view = View(wanted, place(pods), digest, owner["spec"].get("minReadySeconds", 0), now)
        plan = plan_placement(view, surge=allows_surge(owner))
        pause = self._replace_ended(owner, plan)
        if not self._carry_out(owner, template, plan) and owner["spec"]["updateStrategy"]["type"] == "RollingUpdate":
            self._carry_out(owner, template, plan_update(owner, view))
        hashes = {labels_of(pod).get(REVISION_HASH_LABEL) for pod in pods}
        live = {one["metadata"]["name"] for one in history.old if labels_of(one).get(REVISION_HASH_LABEL) in hashes}
        clean_history(self._context, owner, history.old, live)
        self._context.write_status(DAEMONSETS, owner, _calc_status(owner, view, history))
        return min((one for one in (pause, next_available(pods, view.min_ready, now)) if one is not None), default=None)

    def _replace_ended(self, owner: Object, plan: Plan) -> float | None:
        """Move pods that ended into the plan's deletions, failed ones after a pause that doubles; give the seconds until the next is due."""
        now, waits = self._context.now(), []
        for pod in plan.ended:
            metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
            subject = f"{metadata['namespace']}/{metadata['name']} on node {node}"
            if phase_of(pod) == "Succeeded":
                self._pods.tell(owner, "Normal", "SucceededDaemonPod", f"Found succeeded daemon pod {subject}, will try to delete it")
                plan.delete.append(pod)
                continue
            last, pause = self._pauses.get((owner["metadata"]["uid"], node), (0.0, 0.0))
            if now < last + pause:
                waits.append(last + pause - now)
                continue
            longer = FIRST_PAUSE if now > last + 2 * LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._pauses[owner["metadata"]["uid"], node] = (now, longer)
            self._pods.tell(owner, "Warning", "FailedDaemonPod", f"Found failed daemon pod {subject}, will try to kill it")
            plan.delete.append(pod)
        return min(waits, default=None)

    def _carry_out(self, owner: Object, template: Object, plan: Plan) -> bool:
        """Make and delete pods; tell whether there was anything to do. What cannot be made is told in the events."""
        if plan.create:
            try:
                pod = self._pods.prepare(owner, template)
            except InvalidManifestError:
                return True
            for node in plan.create:
                self._pods.create(owner, {**pod, "spec": {**pod["spec"], "affinity": pin(pod["spec"].get("affinity"), node)}})
        for pod in plan.delete:
            self._pods.delete(owner, pod)
        return bool(plan.create or plan.delete)


def _calc_status(owner: Object, view: View, history: History) -> Object:
    """Count over the nodes, each by its oldest pod."""
    starts = [name for name, (start, _stay) in view.wanted.items() if start]
    first: Sequence[Object] = [view.placed[name][0] for name in starts if name in view.placed]
    available = sum(map(view.is_available, first))
    status: Object = {
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(name in view.placed and not start for name, (start, _stay) in view.wanted.items()),
        "desiredNumberScheduled": len(starts),
        "numberReady": sum(map(is_ready, first)),
    }
    status |= without_zeros(
        observedGeneration=owner["metadata"]["generation"],
        updatedNumberScheduled=sum(map(view.is_updated, first)),
        numberAvailable=available,
        numberUnavailable=len(starts) - available,
    )
    return status | ({} if history.collisions is None else {"collisionCount": history.collisions})


def _traits(node: Mapping[str, Any]) -> tuple[Any, Any]:
    """Give what of a node decides whether a daemon is to be on it."""
    return labels_of(node), (node.get("spec") or {}).get("taints")
