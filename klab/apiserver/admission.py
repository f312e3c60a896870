"""What stands between a request and the store: an object is prepared, defaulted, completed by allocators, then judged.

The steps are kube-apiserver's: the resource's strategy (PrepareForCreate, PrepareForUpdate), defaults, mutating admission, validation. Each is
a pure function of a Review and the object; it gives the object to go on with, or raises an error of klab.errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from klab.api.check import check_object
from klab.api.defaults import default
from klab.apiserver.immutable import check_update
from klab.apiserver.subresources import has_status
from klab.errors import Fault, InvalidManifestError

if TYPE_CHECKING:
    from klab.api.resources import Resource
    from klab.controlplane.store import Store

Operation = Literal["CREATE", "UPDATE"]

FIRST_STATUS: Mapping[str, Mapping[str, Any]] = {
    "DaemonSet": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0},
    "Ingress": {"loadBalancer": {}},
    "PodDisruptionBudget": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"availableReplicas": 0, "replicas": 0},
}
"""The status of a new object by its kind, as the API shows it before a controller has seen it; of other kinds it is what the defaults say."""

KEEPS_STATUS = ("Node", "Lab")
"""Kinds whose creator has a say in the status: a kubelet registers its node with it."""

NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Review:
    """One attempt to write: what is done, the stored object that is replaced (None: there is none), and the store to look things up in."""

    operation: Operation
    resource: Resource
    old: dict[str, Any] | None
    subresource: str | None
    store: Store


Admit = Callable[[Review, dict[str, Any]], dict[str, Any]]


def run_chain(chain: Sequence[Admit], review: Review, obj: dict[str, Any]) -> dict[str, Any]:
    """Send an object through all steps; give what is to be stored."""
    for admit in chain:
        obj = admit(review, obj)
    return obj


def make_chain(*mutators: Admit) -> tuple[Admit, ...]:
    """Give the whole chain, with `mutators` (the allocators) where mutating admission has its place."""
    return (prepare, fill_defaults, *mutators, judge)


def fill_defaults(_review: Review, obj: dict[str, Any]) -> dict[str, Any]:
    """Fill in what a manifest may leave out."""
    return default(obj)


def prepare(review: Review, obj: dict[str, Any]) -> dict[str, Any]:
    """Set what a writer has no say in: a new object's status, a namespace's label and finalizer (registry/*/strategy.go)."""
    kind = review.resource.kind
    if review.subresource == "status":
        return obj
    if kind == "Namespace":
        obj = _prepare_namespace(obj, review)
    if review.operation == "UPDATE" or kind in KEEPS_STATUS:
        return obj
    obj = {key: value for key, value in obj.items() if key != "status"}
    if has_status(review.resource):
        obj["status"] = FIRST_STATUS.get(kind, {})
    return obj


def judge(review: Review, obj: dict[str, Any]) -> dict[str, Any]:
    """Raise InvalidManifestError with all that is wrong with an object, and with the way it changes."""
    problems = list(check_object(obj))
    if review.old is not None and review.subresource is None:
        problems += check_update(review.resource, obj, review.old)
    raise_problems(problems)
    return obj


def raise_problems(problems: Sequence[tuple[str, str]]) -> None:
    """Raise InvalidManifestError for problems (path, message), if there are any."""
    if problems:
        raise InvalidManifestError([Fault("", path, message) for path, message in problems])


def _prepare_namespace(obj: dict[str, Any], review: Review) -> dict[str, Any]:
    """Label a namespace with its name; its finalizers are kept, but for the `finalize` subresource."""
    metadata = obj["metadata"]
    labels = {**(metadata.get("labels") or {}), NAMESPACE_LABEL: metadata["name"]}
    finalizers = ["kubernetes"] if review.old is None else (review.old.get("spec") or {}).get("finalizers", [])
    if review.subresource == "finalize":
        finalizers = (obj.get("spec") or {}).get("finalizers", [])
    return {**obj, "metadata": {**metadata, "labels": labels}, "spec": {**(obj.get("spec") or {}), "finalizers": finalizers}}
