"""What the server does to metadata and status when objects are created, updated and deleted (apiserver/pkg/registry/rest). Pure.

No function changes what it is given; results share what stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from klab.errors import ConflictError

if TYPE_CHECKING:
    from klab.api.resources import Resource

Object = dict[str, Any]

SERVER_FIELDS = ("uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Fields of metadata that belong to the store; what a writer says there is ignored."""

WITHOUT_GENERATION = frozenset({
    "ClusterRole", "ClusterRoleBinding", "ConfigMap", "ControllerRevision", "Endpoints", "Event", "HorizontalPodAutoscaler", "Lease", "LimitRange",
    "Namespace", "Node", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount",
    "StorageClass",
})  # fmt: skip
"""Kinds whose objects Kubernetes gives no metadata.generation."""


def render_time(moment: datetime) -> str:
    """Render an aware datetime as Kubernetes does: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_home(resource: Resource, namespace: str | None) -> str:
    """Give the namespace under which an object is filed: "" for cluster-scoped ones, `default` where none is named."""
    return (namespace or "default") if resource.namespaced else ""


def make_created(resource: Resource, obj: Mapping[str, Any], name: str, uid: str, now: str) -> Object:
    """Give a new object as it is stored: with its kind, its full name, uid, creationTimestamp and first generation."""
    given = obj.get("metadata") or {}
    metadata = {key: value for key, value in given.items() if key not in SERVER_FIELDS}
    metadata |= {"name": name, "uid": uid, "creationTimestamp": now}
    if resource.namespaced:
        metadata["namespace"] = find_home(resource, given.get("namespace"))
    else:
        metadata.pop("namespace", None)
    if resource.kind not in WITHOUT_GENERATION:
        metadata["generation"] = 1
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj, "metadata": metadata}


def make_updated(old: Object, obj: Mapping[str, Any]) -> Object:
    """Give `obj` in the place of `old`, with old's status and server fields; the generation counts changes of what is not metadata or status."""
    stored = old["metadata"]
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in SERVER_FIELDS}
    metadata |= {key: stored[key] for key in (*SERVER_FIELDS, "namespace") if key in stored}
    new = {"apiVersion": old["apiVersion"], "kind": old["kind"], **obj, "metadata": metadata}
    new.pop("status", None)
    if "status" in old:
        new["status"] = old["status"]
    if "generation" in stored and _content(new) != _content(old):
        metadata["generation"] = stored["generation"] + 1
    return new


def make_reported(old: Object, obj: Mapping[str, Any]) -> Object:
    """Give `old` with the status of `obj`."""
    new = {key: value for key, value in old.items() if key != "status"}
    if "status" in obj:
        new["status"] = obj["status"]
    return new


def make_dying(old: Object, seconds: int, deadline: str) -> Object:
    """Give `old` with the timestamp of its deletion, `seconds` of grace before it; a Namespace is Terminating."""
    metadata = {**old["metadata"], "deletionTimestamp": deadline, "deletionGracePeriodSeconds": seconds}
    if "generation" in metadata:
        metadata["generation"] += 1
    new = {**old, "metadata": metadata}
    if old["kind"] == "Namespace":
        new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return new


def finalizers_of(obj: Mapping[str, Any]) -> Sequence[str]:
    """Give what holds an object back from going; a Namespace has spec.finalizers too."""
    found = obj["metadata"].get("finalizers") or []
    return found + (obj["spec"].get("finalizers") or []) if obj["kind"] == "Namespace" and obj.get("spec") else found


def is_released(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether an update takes the last finalizer of an object that is being deleted and whose grace is over: it goes then."""
    metadata = new["metadata"]
    waits = "deletionTimestamp" in metadata and not metadata.get("deletionGracePeriodSeconds")
    return waits and bool(finalizers_of(old)) and not finalizers_of(new)


def check_preconditions(resource: Resource, old: Mapping[str, Any], uid: str | None, resource_version: str | None) -> None:
    """Raise ConflictError where the stored object is not the one, or not at the version, that the writer means."""
    stored, subject = old["metadata"], f'Operation cannot be fulfilled on {resource.qualified} "{old["metadata"]["name"]}"'
    if uid and uid != stored["uid"]:
        raise ConflictError(f"{subject}: Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}")
    if resource_version and resource_version != stored["resourceVersion"]:
        raise ConflictError(f"{subject}: the object has been modified; please apply your changes to the latest version and try again")


def calc_grace(resource: Resource, obj: Mapping[str, Any], grace: int | None) -> int:
    """Give the seconds that a deletion leaves an object: pods alone have some (registry/core/pod strategy CheckGracefulDelete)."""
    if resource.kind != "Pod":
        return 0
    spec = obj.get("spec") or {}
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    seconds: int = spec.get("terminationGracePeriodSeconds", 30) if grace is None else grace
    return 1 if seconds < 0 else seconds


def _content(obj: Mapping[str, Any]) -> Object:
    """Give what metadata.generation counts the changes of."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}
