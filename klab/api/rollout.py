"""How far a rollout is, in the words of `kubectl rollout status` (kubectl pkg/polymorphichelpers/rollout_status.go)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klab.errors import KlabError

REVISION = "deployment.kubernetes.io/revision"
"""The annotation of a Deployment and its ReplicaSets that counts the rollouts."""

_TIMED_OUT = "ProgressDeadlineExceeded"


def calc_rollout_status(obj: Mapping[str, Any], revision: int = 0) -> tuple[str, bool]:
    """Give the line that tells how far the rollout of `obj` is, and whether it is done.

    KlabError where it cannot become done: another revision than the one asked for (0: any) is rolled out, the progress deadline is over, the
    strategy is OnDelete, or the kind has no rollouts.
    """
    kind = str(obj.get("kind"))
    calc = _STATUS.get(kind)
    if calc is None:
        raise KlabError(f"no status viewer has been implemented for {group_kind(obj)}")
    return calc(obj, revision)


def group_kind(obj: Mapping[str, Any]) -> str:
    """Give kind and group as Go prints a GroupKind: `Pod`, `ReplicaSet.apps`."""
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    return f"{obj.get('kind')}.{group}" if group else str(obj.get("kind"))


def _of_deployment(deployment: Mapping[str, Any], revision: int) -> tuple[str, bool]:
    metadata, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    name = metadata["name"]
    if revision:
        running = int((metadata.get("annotations") or {}).get(REVISION) or 0)
        if running != revision:
            raise KlabError(f"desired revision ({revision}) is different from the running revision ({running})")
    if _is_unobserved(deployment):
        return "Waiting for deployment spec update to be observed...", False
    if any(one.get("type") == "Progressing" and one.get("reason") == _TIMED_OUT for one in status.get("conditions") or ()):
        raise KlabError(f'deployment "{name}" exceeded its progress deadline')
    wished, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    replicas, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wished:
        return f"{waiting} {updated} out of {wished} new replicas have been updated...", False
    if replicas > updated:
        return f"{waiting} {replicas - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting} {available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _of_daemon_set(daemon_set: Mapping[str, Any], revision: int) -> tuple[str, bool]:
    del revision  # kubectl does not look at it either
    _check_strategy(daemon_set)
    status, name = daemon_set.get("status") or {}, daemon_set["metadata"]["name"]
    if _is_unobserved(daemon_set):
        return "Waiting for daemon set spec update to be observed...", False
    wished, updated, available = (status.get(field, 0) for field in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"))
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wished:
        return f"{waiting} {updated} out of {wished} new pods have been updated...", False
    if available < wished:
        return f"{waiting} {available} of {wished} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


def _of_stateful_set(stateful_set: Mapping[str, Any], revision: int) -> tuple[str, bool]:
    del revision  # kubectl does not look at it either
    _check_strategy(stateful_set)
    spec, status = stateful_set.get("spec") or {}, stateful_set.get("status") or {}
    wished, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    if not status.get("observedGeneration") or _is_unobserved(stateful_set):
        return "Waiting for statefulset spec update to be observed...", False
    if status.get("readyReplicas", 0) < wished:
        return f"Waiting for {wished - status.get('readyReplicas', 0)} pods to be ready...", False
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate")
    if rolling is not None:
        moving = wished - rolling.get("partition", 0)
        if updated < moving:
            return f"Waiting for partitioned roll out to finish: {updated} out of {moving} new pods have been updated...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    current, update = status.get("currentRevision", ""), status.get("updateRevision", "")
    if update != current:
        return f"waiting for statefulset rolling update to complete {updated} pods at revision {update}...", False
    return f"statefulset rolling update complete {status.get('currentReplicas', 0)} pods at revision {current}...", True


_STATUS: Mapping[str, Callable[[Mapping[str, Any], int], tuple[str, bool]]] = {
    "Deployment": _of_deployment,
    "DaemonSet": _of_daemon_set,
    "StatefulSet": _of_stateful_set,
}


def _is_unobserved(obj: Mapping[str, Any]) -> bool:
    """Tell whether the controller has not yet seen the spec as it is."""
    return bool(obj["metadata"].get("generation", 0) > (obj.get("status") or {}).get("observedGeneration", 0))


def _check_strategy(obj: Mapping[str, Any]) -> None:
    if ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        raise KlabError("rollout status is only available for RollingUpdate strategy type")
