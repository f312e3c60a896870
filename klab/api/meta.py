"""metadata, common to all objects: helpers over plain mappings and a typed view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, lossless, as it came from YAML or JSON."""


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """An object that this one belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool


@dataclass(frozen=True, slots=True)
class Meta:
    """Typed view of `metadata`; `namespace` is "" for cluster-scoped objects, times are RFC 3339 text, "" where unset."""

    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    resource_version: str
    generation: int
    creation_timestamp: str
    deletion_timestamp: str
    deletion_grace_period_seconds: int | None
    finalizers: tuple[str, ...]
    owner_references: tuple[OwnerReference, ...]

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Meta:
        """Read the metadata of `obj`."""
        meta = obj.get("metadata") or {}
        owners = meta.get("ownerReferences") or ()
        return cls(
            meta.get("name") or "",
            meta.get("namespace") or "",
            meta.get("uid") or "",
            meta.get("labels") or {},
            meta.get("annotations") or {},
            meta.get("resourceVersion") or "",
            meta.get("generation") or 0,
            meta.get("creationTimestamp") or "",
            meta.get("deletionTimestamp") or "",
            meta.get("deletionGracePeriodSeconds"),
            tuple(meta.get("finalizers") or ()),
            tuple(
                OwnerReference(
                    owner.get("apiVersion", ""), owner.get("kind", ""), owner.get("name", ""), owner.get("uid", ""), bool(owner.get("controller"))
                )
                for owner in owners
            ),
        )

    @property
    def controller(self) -> OwnerReference | None:
        """Give the managing controller (metav1.GetControllerOf)."""
        return next((owner for owner in self.owner_references if owner.controller), None)


def name_of(obj: Mapping[str, Any]) -> str:
    """Give metadata.name, "" where there is none."""
    return _text(obj, "name")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """Give metadata.namespace, "" where there is none."""
    return _text(obj, "namespace")


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Give metadata.labels."""
    meta = obj.get("metadata")
    labels = meta.get("labels") if isinstance(meta, dict) else None
    return labels if isinstance(labels, dict) else {}


def describe(obj: Mapping[str, Any]) -> str:
    """Name an object for a person: `Pod default/web`, `Node node1`, `Lab deep-dive`."""
    name = "/".join(part for part in (namespace_of(obj), name_of(obj)) if part)
    return " ".join(part for part in (str(obj.get("kind") or ""), name) if part)


def _text(obj: Mapping[str, Any], field: str) -> str:
    meta = obj.get("metadata")
    value = meta.get(field) if isinstance(meta, dict) else None
    return value if isinstance(value, str) else ""
