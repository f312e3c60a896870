"""Kinds of API versions that Kubernetes no longer serves, read as those that took their place, with the warning that its API server gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klab.api.meta import Object

INGRESS_VERSION = "networking.k8s.io/v1"
_REMOVED = {"extensions/v1beta1": ("Ingress",), "networking.k8s.io/v1beta1": ("Ingress", "IngressClass")}
_SINCE = {"extensions/v1beta1": "v1.14+", "networking.k8s.io/v1beta1": "v1.19+"}


def convert(obj: Object) -> tuple[Object, str]:
    """Give an object in a version that is served, and the deprecation warning; any other as it is, and ""."""
    version, kind = obj["apiVersion"], obj["kind"]
    if kind not in _REMOVED.get(version, ()):
        return obj, ""
    warning = f"{version} {kind} is deprecated in {_SINCE[version]}, unavailable in v1.22+; use {INGRESS_VERSION} {kind}"
    converted = {**obj, "apiVersion": INGRESS_VERSION}
    if kind == "Ingress" and isinstance(spec := obj.get("spec"), dict):
        converted["spec"] = _spec(spec)
    return converted, warning


def _spec(spec: Mapping[str, Any]) -> Object:
    """Convert an IngressSpec (pkg/apis/networking/v1beta1/conversion.go); what has another shape is left for validation to find."""
    converted = {key: value for key, value in spec.items() if key not in {"backend", "rules"}}
    if "backend" in spec:
        converted["defaultBackend"] = _backend(spec["backend"])
    if "rules" in spec:
        converted["rules"] = [_rule(rule) for rule in spec["rules"]] if isinstance(spec["rules"], list) else spec["rules"]
    return converted


def _rule(rule: Any) -> Any:
    http = rule.get("http") if isinstance(rule, dict) else None
    if not isinstance(http, dict) or not isinstance(http.get("paths"), list):
        return rule
    return {**rule, "http": {**http, "paths": [_path(path) for path in http["paths"]]}}


def _path(path: Any) -> Any:
    """Convert a path; pathType, of later versions of v1beta1, was ImplementationSpecific by default."""
    if not isinstance(path, dict):
        return path
    converted = {"pathType": "ImplementationSpecific", **path}
    return converted | ({"backend": _backend(path["backend"])} if "backend" in path else {})


def _backend(backend: Any) -> Any:
    if not isinstance(backend, dict) or not {"serviceName", "servicePort"} & backend.keys():
        return backend
    port = backend.get("servicePort")
    service: Object = {"name": backend["serviceName"]} if "serviceName" in backend else {}
    if port is not None:
        service["port"] = {"name" if isinstance(port, str) else "number": port}
    return {**{key: value for key, value in backend.items() if key not in {"serviceName", "servicePort"}}, "service": service}
