"""What a failed pod means for its Job: the podFailurePolicy, and the pause before the next pod. Pure (pkg/controller/job)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.controlplane.controllers.conditions import find_condition
from klab.controlplane.controllers.context import parse_time
from klab.controlplane.controllers.pods import is_going

Raw = Mapping[str, Any]

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 600.0
"""Seconds between a pod's failure and the next pod: they double with each failure since the last success."""


@dataclass(frozen=True, slots=True)
class FailureMatch:
    """What the podFailurePolicy makes of a failed pod: whether it counts, fails its index, or ends the Job with a message."""

    counts: bool = True
    fails_index: bool = False
    ends_job: str = ""


def match_failure(job: Raw, pod: Raw) -> FailureMatch:
    """Find the first rule of the podFailurePolicy that a failed pod matches (matchPodFailurePolicy)."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        finding = _match_rule(rule, pod)
        if finding:
            action = rule["action"]
            return FailureMatch(
                counts=action != "Ignore",
                fails_index=action == "FailIndex",
                ends_job=f"{finding} matching FailJob rule at index {number}" if action == "FailJob" else "",
            )
    return FailureMatch()


def _match_rule(rule: Raw, pod: Raw) -> str:
    """Say how a pod matches a rule, "" where it does not."""
    status, name = pod.get("status") or {}, f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if (codes := rule.get("onExitCodes")) is not None:
        for one in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            code = ((one.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            if code and codes.get("containerName") in {None, one["name"]} and (code in codes["values"]) is (codes["operator"] == "In"):
                return f"Container {one['name']} for pod {name} failed with exit code {code}"
        return ""
    for condition in status.get("conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {name} has condition {condition['type']}"
    return ""


def finish_time(pod: Raw) -> float:
    """Give when a pod ended: by its containers, its Ready condition, its deletion, or at the worst its creation (getFinishedTime)."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    states = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in status.get("containerStatuses") or ()]
    if states and all(states):
        return max(map(parse_time, filter(None, states)))
    ready = find_condition(status, "Ready")
    if ready is not None and ready["status"] == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    if is_going(pod):
        return float(parse_time(metadata["deletionTimestamp"]) - metadata.get("deletionGracePeriodSeconds", 0))
    return parse_time(metadata["creationTimestamp"])


@dataclass(frozen=True, slots=True)
class Backoff:
    """How many pods failed since the last success, and when the last of them did."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: Sequence[Raw], failed: Sequence[Raw]) -> Backoff:
        """Give the state after these pods ended."""
        success = max(map(finish_time, succeeded), default=None)
        times = [time for time in map(finish_time, failed) if success is None or time > success]
        before = self if success is None else Backoff()
        return Backoff(before.failures + len(times), max(times)) if times else before

    def remaining(self, now: float) -> float:
        """Give the seconds until another pod may be made."""
        pause = min(FIRST_BACKOFF * 2 ** min(self.failures - 1, 32), LONGEST_BACKOFF) if self.failures else 0.0
        return max(0.0, self.last + pause - now)
