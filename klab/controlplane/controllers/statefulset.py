"""The StatefulSet controller: pods with names that stay, made upwards and taken away downwards, one at a time (pkg/controller/statefulset)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api import resources
from klab.api.meta import labels_of
from klab.controlplane.controllers.claims import CLAIMS, ensure_claims, has_stale_claims, own_claims, with_volumes
from klab.controlplane.controllers.context import PODS, Context, without_zeros
from klab.controlplane.controllers.history import clean_history, sync_history
from klab.controlplane.controllers.owners import claim, find_owners, key_of
from klab.controlplane.controllers.pods import is_finished, is_going, is_ready, make_pod, next_available, phase_of, until_available
from klab.controlplane.controllers.templates import REVISION_HASH_LABEL, add_label
from klab.controlplane.manager import Key
from klab.controlplane.store import Event
from klab.errors import AlreadyExistsError, InvalidManifestError

Object = dict[str, Any]
Raw = Mapping[str, Any]

STATEFULSETS = resources.of("apps/v1", "StatefulSet")
HASH_LABEL = "controller.kubernetes.io/hash"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


@dataclass(slots=True)
class State:
    """One look at a StatefulSet: the present and the coming revision, its pods by ordinal (None: there is none), those beyond its size."""

    owner: Object
    current: Object
    update: Object
    replicas: dict[int, Object | None]
    condemned: list[Object]
    now: float

    @property
    def in_order(self) -> bool:
        """Tell whether each pod waits for the one before it."""
        return bool(self.owner["spec"].get("podManagementPolicy") != "Parallel")

    def is_available(self, pod: Raw | None) -> bool:
        """Tell whether a pod is there, stays, and has been ready for long enough."""
        return pod is not None and not is_going(pod) and self.is_ready_long(pod)

    def is_ready_long(self, pod: Raw) -> bool:
        """Tell whether a pod has been ready for minReadySeconds."""
        return until_available(pod, self.owner["spec"].get("minReadySeconds", 0), self.now) == 0

    def first_unavailable(self) -> Raw | None:
        """Give the unavailable pod of the lowest ordinal, those beyond the size last; None also where that pod is yet to be made."""
        pods = [*self.replicas.values(), *reversed(self.condemned)]
        return next((pod for pod in pods if not self.is_available(pod)), None)


class StatefulSetController:
    """Keeps the pods of each StatefulSet, and brings them to its present template from the top down."""

    name = "statefulset-controller"

    def __init__(self, context: Context) -> None:
        """Control all StatefulSets."""
        self._context = context

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the StatefulSets that a change concerns: its own, that of a pod, and one that waits for a name or a claim to be free again."""
        yield from find_owners(self._context.store, event, STATEFULSETS, PODS)
        if event.type != "DELETED" or event.resource not in {PODS, CLAIMS}:
            return
        metadata = event.object["metadata"]
        owners = metadata.get("ownerReferences") or ()
        names = [metadata["name"]] if event.resource == PODS else [owner["name"] for owner in owners if owner["kind"] == "Pod"]
        for key in ((metadata["namespace"], name.rpartition("-")[0]) for name in names):
            if self._context.find(STATEFULSETS, key) is not None:
                yield key

    def reconcile(self, key: Key) -> float | None:
        """Take the next step towards the wished pods, and count them in the status."""
        owner = self._context.find(STATEFULSETS, key)
        if owner is None:
            return None
        pods = claim(self._context.store, self._context.children, owner, PODS, lambda pod: _ordinal(owner, pod) >= 0)
        pods.sort(key=lambda pod: _ordinal(owner, pod))
        history = sync_history(self._context, owner, HASH_LABEL)
        named = (owner.get("status") or {}).get("currentRevision")
        current = next((one for one in history.old if one["metadata"]["name"] == named), history.current)
        start = _start(owner)
        replicas: dict[int, Object | None] = dict.fromkeys(range(start, start + owner["spec"]["replicas"]))
        found = {_ordinal(owner, pod): pod for pod in pods}
        condemned = [pod for ordinal, pod in reversed(found.items()) if ordinal not in replicas]
        replicas |= {ordinal: pod for ordinal, pod in found.items() if ordinal in replicas}
        state = State(owner, current, history.current, replicas, condemned, self._context.now())
        deleted = 0 if is_going(owner) else self._step(state)
        live = {current["metadata"]["name"], *(_revision(pod) for pod in pods)}
        clean_history(self._context, owner, history.old, live)
        self._context.write_status(STATEFULSETS, owner, _calc_status(state, pods, deleted, history.collisions))
        return next_available(pods, owner["spec"].get("minReadySeconds", 0), state.now)

    def _step(self, state: State) -> int:
        """Make what is missing, then take away what is too many, then update; give how many pods of the current revision an update deleted."""
        waiting = False
        for ordinal in state.replicas:
            waiting = self._keep(state, ordinal)
            if waiting and state.in_order:
                return 0
        for pod in state.condemned:
            own_claims(self._context, state.owner, pod, condemned=True)
        first = state.first_unavailable()
        for pod in state.condemned:
            if not is_going(pod) and not (state.in_order and not state.is_ready_long(pod) and pod is not first):
                self._delete(state.owner, pod)
            if state.in_order:
                return 0
        return self._update(state)

    def _keep(self, state: State, ordinal: int) -> bool:
        """Make the pod of an ordinal, or see that it is as it ought to be; tell whether those after it have to wait for it."""
        pod = state.replicas[ordinal]
        if pod is None:
            state.replicas[ordinal] = self._create(state, ordinal)
            return True
        if is_finished(pod):
            if not is_going(pod):
                self._delete(state.owner, pod)
            return True
        if phase_of(pod) == "Pending":
            self._claim(state.owner, pod["metadata"]["name"])
        if not state.is_available(pod) and state.in_order:
            return True
        own_claims(self._context, state.owner, pod, condemned=False)
        labels = labels_of(pod)
        name = pod["metadata"]["name"]
        if labels.get(NAME_LABEL) != name:
            named = {**labels, NAME_LABEL: name, INDEX_LABEL: str(ordinal)}
            state.replicas[ordinal] = self._context.store.update(PODS, {**pod, "metadata": {**pod["metadata"], "labels": named}})
            message = f"update Pod {name} in StatefulSet {state.owner['metadata']['name']} successful"
            self._tell(state.owner, "Normal", "SuccessfulUpdate", message)
        return not state.is_available(pod)

    def _create(self, state: State, ordinal: int) -> Object | None:
        """Make the pod of an ordinal with its claims, at the revision that is due; None where that does not work, as the events tell."""
        owner = state.owner
        name = f"{owner['metadata']['name']}-{ordinal}"
        if self._context.is_ending(owner["metadata"]["namespace"]) or has_stale_claims(self._context, owner, name):
            return None
        revision = state.current if self._stays(state, ordinal) else state.update
        template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}
        for label, value in ((REVISION_HASH_LABEL, revision["metadata"]["name"]), (NAME_LABEL, name), (INDEX_LABEL, str(ordinal))):
            template = add_label(template, label, value)
        spec = {**with_volumes(owner, name, template["spec"]), "hostname": name}
        if service := owner["spec"].get("serviceName"):
            spec["subdomain"] = service
        try:
            self._claim(owner, name)
            pod = self._context.store.create(PODS, make_pod(owner, {**template, "spec": spec}, name))
        except (AlreadyExistsError, InvalidManifestError) as error:
            self._tell(owner, "Warning", "FailedCreate", f"create Pod {name} in StatefulSet {owner['metadata']['name']} failed error: {error}")
            return None
        self._tell(owner, "Normal", "SuccessfulCreate", f"create Pod {name} in StatefulSet {owner['metadata']['name']} successful")
        own_claims(self._context, owner, pod, condemned=False)
        return pod

    @staticmethod
    def _stays(state: State, ordinal: int) -> bool:
        """Tell whether a new pod is made at the revision before the update: below the partition, or among those that it has not reached."""
        strategy, start = state.owner["spec"]["updateStrategy"], _start(state.owner)
        rolling = strategy.get("rollingUpdate")
        if rolling is not None:
            return bool(ordinal < start + rolling.get("partition", 0))
        kept = (state.owner.get("status") or {}).get("currentReplicas", 0)
        return bool(strategy["type"] == "RollingUpdate" and ordinal < start + kept)

    def _update(self, state: State) -> int:
        """Delete the pod of the highest ordinal that is not up to date, once all above it are available."""
        strategy = state.owner["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return 0
        least = _start(state.owner) + (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for ordinal, pod in reversed(state.replicas.items()):
            if ordinal < least or pod is None:
                return 0
            if _revision(pod) != state.update["metadata"]["name"] and not is_going(pod):
                self._delete(state.owner, pod)
                return int(_revision(pod) == state.current["metadata"]["name"])
            if not state.is_available(pod):
                return 0
        return 0

    def _claim(self, owner: Object, name: str) -> None:
        for made in ensure_claims(self._context, owner, name):
            message = f"create Claim {made} Pod {name} in StatefulSet {owner['metadata']['name']} success"
            self._tell(owner, "Normal", "SuccessfulCreate", message)

    def _delete(self, owner: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        self._context.store.delete(PODS, *key_of(pod))
        self._tell(owner, "Normal", "SuccessfulDelete", f"delete Pod {name} in StatefulSet {owner['metadata']['name']} successful")

    def _tell(self, owner: Object, kind: str, reason: str, message: str) -> None:
        self._context.recorder.record(owner, kind, reason, message, self.name)


def _calc_status(state: State, pods: Iterable[Object], deleted: int, collisions: int | None) -> Object:
    current, update = state.current["metadata"]["name"], state.update["metadata"]["name"]
    pods = list(pods)
    staying = [_revision(pod) for pod in pods if not is_going(pod)]
    ready = [pod for pod in pods if phase_of(pod) == "Running" and is_ready(pod)]
    size = state.owner["spec"]["replicas"]
    kept, updated = staying.count(current) - deleted, staying.count(update)
    if state.owner["spec"]["updateStrategy"]["type"] == "RollingUpdate" and updated == len(ready) == len(pods) == size:
        current, kept = update, updated
    status: Object = {"replicas": len(pods), "availableReplicas": sum(map(state.is_ready_long, ready))}
    status |= without_zeros(
        observedGeneration=state.owner["metadata"]["generation"],
        readyReplicas=len(ready),
        currentReplicas=kept,
        updatedReplicas=updated,
    )
    return {**status, "currentRevision": current, "updateRevision": update, "collisionCount": collisions or 0}


def _revision(pod: Raw) -> str:
    return labels_of(pod).get(REVISION_HASH_LABEL, "")


def _start(owner: Raw) -> int:
    """Give the lowest ordinal."""
    found: int = (owner["spec"].get("ordinals") or {}).get("start", 0)
    return found


def _ordinal(owner: Raw, pod: Raw) -> int:
    """Give the number at the end of a pod's name, -1 where the name is not one of the StatefulSet's."""
    found = re.fullmatch(rf"{re.escape(owner['metadata']['name'])}-(\d+)", pod["metadata"]["name"])
    return int(found[1]) if found else -1
