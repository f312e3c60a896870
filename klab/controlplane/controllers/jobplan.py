"""What a Job's pods amount to, and whether that ends it: counts, completion indexes, policies. Pure (pkg/controller/job)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from klab.controlplane.controllers.conditions import find_condition, is_true
from klab.controlplane.controllers.context import parse_time
from klab.controlplane.controllers.jobfailure import match_failure
from klab.controlplane.controllers.pods import is_active, is_finished, is_going, is_terminating, phase_of

Object = dict[str, Any]
Raw = Mapping[str, Any]

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a Job is to end: `kind` is SuccessCriteriaMet or FailureTarget, the condition that stands until the last pod has gone."""

    kind: str
    reason: str
    message: str

    @property
    def succeeded(self) -> bool:
        """Tell whether it ends well."""
        return self.kind == "SuccessCriteriaMet"


COMPLETE = Outcome("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")


@dataclass(frozen=True, slots=True)
class Tally:
    """A Job's pods, sorted: active ones; those that ended since the last count; and the counts with these."""

    active: tuple[Object, ...]
    terminating: tuple[Object, ...]
    new_succeeded: tuple[Object, ...]
    new_failed: tuple[Object, ...]
    succeeded: int
    failed: int
    succeeded_indexes: frozenset[int]
    failed_indexes: frozenset[int]

    @property
    def uncounted(self) -> int:
        """Give the number of pods that are not in the counts yet, and will have failed if the Job fails now."""
        return sum(is_tracked(pod) and pod not in self.new_failed for pod in (*self.active, *self.terminating))


def is_indexed(job: Raw) -> bool:
    """Tell whether each completion has a number."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_suspended(job: Raw) -> bool:
    """Tell whether a Job is to have no pods for now."""
    return bool(job["spec"].get("suspend"))


def has_ended(job: Raw) -> bool:
    """Tell whether a Job is complete or failed for good."""
    status = job.get("status") or {}
    return is_true(status, "Complete") or is_true(status, "Failed")


def is_tracked(pod: Raw) -> bool:
    """Tell whether a pod has yet to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def has_failed(job: Raw, pod: Raw) -> bool:
    """Tell whether a pod counts as failed: also one that is being deleted, unless only failed pods are replaced."""
    if phase_of(pod) == "Failed":
        return True
    return job["spec"].get("podReplacementPolicy") != "Failed" and is_going(pod) and phase_of(pod) != "Succeeded"


def index_of(job: Raw, pod: Raw) -> int | None:
    """Give a pod's completion index, None where it has none that is valid."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() and int(text) < job["spec"]["completions"] else None


def calc_tally(job: Raw, pods: Sequence[Object]) -> Tally:
    """Count a Job's pods; those that end in this very look are in `succeeded` and `failed` too."""
    status, indexed = job.get("status") or {}, is_indexed(job)
    tracked = [pod for pod in pods if is_tracked(pod) and not (indexed and index_of(job, pod) is None)]
    new_succeeded = tuple(pod for pod in tracked if phase_of(pod) == "Succeeded")
    new_failed = tuple(pod for pod in tracked if has_failed(job, pod))
    succeeded_indexes = parse_indexes(status.get("completedIndexes", "")) | _indexes(job, new_succeeded) if indexed else frozenset()
    failed_indexes: frozenset[int] = frozenset()
    if job["spec"].get("backoffLimitPerIndex") is not None:
        failed_indexes = parse_indexes(status.get("failedIndexes", "")) | _indexes(job, (pod for pod in new_failed if _fails_index(job, pod)))
    return Tally(
        active=tuple(filter(is_active, pods)),
        terminating=tuple(filter(is_terminating, pods)),
        new_succeeded=new_succeeded,
        new_failed=new_failed,
        succeeded=len(succeeded_indexes) if indexed else status.get("succeeded", 0) + len(new_succeeded),
        failed=status.get("failed", 0) + sum(match_failure(job, pod).counts for pod in new_failed),
        succeeded_indexes=succeeded_indexes,
        failed_indexes=failed_indexes,
    )


def _indexes(job: Raw, pods: Iterable[Raw]) -> frozenset[int]:
    return frozenset(index for pod in pods if (index := index_of(job, pod)) is not None)


def calc_outcome(job: Raw, pods: Sequence[Object], tally: Tally, now: float) -> Outcome | None:
    """Say whether a Job is to end before its completions are reached, and why; what was said before stands."""
    status, spec = job.get("status") or {}, job["spec"]
    for kind in ("SuccessCriteriaMet", "FailureTarget"):
        found = find_condition(status, kind)
        if found is not None and found["status"] == "True":
            return Outcome(kind, found.get("reason", ""), found.get("message", ""))
    for pod in pods:
        if has_failed(job, pod) and (message := match_failure(job, pod).ends_job):
            return Outcome("FailureTarget", "PodFailurePolicy", message)
    if tally.failed > spec.get("backoffLimit", 6) or _has_restarted_too_often(job, pods):
        return Outcome("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if (left := until_deadline(job, now)) is not None and left <= 0:
        return Outcome("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
    return _calc_indexed_outcome(job, tally) if is_indexed(job) else None


def _calc_indexed_outcome(job: Raw, tally: Tally) -> Outcome | None:
    spec, failed = job["spec"], len(tally.failed_indexes)
    most = spec.get("maxFailedIndexes")
    if most is not None and failed > most:
        return Outcome("FailureTarget", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    if failed and failed + len(tally.succeeded_indexes) >= spec["completions"]:
        return Outcome("FailureTarget", "FailedIndexes", "Job has failed indexes")
    for number, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        named = rule.get("succeededIndexes")
        among = tally.succeeded_indexes & parse_indexes(named) if named is not None else tally.succeeded_indexes
        enough = rule.get("succeededCount")
        if (enough is not None and len(among) >= enough) or (named is not None and parse_indexes(named) <= tally.succeeded_indexes):
            return Outcome("SuccessCriteriaMet", "SuccessPolicy", f"Matched rules at index {number}")
    return None


def until_deadline(job: Raw, now: float) -> float | None:
    """Give the seconds until activeDeadlineSeconds have passed since the start, None where that does not count."""
    seconds, started = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if seconds is None or not started or is_suspended(job):
        return None
    return float(parse_time(started) + seconds - now)


def _has_restarted_too_often(job: Raw, pods: Iterable[Raw]) -> bool:
    """Tell whether containers that are restarted in place have used up the back-off limit."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    statuses = [pod.get("status") or {} for pod in pods if not is_finished(pod)]
    lists = [status.get(field) or () for status in statuses for field in ("initContainerStatuses", "containerStatuses")]
    restarts = sum(one.get("restartCount", 0) for found in lists for one in found)
    return bool(restarts >= max(1, job["spec"].get("backoffLimit", 6)))


def failures_of_index(pod: Raw) -> int:
    """Give how many pods of its index failed before this one."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX_FAILURES, "0")
    return int(text) if text.isdecimal() else 0


def _fails_index(job: Raw, pod: Raw) -> bool:
    found = match_failure(job, pod)
    return found.fails_index or (found.counts and failures_of_index(pod) >= job["spec"]["backoffLimitPerIndex"])


def calc_wanted(job: Raw, tally: Tally) -> int:
    """Give how many pods are to be active now."""
    if is_suspended(job):
        return 0
    parallelism: int = job["spec"].get("parallelism", 1)
    completions: int | None = job["spec"].get("completions")
    if completions is None:
        return len(tally.active) if tally.succeeded else parallelism
    return max(0, min(parallelism, completions - tally.succeeded))


def is_complete(job: Raw, succeeded: int, active: int) -> bool:
    """Tell whether enough pods succeeded and none is left; without a number of completions any success will do."""
    completions = job["spec"].get("completions")
    return not active and (succeeded > 0 if completions is None else succeeded >= completions)


def pick_indexes(job: Raw, tally: Tally, number: int) -> list[int]:
    """Give the lowest indexes that have neither a pod nor an end yet."""
    pods = (*tally.active, *tally.terminating) if job["spec"].get("podReplacementPolicy") == "Failed" else tally.active
    taken = tally.succeeded_indexes | tally.failed_indexes | _indexes(job, pods)
    return list(islice((index for index in range(job["spec"]["completions"]) if index not in taken), number))


def find_surplus(job: Raw, tally: Tally) -> list[Object]:
    """Give active pods that may not be: of an Indexed Job those without a valid index, and the younger ones of the same index."""
    if not is_indexed(job):
        return []
    seen: set[int] = set()
    surplus = []
    for pod in tally.active:
        index = index_of(job, pod)
        if index is None or index in seen:
            surplus.append(pod)
        else:
            seen.add(index)
    return surplus


def parse_indexes(text: str) -> frozenset[int]:
    """Parse `0-2,5`."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def render_indexes(indexes: Iterable[int]) -> str:
    """Render indexes as `0-2,4,5`: two neighbours are no range yet."""
    ordered = sorted(indexes)
    runs: dict[int, list[int]] = {}
    for place, index in zip(count(), ordered):
        runs.setdefault(index - place, []).append(index)
    parts = (f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs.values())  # noqa: PLR2004 (three are a range)
    return ",".join(parts)
