"""The Job controller: runs pods until enough of them have succeeded, or too many have failed (pkg/controller/job).

Each of its pods has a finalizer until it is counted, so that none is forgotten that is deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from klab.api.meta import labels_of
from klab.controlplane.controllers import jobplan
from klab.controlplane.controllers.conditions import Condition, drop_condition, find_condition
from klab.controlplane.controllers.context import JOBS, PODS, Context, without_zeros
from klab.controlplane.controllers.jobfailure import Backoff, finish_time, match_failure
from klab.controlplane.controllers.jobplan import Outcome, Tally
from klab.controlplane.controllers.owners import claim, controller_of, find_owners, key_of
from klab.controlplane.controllers.pods import PodControl, deletion_order, is_active, is_going, is_ready, phase_of
from klab.controlplane.controllers.templates import add_label
from klab.controlplane.manager import Key
from klab.controlplane.store import Event
from klab.errors import InvalidManifestError

Object = dict[str, Any]
Raw = Mapping[str, Any]

NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
OURS = (None, "kubernetes.io/job-controller")
"""spec.managedBy of the Jobs that this controller cares for."""
NAME_BASE = 58
"""Characters of a generated name before its five random ones."""


class JobController:
    """Runs the pods of each Job and counts how they end."""

    name = "job-controller"

    def __init__(self, context: Context) -> None:
        """Control all Jobs."""
        self._context = context
        self._pods = PodControl(context, self.name)
        self._backoffs: dict[str, Backoff] = {}  # by the Job's uid

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the Jobs that a change concerns: its own, that of a pod, or the one that an orphaned pod is still counted for."""
        yield from find_owners(self._context.store, event, JOBS, PODS)
        if event.resource == PODS and jobplan.is_tracked(event.object) and controller_of(event.object) is None:
            name = labels_of(event.object).get(NAME_LABELS[1])
            if name:
                yield event.object["metadata"]["namespace"], name

    def reconcile(self, key: Key) -> float | None:
        """Count what ended, end the Job or run the pods that are wanted, and write the status."""
        job = self._context.find(JOBS, key)
        if job is None or jobplan.has_ended(job):
            self._let_go(key, job)
            return None
        if job["spec"].get("managedBy") not in OURS:
            return None
        job = self._with_selector(job)
        pods = self._track(job, claim(self._context.store, self._context.children, job, PODS))
        now = self._context.now()
        job = self._with_start(job)
        tally = jobplan.calc_tally(job, pods)
        uid = job["metadata"]["uid"]
        backoff = self._backoffs.get(uid, Backoff()).after(tally.new_succeeded, tally.new_failed)
        outcome = jobplan.calc_outcome(job, pods, tally, now)
        status = self._calc_counts(tally, job)
        wish = jobplan.until_deadline(job, now) if outcome is None else None
        active, going = list(tally.active), len(tally.terminating)
        if outcome is not None:
            status["failed"] += 0 if outcome.succeeded else tally.uncounted
            going += self._delete(job, active)
            active = []
        elif not is_going(job):
            deleted, left, pause = self._manage(job, tally, backoff)
            active, going = left, going + deleted
            wish = min((one for one in (wish, pause) if one is not None), default=None)
            if jobplan.is_complete(job, tally.succeeded, len(active)):
                outcome = jobplan.COMPLETE
        self._count_off(job, pods, ended=outcome is not None)
        status |= {"active": len(active), "ready": sum(map(is_ready, active)), "terminating": going}
        self._write(job, status, outcome)
        self._backoffs[uid] = backoff
        return wish

    # pods

    def _manage(self, job: Object, tally: Tally, backoff: Backoff) -> tuple[int, list[Object], float | None]:
        """Delete or create pods; give how many deleted ones still run, the active ones, and in how many seconds more may be made."""
        wanted, now = jobplan.calc_wanted(job, tally), self._context.now()
        surplus = jobplan.find_surplus(job, tally)
        others = sorted((pod for pod in tally.active if pod not in surplus), key=lambda pod: deletion_order(pod, 0, now))
        chosen = [*surplus, *others[: max(0, len(tally.active) - wanted - len(surplus))]]
        if chosen:
            return self._delete(job, chosen), [pod for pod in tally.active if pod not in chosen], None
        waiting = len(tally.terminating) if job["spec"].get("podReplacementPolicy") == "Failed" else 0
        missing = wanted - waiting - len(tally.active)
        if missing <= 0:
            return 0, list(tally.active), None
        per_index = job["spec"].get("backoffLimitPerIndex") is not None
        if not per_index and (pause := backoff.remaining(now)) > 0:
            return 0, list(tally.active), pause
        indexes: list[int | None] = list(jobplan.pick_indexes(job, tally, missing)) if jobplan.is_indexed(job) else [None] * missing
        pauses: list[float] = []
        if per_index:
            found = {index: self._index_backoff(job, index) for index in indexes}
            pauses = [left for one in found.values() if (left := one.remaining(now)) > 0]
            indexes = [index for index, one in found.items() if one.remaining(now) <= 0]
        return 0, [*tally.active, *self._create(job, indexes)], min(pauses, default=None)

    def _create(self, job: Object, indexes: Sequence[int | None]) -> list[Object]:
        """Make a pod for each index, or so many without one; what cannot be made is told in the events."""
        template = dict(job["spec"]["template"])
        if jobplan.is_indexed(job):
            template["spec"] = _with_index_variable(template["spec"])
        try:
            pod = self._pods.prepare(job, template)
        except InvalidManifestError:
            return []
        metadata = {**pod["metadata"], "finalizers": sorted({*(pod["metadata"].get("finalizers") or ()), jobplan.FINALIZER})}
        planned = [self._plan_pod(job, {**pod, "metadata": metadata}, index) for index in indexes]
        return [made for one in planned if (made := self._pods.create(job, one)) is not None]

    def _plan_pod(self, job: Object, pod: Object, index: int | None) -> Object:
        """Give the pod of an index its number: in its name, hostname, label and annotation."""
        if index is None:
            return pod
        ending, name = f"-{index}-", job["metadata"]["name"]
        annotations = {**(pod["metadata"].get("annotations") or {}), jobplan.INDEX: str(index)}
        if job["spec"].get("backoffLimitPerIndex") is not None:
            annotations[jobplan.INDEX_FAILURES] = str(self._index_backoff(job, index).failures)
        metadata = {
            **pod["metadata"],
            "generateName": name[: NAME_BASE - len(ending)] + ending,
            "annotations": annotations,
            "labels": {**(pod["metadata"].get("labels") or {}), jobplan.INDEX: str(index)},
        }
        return {**pod, "metadata": metadata, "spec": {**pod["spec"], "hostname": f"{name}-{index}"}}

    def _index_backoff(self, job: Object, index: int | None) -> Backoff:
        """Give the failures of an index, from its last failed pod."""
        failed = [pod for pod in self._context.children.of(PODS, job) if jobplan.index_of(job, pod) == index and jobplan.has_failed(job, pod)]
        if not failed:
            return Backoff()
        counts = [jobplan.failures_of_index(pod) + match_failure(job, pod).counts for pod in failed]
        return Backoff(max(counts), max(map(finish_time, failed)))

    def _delete(self, job: Object, pods: Iterable[Object]) -> int:
        """Delete active pods, which count no more; give how many of them run on for their grace period."""
        pods = [self._strip(pod) for pod in pods]
        for pod in pods:
            self._pods.delete(job, pod)
        return sum(bool(pod["spec"].get("nodeName")) for pod in pods)

    def _track(self, job: Object, pods: Iterable[Object]) -> list[Object]:
        """Give active pods that were adopted the finalizer; give all pods as they are then."""
        return [self._hold(pod) if is_active(pod) and not jobplan.is_tracked(pod) and not is_going(job) else pod for pod in pods]

    def _hold(self, pod: Object) -> Object:
        finalizers = [*(pod["metadata"].get("finalizers") or ()), jobplan.FINALIZER]
        return self._context.store.update(PODS, {**pod, "metadata": {**pod["metadata"], "finalizers": finalizers}})

    def _strip(self, pod: Object) -> Object:
        """Take the finalizer from a pod."""
        if not jobplan.is_tracked(pod):
            return pod
        metadata = {key: value for key, value in pod["metadata"].items() if key != "finalizers"}
        if left := [one for one in pod["metadata"]["finalizers"] if one != jobplan.FINALIZER]:
            metadata["finalizers"] = left
        return self._context.store.update(PODS, {**pod, "metadata": metadata})

    def _count_off(self, job: Object, pods: Iterable[Object], *, ended: bool) -> None:
        """Take the finalizer from the pods that are in the counts now, and at the Job's end from all."""
        for pod in pods:
            current = self._context.find(PODS, key_of(pod))
            if current is not None and (ended or is_going(job) or phase_of(current) == "Succeeded" or jobplan.has_failed(job, current)):
                self._strip(current)

    def _let_go(self, key: Key, job: Object | None) -> None:
        """Take the finalizer from the pods of a Job that ended or is gone."""
        if job is not None:
            self._backoffs.pop(job["metadata"]["uid"], None)
        for pod in self._context.store.list(PODS, key[0]):
            if jobplan.is_tracked(pod) and labels_of(pod).get(NAME_LABELS[1]) == key[1]:
                self._strip(pod)

    # the Job itself

    def _with_selector(self, job: Object) -> Object:
        """Give a Job its selector and its template the labels for it, as the API server does at creation (generateSelector)."""
        spec, uid = job["spec"], job["metadata"]["uid"]
        if spec.get("manualSelector") or UID_LABELS[1] in ((spec.get("selector") or {}).get("matchLabels") or {}):
            return job
        wanted = dict.fromkeys(NAME_LABELS, job["metadata"]["name"]) | dict.fromkeys(UID_LABELS, uid)
        template = spec["template"]
        for label, value in wanted.items():
            if label not in labels_of(template):
                template = add_label(template, label, value)
        given = spec.get("selector") or {}
        selector = {**given, "matchLabels": {**(given.get("matchLabels") or {}), UID_LABELS[1]: uid}}
        return self._context.store.update(JOBS, {**job, "spec": {**spec, "selector": selector, "template": template}})

    def _with_start(self, job: Object) -> Object:
        """Give a Job that runs for the first time, or again after a pause, its startTime, for the status to come."""
        status = job.get("status") or {}
        paused = find_condition(status, "Suspended")
        resumed = paused is not None and paused["status"] == "True"
        if jobplan.is_suspended(job) or (status.get("startTime") and not resumed):
            return job
        return {**job, "status": {**status, "startTime": self._context.stamp()}}

    @staticmethod
    def _calc_counts(tally: Tally, job: Raw) -> Object:
        counts: Object = {"succeeded": tally.succeeded, "failed": tally.failed}
        if jobplan.is_indexed(job):
            counts["completedIndexes"] = jobplan.render_indexes(tally.succeeded_indexes)
        if job["spec"].get("backoffLimitPerIndex") is not None:
            counts["failedIndexes"] = jobplan.render_indexes(tally.failed_indexes)
        return counts

    def _write(self, job: Object, counts: Object, outcome: Outcome | None) -> None:
        """Write the status, with the conditions of the outcome: final ones when the last pod has gone."""
        old, stamp = job.get("status") or {}, self._context.stamp()
        conditions = self._with_suspension(job, old.get("conditions") or (), outcome)
        status: Object = without_zeros(active=counts["active"], succeeded=counts["succeeded"], failed=counts["failed"])
        status |= {key: old[key] for key in ("startTime",) if key in old}
        status |= {key: counts[key] for key in ("completedIndexes", "failedIndexes") if counts.get(key) or (key == "failedIndexes" and key in counts)}
        status |= {"ready": counts["ready"], "terminating": counts["terminating"], "uncountedTerminatedPods": {}}
        if outcome is not None:
            if find_condition(old, outcome.kind) is None:
                conditions = [*conditions, _condition(outcome.kind, "True", outcome.reason, outcome.message, stamp)]
            if not counts["terminating"]:
                final = "Complete" if outcome.succeeded else "Failed"
                conditions = [*conditions, _condition(final, "True", outcome.reason, outcome.message, stamp)]
                status |= {"completionTime": stamp} if outcome.succeeded else {}
                self._tell_end(job, outcome, counts["succeeded"])
        self._context.write_status(JOBS, job, status | ({"conditions": list(conditions)} if conditions else {}))

    def _with_suspension(self, job: Object, conditions: Sequence[Condition], outcome: Outcome | None) -> list[Condition]:
        """Give the conditions with Suspended as it is now; a Job that was never suspended has none."""
        found = next((one for one in conditions if one["type"] == "Suspended"), None)
        suspended = jobplan.is_suspended(job)
        if outcome is not None or is_going(job) or suspended == (found is not None and found["status"] == "True"):
            return list(conditions)
        status, reason, message = ("True", "JobSuspended", "Job suspended") if suspended else ("False", "JobResumed", "Job resumed")
        self._pods.tell(job, "Normal", "Suspended" if suspended else "Resumed", message)
        return [*drop_condition(conditions, "Suspended"), _condition("Suspended", status, reason, message, self._context.stamp())]

    def _tell_end(self, job: Object, outcome: Outcome, succeeded: int) -> None:
        if not outcome.succeeded:
            self._pods.tell(job, "Warning", outcome.reason, outcome.message)
            return
        completions = job["spec"].get("completions")
        if completions is not None and succeeded > completions:
            self._pods.tell(job, "Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
        self._pods.tell(job, "Normal", "Completed", "Job completed")


def _condition(kind: str, status: str, reason: str, message: str, stamp: str) -> Condition:
    return {"type": kind, "status": status, "lastProbeTime": stamp, "lastTransitionTime": stamp, "reason": reason, "message": message}


def _with_index_variable(spec: Raw) -> Object:
    """Give a pod spec whose containers all know JOB_COMPLETION_INDEX."""
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{jobplan.INDEX}']"}}}
    lists = {key: [_with_variable(one, variable) for one in spec[key]] for key in ("initContainers", "containers") if spec.get(key)}
    return {**spec, **lists}


def _with_variable(container: Raw, variable: Raw) -> Object:
    given = container.get("env") or ()
    return {**container, "env": [*given, *([] if any(one["name"] == variable["name"] for one in given) else [variable])]}
