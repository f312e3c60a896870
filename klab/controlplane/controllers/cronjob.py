"""The CronJob controller: a Job at each moment of a schedule (pkg/controller/cronjob)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from klab.api import resources
from klab.api.defaults import default
from klab.controlplane.controllers.conditions import is_true
from klab.controlplane.controllers.context import JOBS, Context, parse_time
from klab.controlplane.controllers.garbagecollector import BACKGROUND, delete
from klab.controlplane.controllers.jobplan import has_ended
from klab.controlplane.controllers.owners import controls, find_owners, make_controller_reference
from klab.controlplane.controllers.pods import is_going
from klab.controlplane.controllers.schedule import Schedule, find_latest, parse_schedule, parse_zone
from klab.controlplane.manager import Key
from klab.controlplane.store import Event, render_time
from klab.errors import AlreadyExistsError, UsageError

Object = dict[str, Any]
Raw = Mapping[str, Any]

CRONJOBS = resources.of("batch/v1", "CronJob")
TIMESTAMP = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY_MISSED = 100


class CronJobController:
    """Makes the Jobs of each CronJob at their time, and deletes the old ones."""

    name = "cronjob-controller"

    def __init__(self, context: Context) -> None:
        """Control all CronJobs."""
        self._context = context

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the CronJobs that a change concerns: its own, or that of a Job."""
        return find_owners(self._context.store, event, CRONJOBS, JOBS)

    def reconcile(self, key: Key) -> float | None:
        """Take note of what ended, make a Job if it is time, clear away old ones; give the seconds until the next is due."""
        owner = self._context.find(CRONJOBS, key)
        if owner is None:
            return None
        jobs = self._context.children.of(JOBS, owner)
        status = self._follow(owner, jobs)
        wish = None
        if not is_going(owner) and (schedule := self._parse(owner)) is not None and not owner["spec"].get("suspend"):
            status = self._start_due(owner, status, schedule, jobs)
            wish = self._until_next(owner, status, schedule)
        self._clear(owner, jobs)
        self._context.write_status(CRONJOBS, owner, status)
        return wish

    def _follow(self, owner: Object, jobs: Sequence[Object]) -> Object:
        """Give the status without the Jobs that ended or went, and with the time of the last success."""
        status = dict(owner.get("status") or {})
        running = {job["metadata"]["uid"]: job for job in jobs if not has_ended(job)}
        ended = {job["metadata"]["uid"]: job for job in jobs if has_ended(job)}
        active = []
        for reference in status.get("active") or ():
            if reference["uid"] in running:
                active.append(reference)
            elif reference["uid"] in ended:
                condition = "Complete" if is_true(ended[reference["uid"]]["status"], "Complete") else "Failed"
                self._tell(owner, "Normal", "SawCompletedJob", f"Saw completed job: {reference['name']}, condition: {condition}")
            else:
                self._tell(owner, "Normal", "MissingJob", f"Active job went missing: {reference['name']}")
        known = {reference["uid"] for reference in active}
        for uid, job in running.items():
            if uid not in known:
                message = f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}"
                self._tell(owner, "Warning", "UnexpectedJob", message)
        successes = [job["status"]["completionTime"] for job in ended.values() if job["status"].get("completionTime")]
        if successes:
            status["lastSuccessfulTime"] = max([*successes, *([status["lastSuccessfulTime"]] if "lastSuccessfulTime" in status else [])])
        return _with_active(status, active)

    def _parse(self, owner: Object) -> Schedule | None:
        """Give the schedule; None for a bad one, as the events tell."""
        spec = owner["spec"]
        zone = spec.get("timeZone") or ""
        try:
            if zone:
                parse_zone(zone)
        except UsageError as error:
            self._tell(owner, "Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": {error}')
            return None
        try:
            return parse_schedule(spec["schedule"], zone)
        except UsageError as error:
            self._tell(owner, "Warning", "UnparseableSchedule", f'unparseable schedule: "{spec["schedule"]}" : {error}')
            return None

    def _start_due(self, owner: Object, status: Object, schedule: Schedule, jobs: Sequence[Object]) -> Object:
        """Make the Job of the last moment that has passed, unless it is there, too late, or not alone as it ought to be; give the status then."""
        spec, now = owner["spec"], self._context.now()
        since, deadline = _since(owner, status), spec.get("startingDeadlineSeconds")
        due, missed = find_latest(schedule, since if deadline is None else max(since, now - deadline), now)
        if due is None:
            return status
        if missed > MANY_MISSED:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._tell(owner, "Warning", "TooManyMissedTimes", message)
        if deadline is not None and due + deadline < now:
            at = format_datetime(datetime.fromtimestamp(due, UTC))
            self._tell(owner, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {at}")
            return status
        name = f"{owner['metadata']['name']}-{int(due // 60)}"
        active = status.get("active") or []
        if any(reference["name"] == name for reference in active) or status.get("lastScheduleTime") == _render(due):
            return status
        if active and spec.get("concurrencyPolicy") == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._tell(owner, "Normal", "JobAlreadyActive", message)
            return status
        if spec.get("concurrencyPolicy") == "Replace":
            running = {reference["uid"] for reference in active}
            for job in jobs:
                if job["metadata"]["uid"] in running:
                    self._delete(owner, job)
            active = []
        created = self._create(owner, name, due)
        if created is None:
            return _with_active(status, active)
        fields = {field: created["metadata"][field] for field in ("namespace", "name", "uid", "resourceVersion")}
        reference = {"kind": "Job", "apiVersion": "batch/v1", **fields}
        return _with_active({**status, "lastScheduleTime": _render(due)}, [*active, reference])

    def _create(self, owner: Object, name: str, due: float) -> Object | None:
        """Make the Job of a moment; the one that is there if it is ours, None where there is none to follow."""
        metadata, template = owner["metadata"], owner["spec"]["jobTemplate"]
        if self._context.is_ending(metadata["namespace"]):
            return None
        given = template.get("metadata") or {}
        zone = parse_zone(owner["spec"].get("timeZone") or "UTC")
        at = datetime.fromtimestamp(due, zone).isoformat(timespec="seconds").replace("+00:00", "Z")
        wanted: Object = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": given.get("labels") or {},
                "annotations": {**(given.get("annotations") or {}), TIMESTAMP: at},
                "ownerReferences": [make_controller_reference(owner)],
            },
            "spec": template["spec"],
        }
        try:
            job = self._context.store.create(JOBS, default(wanted))
        except AlreadyExistsError:
            job = self._context.store.get(JOBS, metadata["namespace"], name)
            return job if controls(owner, job) and not has_ended(job) else None
        self._tell(owner, "Normal", "SuccessfulCreate", f"Created job {name}")
        return job

    def _until_next(self, owner: Object, status: Object, schedule: Schedule) -> float | None:
        """Give the seconds until the next moment, None for a schedule that has none."""
        now = self._context.now()
        latest, _missed = find_latest(schedule, _since(owner, status), now)
        following = schedule.next(_since(owner, status) if latest is None else latest)
        return None if following is None else max(0.0, following - now)

    def _clear(self, owner: Object, jobs: Sequence[Object]) -> None:
        """Delete the oldest Jobs that ended, beyond the limits of the history."""
        for kind, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            most = owner["spec"].get(limit)
            ended = sorted((job for job in jobs if is_true(job.get("status") or {}, kind) and not is_going(job)), key=_start_order)
            if most is not None:
                for job in ended[: max(0, len(ended) - most)]:
                    self._delete(owner, job)

    def _delete(self, owner: Object, job: Object) -> None:
        delete(self._context.store, JOBS, job, BACKGROUND)
        self._tell(owner, "Normal", "SuccessfulDelete", f"Deleted job {job['metadata']['name']}")

    def _tell(self, owner: Object, kind: str, reason: str, message: str) -> None:
        self._context.recorder.record(owner, kind, reason, message, self.name)


def _since(owner: Raw, status: Raw) -> float:
    """Give the moment after which Jobs are due: that of the last one, or the CronJob's creation."""
    return parse_time(status.get("lastScheduleTime") or owner["metadata"]["creationTimestamp"])


def _with_active(status: Raw, active: Sequence[Raw]) -> Object:
    others = {key: value for key, value in status.items() if key != "active"}
    return {**others, **({"active": list(active)} if active else {})}


def _start_order(job: Raw) -> tuple[bool, str, str]:
    started = (job.get("status") or {}).get("startTime") or ""
    return not started, started, job["metadata"]["name"]


def _render(seconds: float) -> str:
    return render_time(datetime.fromtimestamp(seconds, UTC))
