"""The status of a Deployment: counts, Available, and Progressing with its deadline (pkg/controller/deployment/progress.go, sync.go). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from klab.controlplane.controllers.conditions import Condition, drop_condition, find_condition, set_condition
from klab.controlplane.controllers.context import parse_time, without_zeros
from klab.controlplane.controllers.rollout import count, max_unavailable, size_of

Object = dict[str, Any]
Raw = Mapping[str, Any]

AVAILABLE = "Available"
PROGRESSING = "Progressing"
FAILURE = "ReplicaFailure"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
NO_DEADLINE = (1 << 31) - 1
"""A progressDeadlineSeconds of this many is none."""


def has_deadline(deployment: Raw) -> bool:
    """Tell whether a rollout that makes no progress is reported."""
    return bool(deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def condition_of(deployment: Raw) -> Condition | None:
    """Give the Progressing condition."""
    return find_condition(deployment.get("status") or {}, PROGRESSING)


def with_condition(deployment: Object, kind: str, status: str, reason: str, message: str, stamp: str) -> Object:  # noqa: PLR0913, PLR0917 (a condition)
    """Give the Deployment with a condition set in its status."""
    told = deployment.get("status") or {}
    return {**deployment, "status": {**told, "conditions": set_condition(told.get("conditions") or (), _make(kind, status, reason, message, stamp))}}


def with_paused_condition(deployment: Object, stamp: str) -> Object:
    """Give the Deployment with Progressing unknown while it is paused and when it goes on, so that the pause does not count as lack of progress."""
    found = condition_of(deployment)
    if not has_deadline(deployment) or (found is not None and found.get("reason") == TIMED_OUT):
        return deployment
    paused, told = bool(deployment["spec"].get("paused")), found is not None and found.get("reason") == "DeploymentPaused"
    if paused == told:
        return deployment
    reason, message = ("DeploymentPaused", "Deployment is paused") if paused else ("DeploymentResumed", "Deployment is resumed")
    return with_condition(deployment, PROGRESSING, "Unknown", reason, message, stamp)


def is_complete(deployment: Raw, status: Raw) -> bool:
    """Tell whether a status says that all wished pods are new and available, and no others there."""
    counts = {status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")}
    return counts == {size_of(deployment)} and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]


def calc_status(deployment: Raw, replica_sets: Sequence[Raw], new: Raw | None, stamp: str) -> Object:
    """Give counts and Available; other conditions stay."""
    old = deployment.get("status") or {}
    available = count(replica_sets, "availableReplicas")
    status: Object = without_zeros(
        observedGeneration=deployment["metadata"]["generation"],
        replicas=count(replica_sets, "replicas"),
        updatedReplicas=count([new] if new is not None else [], "replicas"),
        readyReplicas=count(replica_sets, "readyReplicas"),
        availableReplicas=available,
        unavailableReplicas=max(0, sum(map(size_of, replica_sets)) - available),
    )
    status["terminatingReplicas"] = count(replica_sets, "terminatingReplicas")
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    if available >= size_of(deployment) - max_unavailable(deployment):
        found = _make(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", stamp)
    else:
        found = _make(AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", stamp)
    status["conditions"] = set_condition(old.get("conditions") or (), found)
    return status


def calc_rollout_status(deployment: Raw, replica_sets: Sequence[Raw], new: Raw | None, now: float, stamp: str) -> Object:
    """Give the status in a rollout: with what Progressing is now, and with a failure of a ReplicaSet as the Deployment's own."""
    status = calc_status(deployment, replica_sets, new, stamp)
    timed = has_deadline(deployment)
    conditions = _calc_progressing(deployment, status, new, now, stamp) if timed else drop_condition(status["conditions"], PROGRESSING)
    first = [*([new] if new is not None else []), *replica_sets]
    failure = next((found for one in first if (found := find_condition(one.get("status") or {}, FAILURE))), None)
    if failure is not None:
        conditions = set_condition(conditions, {**failure, "lastUpdateTime": failure["lastTransitionTime"]})
    else:
        conditions = drop_condition(conditions, FAILURE)
    return {**status, "conditions": conditions}


def _calc_progressing(deployment: Raw, status: Raw, new: Raw | None, now: float, stamp: str) -> list[Condition]:
    """Give the conditions with Progressing brought up to date: complete, on the way, or out of time."""
    conditions: list[Condition] = status["conditions"]
    current = condition_of(deployment)
    if current is not None and current["reason"] == COMPLETE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    subject = f'Deployment "{deployment["metadata"]["name"]}"' if new is None else f'ReplicaSet "{new["metadata"]["name"]}"'
    if is_complete(deployment, status):
        return set_condition(conditions, _make(PROGRESSING, "True", COMPLETE, f"{subject} has successfully progressed.", stamp))
    if _has_progressed(deployment.get("status") or {}, status):
        found = _make(PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", stamp)
        if current is not None and current["status"] == "True":
            found = {**found, "lastTransitionTime": current["lastTransitionTime"]}
        return [*drop_condition(conditions, PROGRESSING), found]
    if current is not None and current["reason"] != COMPLETE and parse_time(current["lastUpdateTime"]) + _deadline(deployment) < now:
        return set_condition(conditions, _make(PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", stamp))
    return conditions


def _has_progressed(old: Raw, new: Raw) -> bool:
    """Tell whether new pods were made or became ready or available, or old ones went."""
    grown = any(new.get(field, 0) > old.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    former, left = (status.get("replicas", 0) - status.get("updatedReplicas", 0) for status in (old, new))
    return grown or left < former


def until_deadline(deployment: Raw, now: float) -> float | None:
    """Give the seconds until a rollout that stands still is out of time, None where it is complete, out of time already, or has no deadline."""
    current = condition_of(deployment)
    if not has_deadline(deployment) or current is None or current["reason"] == TIMED_OUT or is_complete(deployment, deployment.get("status") or {}):
        return None
    return max(0.0, parse_time(current["lastUpdateTime"]) + _deadline(deployment) - now) + 1


def _deadline(deployment: Raw) -> int:
    seconds: int = deployment["spec"]["progressDeadlineSeconds"]
    return seconds


def _make(kind: str, status: str, reason: str, message: str, stamp: str) -> Condition:
    return {"type": kind, "status": status, "lastUpdateTime": stamp, "lastTransitionTime": stamp, "reason": reason, "message": message}
