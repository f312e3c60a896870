"""The arithmetic of a Deployment's rollout: how many pods may be too many or missing, sizes of its ReplicaSets, revisions. Pure.

All of it is that of pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = dict[str, Any]
Raw = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)
MAX_HISTORY_LENGTH = 2000
"""Characters of the annotation with the former revisions of a ReplicaSet, at most."""


def resolve(value: int | str | None, total: int, *, up: bool) -> int:
    """Give a number, or a percentage of `total` rounded up or down (intstr.GetScaledValueFromIntOrPercent)."""
    if isinstance(value, str):
        share = total * int(value.removesuffix("%"))
        return -(-share // 100) if up else share // 100
    return value or 0


def is_rolling(deployment: Raw) -> bool:
    """Tell whether the strategy is RollingUpdate."""
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def max_surge(deployment: Raw) -> int:
    """Give how many pods more than wished there may be."""
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Raw) -> int:
    """Give how many of the wished pods may be unavailable."""
    replicas: int = deployment["spec"]["replicas"]
    return min(_fenceposts(deployment)[1], replicas) if is_rolling(deployment) else 0


def _fenceposts(deployment: Raw) -> tuple[int, int]:
    """Resolve maxSurge and maxUnavailable together: both may not come out as 0."""
    replicas, rolling = deployment["spec"]["replicas"], deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge"), replicas, up=True)
    unavailable = resolve(rolling.get("maxUnavailable"), replicas, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def size_of(workload: Raw) -> int:
    """Give the wished number of pods of a ReplicaSet, or of a Deployment."""
    size: int = workload["spec"]["replicas"]
    return size


def total_size(replica_sets: Iterable[Raw]) -> int:
    """Add up the wished numbers of pods."""
    return sum(map(size_of, replica_sets))


def count(replica_sets: Iterable[Raw], field: str) -> int:
    """Add up a number of the ReplicaSets' status."""
    return sum((one.get("status") or {}).get(field, 0) for one in replica_sets)


def calc_new_size(deployment: Raw, current: int, total: int) -> int:
    """Give the size for the new ReplicaSet, which has `current` of the `total` pods of all (NewRSNewReplicas)."""
    replicas: int = deployment["spec"]["replicas"]
    if not is_rolling(deployment):
        return replicas
    room = replicas + max_surge(deployment) - total
    return current if room <= 0 else current + min(room, replicas - current)


def calc_scaled_sizes(deployment: Raw, active: Sequence[Raw]) -> dict[str, int]:
    """Give the size of each ReplicaSet by name when a Deployment is scaled in the middle of a rollout: each gets its share of the change.

    What is left by rounding goes to the largest one.
    """
    replicas = deployment["spec"]["replicas"]
    change = (replicas + max_surge(deployment) if replicas else 0) - total_size(active)
    if not change:
        return {one["metadata"]["name"]: size_of(one) for one in active}
    ordered = sorted(sorted(active, key=age_order, reverse=change > 0), key=size_of, reverse=True)
    sizes, added = {}, 0
    for one in ordered:
        left = change - added
        share = _calc_fraction(deployment, one)
        share = min(share, left) if change > 0 else max(share, left)
        sizes[one["metadata"]["name"]] = size_of(one) + share
        added += share
    largest = ordered[0]["metadata"]["name"]
    sizes[largest] = max(0, sizes[largest] + change - added)
    return sizes


def _calc_fraction(deployment: Raw, replica_set: Raw) -> int:
    """Give by how much a ReplicaSet would change to keep its share of the whole."""
    size, replicas = size_of(replica_set), size_of(deployment)
    if not replicas:
        return -size
    before = _parse_count(replica_set, MAX_REPLICAS) or (deployment.get("status") or {}).get("replicas", 0)
    if not before:
        return 0
    return math.floor(size * (replicas + max_surge(deployment)) / before + 0.5) - size


def age_order(replica_set: Raw) -> tuple[str, int, str]:
    """Give what to sort ReplicaSets by from old to new."""
    metadata = replica_set["metadata"]
    return metadata["creationTimestamp"], revision_of(replica_set), metadata["name"]


def revision_of(obj: Raw) -> int:
    """Give the revision that an object's annotation tells, 0 without a readable one."""
    return _parse_count(obj, REVISION) or 0


def desired_replicas(replica_set: Raw) -> int | None:
    """Give the size that the Deployment had when it last scaled this ReplicaSet, None where that is not known."""
    return _parse_count(replica_set, DESIRED_REPLICAS)


def is_saturated(deployment: Raw, replica_set: Raw) -> bool:
    """Tell whether a ReplicaSet alone has all the pods of the Deployment, all available."""
    return size_of(replica_set) == desired_replicas(replica_set) == count([replica_set], "availableReplicas") == size_of(deployment)


def scale_annotations(deployment: Raw) -> dict[str, str]:
    """Give the annotations that say for which size of the Deployment a ReplicaSet was scaled."""
    replicas = deployment["spec"]["replicas"]
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + max_surge(deployment))}


def calc_annotations(deployment: Raw, existing: Mapping[str, str], revision: int) -> dict[str, str]:
    """Give the annotations of the new ReplicaSet: the Deployment's, its revision, and, at a rollback, which ones it was before."""
    given = deployment["metadata"].get("annotations") or {}
    found = {**existing, **{key: value for key, value in given.items() if key not in _NOT_COPIED}}
    former = existing.get(REVISION, "")
    if former and not former.isdecimal():
        return found
    if int(former or 0) < revision:
        found[REVISION] = str(revision)
        if former:
            past = [one for one in existing.get(REVISION_HISTORY, "").split(",") if one] + [former]
            while len(past) > 1 and len(",".join(past)) > MAX_HISTORY_LENGTH:
                past.pop(0)
            found[REVISION_HISTORY] = ",".join(past)
    return found


def _parse_count(obj: Raw, annotation: str) -> int | None:
    text = (obj["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdecimal() else None
