"""Views of an object that have paths of their own (status, scale, binding, eviction, finalize, log): who has which, how they look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from klab.api.resources import Resource
from klab.api.schema import builtin
from klab.api.selectors import Selector
from klab.errors import Fault, InvalidManifestError

if TYPE_CHECKING:
    from klab.apiserver.target import Target

SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
"""Kinds with a `scale` subresource."""

SCALE = Resource("autoscaling", "v1", "Scale", "scales", "scale")

CHANGE = ("get", "patch", "update")


@cache
def subresources_of(resource: Resource) -> Mapping[str, tuple[str, ...]]:
    """Give the subresources of a resource with the verbs that each takes."""
    found: dict[str, tuple[str, ...]] = {}
    if has_status(resource):
        found["status"] = CHANGE
    if resource.kind in SCALABLE:
        found["scale"] = CHANGE
    if resource.kind == "Namespace":
        found["finalize"] = ("update",)
    if resource.kind == "Pod":
        found |= {"binding": ("create",), "eviction": ("create",), "log": ("get",)}
    return found


def has_status(resource: Resource) -> bool:
    """Tell whether the objects have a status that is written apart."""
    node = builtin().kind(resource.api_version, resource.kind)
    return node is not None and "status" in node.get("properties", {})


def view_of(target: Target) -> Target:
    """Give the target whose kind the body of a request has: a Scale where the scale is meant."""
    return replace(target, resource=SCALE) if target.subresource == "scale" else target


def render_scale(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Show a workload as an autoscaling/v1 Scale."""
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    raw = spec.get("selector")
    selector = Selector.of_labels(raw) if obj["kind"] == "ReplicationController" else Selector.of(raw)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {"replicas": status.get("replicas", 0), "selector": str(selector)},
    }


def apply_scale(obj: Mapping[str, Any], scale: Mapping[str, Any]) -> dict[str, Any]:
    """Give a workload with the replicas of a Scale, and its resourceVersion for the optimistic lock."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise InvalidManifestError([Fault("", "spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0")])
    version = (scale.get("metadata") or {}).get("resourceVersion") or obj["metadata"]["resourceVersion"]
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}, "spec": {**obj["spec"], "replicas": replicas}}


def apply_binding(pod: Mapping[str, Any], binding: Mapping[str, Any], now: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a pod's spec and status with the node that a v1 Binding names (registry/core/pod/storage setPodHostAndAnnotations)."""
    node = (binding.get("target") or {}).get("name")
    if not node:
        raise InvalidManifestError([Fault("", "target.name", "Required value")])
    status = pod.get("status") or {}
    others = [condition for condition in status.get("conditions") or () if condition.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    return {**(pod.get("spec") or {}), "nodeName": node}, {**status, "conditions": [*others, scheduled]}
