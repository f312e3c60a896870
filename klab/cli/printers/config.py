"""The rows of configuration, storage, policy and access objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from klab.cli.printers.table import Columns, Object, columns
from klab.cli.printers.values import NONE, UNSET, age, dig

_ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_SUBJECTS = "USERS  GROUPS  SERVICEACCOUNTS"
_METRIC_LIMIT = 2


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _config_map(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)


def _secret(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)


def _service_account(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), len(obj.get("secrets") or ()), age(obj, now)


def _resource_quota(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    hard, used = dig(obj, "status", "hard", default={}), dig(obj, "status", "used", default={})
    cells = [(name, f"{name}: {used.get(name, 0)}/{hard[name]}") for name in sorted(hard)]
    requests = ", ".join(text for name, text in cells if not name.startswith("limits."))
    limits = ", ".join(text for name, text in cells if name.startswith("limits."))
    return _name(obj), requests, limits, age(obj, now)


def _persistent_volume(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    spec, claim = obj.get("spec") or {}, dig(obj, "spec", "claimRef")
    return (
        _name(obj),
        dig(spec, "capacity", "storage", default="0"),
        _access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        dig(obj, "status", "reason", default=""),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    )


def _persistent_volume_claim(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    spec = obj.get("spec") or {}
    bound = bool(spec.get("volumeName"))
    return (
        _name(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        dig(obj, "status", "capacity", "storage", default="0") if bound else "",
        _access_modes(dig(obj, "status", "accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    )


def _phase(obj: Object) -> str:
    return "Terminating" if dig(obj, "metadata", "deletionTimestamp") else str(dig(obj, "status", "phase", default=""))


def _access_modes(modes: Sequence[str] | None) -> str:
    return ",".join(short for mode, short in _ACCESS_MODES.items() if mode in (modes or ()))


def _storage_class(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    default = dig(obj, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class") == "true"
    return (
        _name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    )


def _pod_disruption_budget(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    bounds = (dig(obj, "spec", field, default="N/A") for field in ("minAvailable", "maxUnavailable"))
    return _name(obj), *bounds, dig(obj, "status", "disruptionsAllowed", default=0), age(obj, now)


def _autoscaler(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    target = dig(obj, "spec", "scaleTargetRef", default={})
    return (
        _name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        metrics_text(obj),
        dig(obj, "spec", "minReplicas", default=UNSET),
        dig(obj, "spec", "maxReplicas", default=0),
        dig(obj, "status", "currentReplicas", default=0),
        age(obj, now),
    )


def metrics_text(autoscaler: Object) -> str:
    """Give the TARGETS of a HorizontalPodAutoscaler as `cpu: 12%/50%`, current over target, at most two of them."""
    current = dig(autoscaler, "status", "currentMetrics", default=())
    specs = _metric_specs(autoscaler)
    texts = [_metric(spec, current[at] if at < len(current) else _autoscaling_v1_metric(autoscaler)) for at, spec in enumerate(specs)]
    if not texts:
        return NONE
    more = f" + {len(texts) - _METRIC_LIMIT} more..." if len(texts) > _METRIC_LIMIT else ""
    return ", ".join(texts[:_METRIC_LIMIT]) + more


def _metric_specs(autoscaler: Object) -> Sequence[Object]:
    """Give `spec.metrics`; autoscaling/v1 has one CPU percentage instead."""
    percentage = dig(autoscaler, "spec", "targetCPUUtilizationPercentage")
    if percentage is not None:
        return ({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": percentage}}},)
    found: Sequence[Object] = dig(autoscaler, "spec", "metrics", default=())
    return found


def _autoscaling_v1_metric(autoscaler: Object) -> Object:
    utilization = dig(autoscaler, "status", "currentCPUUtilizationPercentage")
    return {} if utilization is None else {"resource": {"current": {"averageUtilization": utilization}}}


def _metric(spec: Object, status: Object) -> str:
    kind = spec.get("type", "")
    field = kind[:1].lower() + kind[1:]
    target, current = dig(spec, field, "target", default={}), dig(status, field, "current", default={})
    prefix = f"{dig(spec, field, 'name', default='')}: " if kind in ("Resource", "ContainerResource") else ""
    if "averageValue" in target:
        suffix = " (avg)" if kind in ("Object", "External") else ""
        return f"{prefix}{current.get('averageValue', '<unknown>')}/{target['averageValue']}{suffix}"
    if prefix:
        return f"{prefix}{_percent(current.get('averageUtilization'), '<unknown>')}/{_percent(target.get('averageUtilization'), '<auto>')}"
    return f"{current.get('value', '<unknown>')}/{target.get('value', '')}"


def _percent(value: Any, otherwise: str) -> str:
    return otherwise if value is None else f"{value}%"


def _priority_class(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), obj.get("value", 0), obj.get("globalDefault", False), age(obj, now), obj.get("preemptionPolicy", "")


def _role_binding(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    subjects = obj.get("subjects") or ()
    users, groups = (", ".join(one["name"] for one in subjects if one.get("kind") == kind) for kind in ("User", "Group"))
    accounts = ", ".join(f"{one.get('namespace', '')}/{one['name']}" for one in subjects if one.get("kind") == "ServiceAccount")
    return _name(obj), f"{dig(obj, 'roleRef', 'kind')}/{dig(obj, 'roleRef', 'name')}", age(obj, now), users, groups, accounts


def _created(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del now, wide
    return _name(obj), dig(obj, "metadata", "creationTimestamp", default="")


def _controller_revision(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    owner = next((one for one in dig(obj, "metadata", "ownerReferences", default=()) if one.get("controller")), None)
    controller = NONE
    if owner:
        group = owner["apiVersion"].rpartition("/")[0]
        controller = f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"
    return _name(obj), controller, obj.get("revision", 0), age(obj, now)


TABLES: dict[str, Columns] = {
    "ConfigMap": columns("NAME  DATA  AGE", _config_map),
    "Secret": columns("NAME  TYPE  DATA  AGE", _secret),
    "ServiceAccount": columns("NAME  SECRETS  AGE", _service_account),
    "ResourceQuota": columns("NAME  REQUEST  LIMIT  AGE", _resource_quota),
    "LimitRange": columns("NAME  CREATED AT", _created),
    "PersistentVolume": columns(
        "NAME  CAPACITY  ACCESS MODES  RECLAIM POLICY  STATUS  CLAIM  STORAGECLASS  VOLUMEATTRIBUTESCLASS  REASON  AGE  VOLUMEMODE",
        _persistent_volume,
        "VOLUMEMODE",
    ),
    "PersistentVolumeClaim": columns(
        "NAME  STATUS  VOLUME  CAPACITY  ACCESS MODES  STORAGECLASS  VOLUMEATTRIBUTESCLASS  AGE  VOLUMEMODE", _persistent_volume_claim, "VOLUMEMODE"
    ),
    "StorageClass": columns("NAME  PROVISIONER  RECLAIMPOLICY  VOLUMEBINDINGMODE  ALLOWVOLUMEEXPANSION  AGE", _storage_class),
    "PodDisruptionBudget": columns("NAME  MIN AVAILABLE  MAX UNAVAILABLE  ALLOWED DISRUPTIONS  AGE", _pod_disruption_budget),
    "HorizontalPodAutoscaler": columns("NAME  REFERENCE  TARGETS  MINPODS  MAXPODS  REPLICAS  AGE", _autoscaler),
    "PriorityClass": columns("NAME  VALUE  GLOBAL-DEFAULT  AGE  PREEMPTIONPOLICY", _priority_class),
    "RoleBinding": columns("NAME  ROLE  AGE  USERS  GROUPS  SERVICEACCOUNTS", _role_binding, _SUBJECTS),
    "ClusterRoleBinding": columns("NAME  ROLE  AGE  USERS  GROUPS  SERVICEACCOUNTS", _role_binding, _SUBJECTS),
    "Role": columns("NAME  CREATED AT", _created),
    "ClusterRole": columns("NAME  CREATED AT", _created),
    "CustomResourceDefinition": columns("NAME  CREATED AT", _created),
    "ControllerRevision": columns("NAME  CONTROLLER  REVISION  AGE", _controller_revision),
}
