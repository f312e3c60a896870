"""What the server says about itself: versions, groups and resources (apimachinery meta/v1 APIGroupList, APIResourceList). Pure."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import klab
from klab.apiserver.subresources import subresources_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from klab.api.resources import Registry, Resource

KUBERNETES_VERSION = (1, 33)
"""The Kubernetes whose API this is, as clients are told."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

SUBRESOURCE_KINDS = {
    "scale": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    "binding": {"kind": "Binding"},
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
}
"""Subresources whose objects are of another kind than their parent."""


def make_version() -> dict[str, str]:
    """Give /version (apimachinery version.Info)."""
    major, minor = KUBERNETES_VERSION
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": f"v{major}.{minor}.0+klab-{klab.__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "compiler": "python",
        "platform": f"linux/{machine}",
    }


def make_document(path: str, registry: Registry) -> dict[str, Any] | None:
    """Give the discovery document at a path, None where there is none."""
    match path.strip("/").split("/"):
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = dict.fromkeys(resource.group for resource in registry if resource.group)
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [make_group(group, registry) for group in groups]}
        case ["apis", group] if any(resource.group == group for resource in registry):
            return {"kind": "APIGroup", "apiVersion": "v1", **make_group(group, registry)}
        case ["api" | "apis", *version] if version:
            return make_resources("/".join(version), registry)
    return make_version() if path == "/version" else None


def make_group(group: str, registry: Registry) -> dict[str, Any]:
    """Give an APIGroup; the version that the registry names first is the preferred one."""
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in dict.fromkeys(resource.version for resource in registry if resource.group == group)
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def make_resources(api_version: str, registry: Registry) -> dict[str, Any] | None:
    """Give the APIResourceList of a version, None for an unknown one."""
    found = [resource for resource in registry if resource.api_version == api_version]
    if not found:
        return None
    entries = [entry for resource in sorted(found, key=lambda resource: resource.plural) for entry in _entries(resource)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def _entries(resource: Resource) -> Iterable[dict[str, Any]]:
    """Give a resource and its subresources."""
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    entry = {"name": resource.plural, "singularName": resource.singular, **common, "verbs": list(VERBS)}
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    for name, verbs in sorted(subresources_of(resource).items()):
        yield {"name": f"{resource.plural}/{name}", "singularName": "", **common, **SUBRESOURCE_KINDS.get(name, {}), "verbs": list(verbs)}
