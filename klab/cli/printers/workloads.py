"""The rows of what makes pods: deployments, replica sets, daemon sets, stateful sets, jobs, cron jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from klab.cli.printers.table import Columns, Object, columns
from klab.cli.printers.values import NONE, age, conditions, containers, dig, duration_text, labels_text, parse_time, selector_text, since

_WIDE = "CONTAINERS  IMAGES  SELECTOR"


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _status(obj: Object, field: str) -> int:
    return int(dig(obj, "status", field, default=0))


def _pod_spec(obj: Object) -> Object:
    spec: Object = dig(obj, "spec", "template", "spec", default={})
    return spec


def _deployment(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    ready = f"{_status(obj, 'readyReplicas')}/{dig(obj, 'spec', 'replicas', default=0)}"
    return (
        _name(obj),
        ready,
        _status(obj, "updatedReplicas"),
        _status(obj, "availableReplicas"),
        age(obj, now),
        *containers(_pod_spec(obj)),
        selector_text(dig(obj, "spec", "selector")),
    )


def _replica_set(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    counts = (dig(obj, "spec", "replicas", default=0), _status(obj, "replicas"), _status(obj, "readyReplicas"))
    return (_name(obj), *counts, age(obj, now), *containers(_pod_spec(obj)), selector_text(dig(obj, "spec", "selector")) or NONE)


def _replication_controller(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    counts = (dig(obj, "spec", "replicas", default=0), _status(obj, "replicas"), _status(obj, "readyReplicas"))
    return (_name(obj), *counts, age(obj, now), *containers(_pod_spec(obj)), labels_text(dig(obj, "spec", "selector")))


def _daemon_set(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    return (
        _name(obj),
        *(_status(obj, field) for field in fields),
        labels_text(_pod_spec(obj).get("nodeSelector")),
        age(obj, now),
        *containers(_pod_spec(obj)),
        selector_text(dig(obj, "spec", "selector")) or NONE,
    )


def _stateful_set(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    ready = f"{_status(obj, 'readyReplicas')}/{dig(obj, 'spec', 'replicas', default=0)}"
    return (_name(obj), ready, age(obj, now), *containers(_pod_spec(obj)))


def _job(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return (
        _name(obj),
        _job_status(obj),
        _job_completions(obj),
        _job_duration(obj, now),
        age(obj, now),
        *containers(_pod_spec(obj)),
        selector_text(dig(obj, "spec", "selector")) or NONE,
    )


def _job_status(obj: Object) -> str:
    true = {name for name, status in conditions(obj).items() if status == "True"}
    for condition, text in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition in true:
            return text
    if dig(obj, "metadata", "deletionTimestamp"):
        return "Terminating"
    return next((text for text in ("Suspended", "FailureTarget") if text in true), "Running")


def _job_completions(obj: Object) -> str:
    succeeded = _status(obj, "succeeded")
    completions, parallelism = dig(obj, "spec", "completions"), dig(obj, "spec", "parallelism", default=0)
    if completions is not None:
        return f"{succeeded}/{completions}"
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(obj: Object, now: datetime) -> str:
    started, completed = dig(obj, "status", "startTime"), dig(obj, "status", "completionTime")
    if not started:
        return ""
    return duration_text(((parse_time(completed) if completed else now) - parse_time(started)).total_seconds())


def _cron_job(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    last = dig(obj, "status", "lastScheduleTime")
    suspend = dig(obj, "spec", "suspend")
    return (
        _name(obj),
        dig(obj, "spec", "schedule", default=""),
        dig(obj, "spec", "timeZone", default=NONE),
        "<unset>" if suspend is None else str(suspend).capitalize(),
        len(dig(obj, "status", "active", default=())),
        since(last, now) if last else NONE,
        age(obj, now),
        *containers(dig(obj, "spec", "jobTemplate", "spec", "template", "spec")),
        selector_text(dig(obj, "spec", "jobTemplate", "spec", "selector")) or NONE,
    )


TABLES: dict[str, Columns] = {
    "Deployment": columns("NAME  READY  UP-TO-DATE  AVAILABLE  AGE  CONTAINERS  IMAGES  SELECTOR", _deployment, _WIDE),
    "ReplicaSet": columns("NAME  DESIRED  CURRENT  READY  AGE  CONTAINERS  IMAGES  SELECTOR", _replica_set, _WIDE),
    "ReplicationController": columns("NAME  DESIRED  CURRENT  READY  AGE  CONTAINERS  IMAGES  SELECTOR", _replication_controller, _WIDE),
    "DaemonSet": columns(
        "NAME  DESIRED  CURRENT  READY  UP-TO-DATE  AVAILABLE  NODE SELECTOR  AGE  CONTAINERS  IMAGES  SELECTOR", _daemon_set, _WIDE
    ),
    "StatefulSet": columns("NAME  READY  AGE  CONTAINERS  IMAGES", _stateful_set, "CONTAINERS  IMAGES"),
    "Job": columns("NAME  STATUS  COMPLETIONS  DURATION  AGE  CONTAINERS  IMAGES  SELECTOR", _job, _WIDE),
    "CronJob": columns("NAME  SCHEDULE  TIMEZONE  SUSPEND  ACTIVE  LAST SCHEDULE  AGE  CONTAINERS  IMAGES  SELECTOR", _cron_job, _WIDE),
}
