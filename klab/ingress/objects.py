"""Typed views of networking.k8s.io/v1 Ingress and IngressClass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.meta import Meta

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
"""How a class was named before spec.ingressClassName."""
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
EXACT = "Exact"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackendRef:
    """Where a path leads: a Service and its port by number or name; `resource` is "Kind/name" where it is another object, else ""."""

    service: str
    port: int | str
    resource: str = ""

    @classmethod
    def of(cls, raw: Raw) -> BackendRef:
        """Read an IngressBackend."""
        service, resource = raw.get("service") or {}, raw.get("resource") or {}
        port = service.get("port") or {}
        kind = f"{resource.get('kind', '')}/{resource.get('name', '')}" if resource else ""
        return cls(service.get("name") or "", port.get("number") or port.get("name") or "", kind)


@dataclass(frozen=True, slots=True)
class Path:
    """One entry of a rule's paths; `path` "" means all paths."""

    path: str
    path_type: str
    backend: BackendRef


@dataclass(frozen=True, slots=True)
class Rule:
    """The paths of one host; `host` "" means any, "*.foo.com" any with one label more."""

    host: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate's Secret and the hosts that it is for."""

    hosts: tuple[str, ...]
    secret: str


@dataclass(frozen=True, slots=True)
class Ingress:
    """An Ingress; `class_name` is that of the annotation where spec.ingressClassName is not set, "" where neither is."""

    meta: Meta
    class_name: str
    default: BackendRef | None
    rules: tuple[Rule, ...]
    tls: tuple[Tls, ...]

    @classmethod
    def of(cls, obj: Raw) -> Ingress:
        """Read an Ingress that passed validation."""
        meta, spec = Meta.of(obj), obj.get("spec") or {}
        default = spec.get("defaultBackend")
        return cls(
            meta=meta,
            class_name=spec.get("ingressClassName") or meta.annotations.get(CLASS_ANNOTATION, ""),
            default=BackendRef.of(default) if default else None,
            rules=tuple(_rule(raw) for raw in spec.get("rules") or ()),
            tls=tuple(Tls(tuple(host.lower() for host in raw.get("hosts") or ()), raw.get("secretName") or "") for raw in spec.get("tls") or ()),
        )


@dataclass(frozen=True, slots=True)
class IngressClass:
    """Which controller serves the Ingresses of a class; `default` marks the class of those that name none."""

    meta: Meta
    controller: str
    default: bool

    @classmethod
    def of(cls, obj: Raw) -> IngressClass:
        """Read an IngressClass."""
        meta = Meta.of(obj)
        return cls(meta, (obj.get("spec") or {}).get("controller") or "", meta.annotations.get(DEFAULT_CLASS_ANNOTATION) == "true")


def _rule(raw: Raw) -> Rule:
    paths = (raw.get("http") or {}).get("paths") or ()
    return Rule((raw.get("host") or "").lower(), tuple(Path(one.get("path") or "", one["pathType"], BackendRef.of(one["backend"])) for one in paths))
