"""Which fields of a stored object may not change: the ValidateUpdate of each kind (kubernetes pkg/apis/*/validation). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klab.api.resources import Resource

Problems = list[tuple[str, str]]

IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "ControllerRevision": ("data",),
    "DaemonSet": ("spec.selector",),
    "Deployment": ("spec.selector",),
    "EndpointSlice": ("addressType",),
    "IngressClass": ("spec.controller",),
    "Job": ("spec.selector", "spec.completionMode", "spec.podFailurePolicy", "spec.backoffLimitPerIndex", "spec.template"),
    "ReplicaSet": ("spec.selector",),
    "Secret": ("type",),
}
"""Fields that stay as they were created, by kind."""

STATEFULSET_MAY_CHANGE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
"""What of a StatefulSet's spec may change."""

POD_MAY_CHANGE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
"""What of a Pod's spec may change, in the words of updatablePodSpecFields."""


def check_update(resource: Resource, new: Mapping[str, Any], old: Mapping[str, Any]) -> Problems:
    """Give all changes from `old` to `new` that are not allowed, as (path, message)."""
    kind = resource.kind
    problems = [(path, _immutable(found)) for path in IMMUTABLE.get(kind, ()) if (found := _field(new, path)) != _field(old, path)]
    match kind:
        case "Pod":
            problems += _check_pod(new.get("spec") or {}, old.get("spec") or {})
        case "StatefulSet":
            problems += _check_stateful_set(new.get("spec") or {}, old.get("spec") or {})
        case "ConfigMap" | "Secret" if old.get("immutable"):
            problems += _check_locked(new, old)
        case "RoleBinding" | "ClusterRoleBinding" if new.get("roleRef") != old.get("roleRef"):
            problems.append(("roleRef", f"Invalid value: {_show(new.get('roleRef'))}: cannot change roleRef"))
        case "PriorityClass" if new.get("value") != old.get("value"):
            problems.append(("value", "Forbidden: may not be changed in an update."))
        case "StorageClass":
            fields = ("parameters", "provisioner", "reclaimPolicy")
            problems += [(field, f"Forbidden: updates to {field} are forbidden.") for field in fields if new.get(field) != old.get(field)]
    if old["metadata"].get("deletionTimestamp"):
        problems += _check_finalizers(new, old)
    return problems


def _check_pod(new: Mapping[str, Any], old: Mapping[str, Any]) -> Problems:
    """Compare two pod specs (ValidatePodUpdate): images may change, tolerations be added, a deadline come nearer."""
    problems: Problems = []
    allowed = dict(new)
    for field in ("containers", "initContainers"):
        before, after = old.get(field) or [], new.get(field) or []
        if len(before) != len(after):
            return [(f"spec.{field}", "Forbidden: pod updates may not add or remove containers")]
        if after:
            allowed[field] = [{**container, "image": was.get("image")} for container, was in zip(after, before, strict=True)]
    problems += _check_deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    if any(toleration not in (new.get("tolerations") or ()) for toleration in old.get("tolerations") or ()):
        problems.append(("spec.tolerations", "Forbidden: existing toleration can not be modified except its tolerationSeconds"))
    free = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        free.append("terminationGracePeriodSeconds")
    changed = list(_differences(_without(allowed, free), _without(old, free), "spec"))
    if changed:
        words = f"Forbidden: pod updates may not change fields other than {','.join(POD_MAY_CHANGE)}"
        problems.append(("spec", f"{words}\nchanged: {', '.join(changed)}"))
    return problems


def _check_deadline(new: int | None, old: int | None) -> Problems:
    """Check that activeDeadlineSeconds only comes nearer."""
    path = "spec.activeDeadlineSeconds"
    if old is None or new == old:
        return []
    if new is None:
        return [(path, "Invalid value: null: must not update from a positive integer to nil value")]
    return [(path, f"Invalid value: {new}: must be less than or equal to previous value")] if new > old else []


def _check_stateful_set(new: Mapping[str, Any], old: Mapping[str, Any]) -> Problems:
    """Compare two StatefulSet specs."""
    if _without(new, STATEFULSET_MAY_CHANGE) == _without(old, STATEFULSET_MAY_CHANGE):
        return []
    *first, last = (f"'{field}'" for field in STATEFULSET_MAY_CHANGE)
    return [("spec", f"Forbidden: updates to statefulset spec for fields other than {', '.join(first)} and {last} are forbidden")]


def _check_locked(new: Mapping[str, Any], old: Mapping[str, Any]) -> Problems:
    """Compare a ConfigMap or Secret that was made immutable."""
    words = "Forbidden: field is immutable when `immutable` is set"
    return [(field, words) for field in ("immutable", "data", "binaryData") if new.get(field) != old.get(field)]


def _check_finalizers(new: Mapping[str, Any], old: Mapping[str, Any]) -> Problems:
    """Check that an object that is being deleted gets no new finalizer."""
    before = old["metadata"].get("finalizers") or []
    added = [finalizer for finalizer in new["metadata"].get("finalizers") or () if finalizer not in before]
    words = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
    return [("metadata.finalizers", f"{words} []string{{{', '.join(json.dumps(finalizer) for finalizer in added)}}}")] if added else []


def _differences(new: Any, old: Any, path: str) -> Iterator[str]:
    """Give the paths at which two values differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(new.keys() | old.keys()):
            yield from _differences(new.get(key), old.get(key), f"{path}.{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for index, (after, before) in enumerate(zip(new, old, strict=True)):
            yield from _differences(after, before, f"{path}[{index}]")
    elif new != old and (new or old or isinstance(new, bool | int) or isinstance(old, bool | int)):
        yield path


def _field(obj: Mapping[str, Any], path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def _without(mapping: Mapping[str, Any], keys: tuple[str, ...] | list[str]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _immutable(value: Any) -> str:
    return f"Invalid value: {_show(value)}: field is immutable"


def _show(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
