"""Pods as controllers see them: made from templates and deleted, with events; active, ready, available; which of them go first.

The rules are those of pkg/controller/controller_utils.go and pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.check import check_object
from klab.api.defaults import default
from klab.controlplane.controllers.conditions import find_condition, is_true
from klab.controlplane.controllers.context import PODS, Context, parse_time
from klab.controlplane.controllers.owners import make_controller_reference
from klab.errors import AlreadyExistsError, Fault, InvalidManifestError, KlabError, NotFoundError

Object = dict[str, Any]
Raw = Mapping[str, Any]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class PodControl:
    """Makes and deletes pods for one controller, `component` in its events."""

    context: Context
    component: str

    def prepare(self, owner: Raw, template: Raw) -> Object:
        """Make a pod as `make_pod` does; if it cannot be, the owner's events say so before the error goes on."""
        try:
            return make_pod(owner, template)
        except InvalidManifestError as error:
            self.tell(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise

    def create(self, owner: Raw, pod: Object) -> Object | None:
        """Create a pod that was prepared; None in a namespace that is on its way out, where nothing is made any more."""
        if self.context.is_ending(pod["metadata"]["namespace"]):
            return None
        try:
            created = self.context.store.create(PODS, pod)
        except AlreadyExistsError as error:
            self.tell(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self.tell(owner, "Normal", "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")
        return created

    def delete(self, owner: Raw, pod: Raw) -> None:
        """Delete a pod in its own time; one that is gone is fine."""
        metadata = pod["metadata"]
        try:
            self.context.store.delete(PODS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except NotFoundError:
            return
        except KlabError as error:
            self.tell(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self.tell(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def tell(self, owner: Raw, kind: str, reason: str, message: str) -> None:
        """Record an event about `owner`."""
        self.context.recorder.record(owner, kind, reason, message, self.component)


def make_pod(owner: Raw, template: Raw, name: str = "") -> Object:
    """Give the pod that a template stands for, with all defaults, owned by `owner`, under a generated name unless one is given.

    InvalidManifestError in the words of the API where such a pod cannot be.
    """
    metadata, given = owner["metadata"], template.get("metadata") or {}
    prefix = f"{metadata['name']}-"
    pod = default(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **{key: given[key] for key in ("labels", "annotations", "finalizers") if given.get(key)},
                **({"name": name} if name else {}),
                "generateName": prefix,
                "namespace": metadata["namespace"],
                "ownerReferences": [make_controller_reference(owner)],
            },
            "spec": template.get("spec") or {},
        }
    )
    if problems := check_object(pod):
        raise InvalidManifestError([Fault(f'Pod "{name or prefix}" is invalid', path, message) for path, message in problems])
    return pod


def phase_of(pod: Raw) -> str:
    """Give status.phase, Pending where the kubelet has not spoken yet."""
    phase: str = (pod.get("status") or {}).get("phase") or "Pending"
    return phase


def is_finished(pod: Raw) -> bool:
    """Tell whether all containers ended for good."""
    return phase_of(pod) in {"Succeeded", "Failed"}


def is_going(obj: Raw) -> bool:
    """Tell whether deletion was asked for."""
    return "deletionTimestamp" in obj["metadata"]


def is_active(pod: Raw) -> bool:
    """Tell whether a pod counts as a replica: neither finished nor being deleted."""
    return not is_going(pod) and not is_finished(pod)


def is_terminating(pod: Raw) -> bool:
    """Tell whether a pod is being deleted and still runs."""
    return is_going(pod) and not is_finished(pod)


def is_ready(pod: Raw) -> bool:
    """Tell whether a pod's Ready condition is True."""
    return is_true(pod.get("status") or {}, "Ready")


def ready_since(pod: Raw) -> float:
    """Give when a ready pod became so, in seconds since 1970."""
    found = find_condition(pod["status"], "Ready")
    return parse_time(found["lastTransitionTime"]) if found and found.get("lastTransitionTime") else 0.0


def until_available(pod: Raw, min_ready: int, now: float) -> float | None:
    """Give the seconds until a pod has been ready for `min_ready` seconds, 0 where it has, None where it is not ready."""
    if not is_ready(pod):
        return None
    return max(0.0, ready_since(pod) + min_ready - now) if min_ready else 0.0


def next_available(pods: Iterable[Raw], min_ready: int, now: float) -> float | None:
    """Give the seconds until the next of the ready pods becomes available, None where there is none to wait for."""
    return min((left for pod in pods if (left := until_available(pod, min_ready, now))), default=None) if min_ready else None


def deletion_order(pod: Raw, neighbours: int, now: float) -> tuple[Any, ...]:
    """Give what to sort pods by so that those come first that are missed least (ActivePodsWithRanks).

    First the unassigned, then pending, unready, cheap ones, those with `neighbours` (pods of the same workload on their node), those ready for a
    short time, restarted often, made lately. Times count by their order of magnitude, among equals the uid decides.
    """
    ready = is_ready(pod)
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(phase_of(pod), 1),
        ready,
        _deletion_cost(pod),
        -neighbours,
        _magnitude(now - ready_since(pod)) if ready else 0,
        tuple(-count for count in _restarts(pod)),
        _magnitude(now - parse_time(pod["metadata"]["creationTimestamp"])),
        pod["metadata"]["uid"],
    )


def _deletion_cost(pod: Raw) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _magnitude(seconds: float) -> int:
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1


def _restarts(pod: Raw) -> tuple[int, int]:
    """Give the most restarts of a container, and of a sidecar."""
    status = pod.get("status") or {}
    sidecars = {one["name"] for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"}
    return (
        max((one.get("restartCount", 0) for one in status.get("containerStatuses") or ()), default=0),
        max((one.get("restartCount", 0) for one in status.get("initContainerStatuses") or () if one["name"] in sidecars), default=0),
    )
