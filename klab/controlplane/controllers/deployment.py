"""The Deployment controller: a ReplicaSet for each pod template, the newest grows as the old ones shrink (pkg/controller/deployment)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from klab.api import resources
from klab.controlplane.controllers import progress, rollout
from klab.controlplane.controllers.context import PODS, REPLICASETS, Context
from klab.controlplane.controllers.owners import claim, controller_of, controls, find_owners, key_of, make_controller_reference
from klab.controlplane.controllers.pods import is_finished, is_going
from klab.controlplane.controllers.rollout import count, size_of, total_size
from klab.controlplane.controllers.templates import HASH_LABEL, add_label, calc_template_hash, is_same_template
from klab.controlplane.manager import Key
from klab.controlplane.store import Event
from klab.errors import AlreadyExistsError

Object = dict[str, Any]

DEPLOYMENTS = resources.of("apps/v1", "Deployment")
NAME_LENGTH = 253
KEEP_ALL = (1 << 31) - 1
"""A revisionHistoryLimit of this many keeps all."""


@dataclass(slots=True)
class Rollout:
    """One look at a Deployment: itself with the status that grows as it goes, its ReplicaSets, the newest (None: none yet) apart."""

    deployment: Object
    new: Object | None
    old: list[Object]

    @property
    def all(self) -> list[Object]:
        """Give all ReplicaSets."""
        return [*self.old, self.new] if self.new is not None else list(self.old)

    @property
    def active_old(self) -> list[Object]:
        """Give the old ReplicaSets that have or ought to have pods, oldest first."""
        return sorted((one for one in self.old if size_of(one)), key=rollout.age_order)

    @property
    def replicas(self) -> int:
        """Give the wished number of pods."""
        return size_of(self.deployment)

    def replace(self, new: Object) -> None:
        """Put the new state of a ReplicaSet in the place of its former one."""
        uid = new["metadata"]["uid"]
        if self.new is not None and self.new["metadata"]["uid"] == uid:
            self.new = new
        self.old = [new if one["metadata"]["uid"] == uid else one for one in self.old]

    def set_condition(self, kind: str, status: str, reason: str, message: str, stamp: str) -> None:
        """Set a condition in the status to be written."""
        self.deployment = progress.with_condition(self.deployment, kind, status, reason, message, stamp)


class DeploymentController:
    """Brings Deployments from one pod template to the next, and to their size."""

    name = "deployment-controller"

    def __init__(self, context: Context) -> None:
        """Control all Deployments."""
        self._context = context

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the Deployments that a change concerns: its own, that of a ReplicaSet, and at Recreate that of a pod that is gone at last."""
        yield from find_owners(self._context.store, event, DEPLOYMENTS, REPLICASETS)
        if event.type == "DELETED" and event.resource == PODS:
            owner = controller_of(event.object)
            if owner is not None and owner["kind"] == "ReplicaSet":
                namespace = event.object["metadata"]["namespace"]
                found = self._context.find(REPLICASETS, (namespace, owner["name"]))
                parent = controller_of(found) if found is not None else None
                if parent is not None and parent["kind"] == "Deployment":
                    yield namespace, parent["name"]

    def reconcile(self, key: Key) -> float | None:
        """Take one step of the rollout or scale, write the status; give when the progress deadline runs out."""
        deployment = self._context.find(DEPLOYMENTS, key)
        if deployment is None:
            return None
        found = sorted(claim(self._context.store, self._context.children, deployment, REPLICASETS), key=rollout.age_order)
        new = next((one for one in found if is_same_template(one["spec"]["template"], deployment["spec"]["template"])), None)
        step = Rollout(deployment, new, [one for one in found if one is not new])
        if is_going(deployment):
            self._adopt_new(step)
            self._write(step, progress.calc_status(step.deployment, step.all, step.new, self._context.stamp()))
            return None
        step.deployment = progress.with_paused_condition(step.deployment, self._context.stamp())
        if deployment["spec"].get("paused") or self._is_scaled(step):
            self._adopt_new(step)
            self._scale(step)
            if deployment["spec"].get("paused"):
                self._clean_up(step)
            self._write(step, progress.calc_status(step.deployment, step.all, step.new, self._context.stamp()))
            return None
        if rollout.is_rolling(deployment):
            self._roll(step)
        else:
            self._recreate(step)
        self._write(step, progress.calc_rollout_status(step.deployment, step.all, step.new, self._context.now(), self._context.stamp()))
        return progress.until_deadline(step.deployment, self._context.now())

    # the two strategies

    def _roll(self, step: Rollout) -> None:
        """Grow the new ReplicaSet as far as maxSurge allows, or else shrink the old ones as far as maxUnavailable does."""
        new = self._ensure_new(step)
        if new is None:
            return
        size = size_of(new)
        if size > step.replicas:
            self._resize(step, new, step.replicas)
        elif size < step.replicas and (bigger := rollout.calc_new_size(step.deployment, size, total_size(step.all))) > size:
            self._resize(step, new, bigger)
        elif not self._shrink_old(step, new) and progress.is_complete(step.deployment, step.deployment.get("status") or {}):
            self._clean_up(step)

    def _shrink_old(self, step: Rollout, new: Object) -> bool:
        """Take pods from the old ReplicaSets, unhealthy ones first; tell whether any could be spared."""
        least = step.replicas - rollout.max_unavailable(step.deployment)
        spare = total_size(step.all) - least - (size_of(new) - count([new], "availableReplicas"))
        if spare <= 0 or not step.active_old:
            return False
        before = total_size(step.old)
        for one in step.active_old:
            unhealthy = min(spare, size_of(one) - count([one], "availableReplicas"))
            if unhealthy > 0:
                self._resize(step, one, size_of(one) - unhealthy)
                spare -= unhealthy
        spare = count(step.all, "availableReplicas") - least
        for one in step.active_old:
            if spare > 0:
                taken = min(size_of(one), spare)
                self._resize(step, one, size_of(one) - taken)
                spare -= taken
        return total_size(step.old) < before

    def _recreate(self, step: Rollout) -> None:
        """Take all old pods away, and when the last has gone make the new ones."""
        self._adopt_new(step)
        if step.active_old:
            for one in step.active_old:
                self._resize(step, one, 0)
            return
        if count(step.old, "replicas") or any(not is_finished(pod) for one in step.old for pod in self._context.children.of(PODS, one)):
            return
        new = self._ensure_new(step)
        if new is None:
            return
        if size_of(new) != step.replicas:
            self._resize(step, new, step.replicas)
        if progress.is_complete(step.deployment, step.deployment.get("status") or {}):
            self._clean_up(step)

    # the newest ReplicaSet and its revision

    def _ensure_new(self, step: Rollout) -> Object | None:
        """Give the ReplicaSet of the current template, made if need be; None where it cannot be made now."""
        if step.new is None:
            step.new = self._create(step)
        else:
            self._adopt_new(step)
        return step.new

    def _adopt_new(self, step: Rollout) -> None:
        """Give the ReplicaSet of the current template, if it is there, the newest revision and the Deployment's annotations."""
        if step.new is None:
            return
        spec, metadata = step.new["spec"], step.new["metadata"]
        annotations = rollout.calc_annotations(step.deployment, metadata.get("annotations") or {}, self._next_revision(step))
        ready = {key: step.deployment["spec"][key] for key in ("minReadySeconds",) if key in step.deployment["spec"]}
        spec = {**{key: value for key, value in spec.items() if key != "minReadySeconds"}, **ready}
        step.new = self._context.store.update(REPLICASETS, {**step.new, "spec": spec, "metadata": {**metadata, "annotations": annotations}})
        self._set_revision(step, annotations.get(rollout.REVISION, ""))
        if progress.has_deadline(step.deployment) and progress.condition_of(step.deployment) is None:
            message = f'Found new replica set "{metadata["name"]}"'
            step.set_condition(progress.PROGRESSING, "True", "FoundNewReplicaSet", message, self._context.stamp())

    def _create(self, step: Rollout) -> Object | None:
        """Make the ReplicaSet of the current template; None in a namespace that goes, or where its name is taken (another one is tried next)."""
        deployment = step.deployment
        metadata, spec = deployment["metadata"], deployment["spec"]
        if self._context.is_ending(metadata["namespace"]):
            return None
        collisions = (deployment.get("status") or {}).get("collisionCount")
        found = calc_template_hash(spec["template"], collisions)
        name = f"{metadata['name'][: NAME_LENGTH - 1 - len(found)]}-{found}"
        template = add_label(spec["template"], HASH_LABEL, found)
        revision = self._next_revision(step)
        size = rollout.calc_new_size(deployment, 0, total_size(step.old))
        selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH_LABEL: found}}
        wanted = {
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": rollout.calc_annotations(deployment, rollout.scale_annotations(deployment), revision),
                "ownerReferences": [make_controller_reference(deployment)],
            },
            "spec": {
                "replicas": size,
                **{key: spec[key] for key in ("minReadySeconds",) if key in spec},
                "selector": selector,
                "template": template,
            },
            "status": {"replicas": 0},
        }
        try:
            created = self._context.store.create(REPLICASETS, wanted)
        except AlreadyExistsError:
            existing = self._context.store.get(REPLICASETS, metadata["namespace"], name)
            if controls(deployment, existing) and is_same_template(existing["spec"]["template"], spec["template"]):
                return existing
            status = {**(deployment.get("status") or {}), "collisionCount": (collisions or 0) + 1}
            step.deployment = {**deployment, "status": status}
            return None
        if size:
            self._tell(deployment, f"Scaled up replica set {name} from 0 to {size}")
        self._set_revision(step, str(revision))
        if progress.has_deadline(deployment):
            step.set_condition(progress.PROGRESSING, "True", "NewReplicaSetCreated", f'Created new replica set "{name}"', self._context.stamp())
        return created

    @staticmethod
    def _next_revision(step: Rollout) -> int:
        return max(map(rollout.revision_of, step.old), default=0) + 1

    def _set_revision(self, step: Rollout, revision: str) -> None:
        metadata = step.deployment["metadata"]
        annotations = metadata.get("annotations") or {}
        if revision and annotations.get(rollout.REVISION) != revision:
            changed = {**step.deployment, "metadata": {**metadata, "annotations": {**annotations, rollout.REVISION: revision}}}
            stored = self._context.store.update(DEPLOYMENTS, changed)
            step.deployment = {**stored, **({"status": step.deployment["status"]} if "status" in step.deployment else {})}

    # scaling

    @staticmethod
    def _is_scaled(step: Rollout) -> bool:
        """Tell whether the Deployment's size changed since its ReplicaSets were last scaled."""
        wishes = [rollout.desired_replicas(one) for one in step.all if size_of(one)]
        return any(wish is not None and wish != step.replicas for wish in wishes)

    def _scale(self, step: Rollout) -> None:
        """Bring the ReplicaSets to the Deployment's size without going on with the rollout: each in proportion."""
        active = [one for one in step.all if size_of(one)]
        if len(active) <= 1:
            chosen = active[0] if active else step.new or next(iter(sorted(step.old, key=rollout.age_order, reverse=True)), None)
            if chosen is not None and size_of(chosen) != step.replicas:
                self._resize(step, chosen, step.replicas)
        elif step.new is not None and rollout.is_saturated(step.deployment, step.new):
            for one in step.active_old:
                self._resize(step, one, 0)
        elif rollout.is_rolling(step.deployment):
            for name, size in rollout.calc_scaled_sizes(step.deployment, active).items():
                self._resize(step, next(one for one in active if one["metadata"]["name"] == name), size)

    def _resize(self, step: Rollout, replica_set: Object, size: int) -> None:
        """Give a ReplicaSet its size, and note for which size of the Deployment it is."""
        metadata, former = replica_set["metadata"], size_of(replica_set)
        annotations = {**(metadata.get("annotations") or {}), **rollout.scale_annotations(step.deployment)}
        changed = {**replica_set, "spec": {**replica_set["spec"], "replicas": size}, "metadata": {**metadata, "annotations": annotations}}
        step.replace(self._context.store.update(REPLICASETS, changed))
        if size != former:
            self._tell(step.deployment, f"Scaled {'up' if size > former else 'down'} replica set {metadata['name']} from {former} to {size}")

    def _clean_up(self, step: Rollout) -> None:
        """Delete the oldest ReplicaSets without pods that are more than revisionHistoryLimit allows."""
        limit = step.deployment["spec"].get("revisionHistoryLimit", KEEP_ALL)
        alive = [one for one in step.old if not is_going(one)]
        surplus = max(0, len(alive) - limit)
        for one in sorted(alive, key=lambda each: (rollout.revision_of(each), rollout.age_order(each)))[:surplus]:
            if not size_of(one) and not count([one], "replicas") and count([one], "observedGeneration") >= one["metadata"]["generation"]:
                self._context.store.delete(REPLICASETS, *key_of(one))

    def _write(self, step: Rollout, status: Object) -> None:
        step.deployment = self._context.write_status(DEPLOYMENTS, step.deployment, status)

    def _tell(self, deployment: Object, message: str) -> None:
        self._context.recorder.record(deployment, "Normal", "ScalingReplicaSet", message, self.name)
