"""OpenAPI, as far as kubectl asks for it: which resources there are, that PATCH takes fieldValidation, and the types for `kubectl explain`. Pure.

Version 3 has a document for each group and version, built on demand from the pruned schema of klab.api; of version 2, which old clients use to
validate by themselves, there is an empty document: they then leave the validation to the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import klab
from klab.api.resources import Registry, Resource
from klab.api.schema import Schema, builtin
from klab.apiserver.patch import types_of

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_EMPTY = b"\x0a\x032.0"
"""An OpenAPI v2 Document in protobuf that says `swagger: "2.0"` and no more."""

WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")


def make_index(registry: Registry) -> dict[str, Any]:
    """Give /openapi/v3: where the document of each group and version is."""
    roots = dict.fromkeys(_root(resource) for resource in registry)
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash={klab.__version__}"} for root in roots}}


@lru_cache(maxsize=64)
def make_document(root: str, registry: Registry) -> dict[str, Any] | None:
    """Give the document of `api/v1` or `apis/GROUP/VERSION`; None where nothing is served."""
    found = [resource for resource in registry if _root(resource) == root]
    if not found:
        return None
    schema, types = builtin(), dict[str, Any]()
    for resource in found:
        if (node := schema.kind(resource.api_version, resource.kind)) is not None:
            types[_type_name(resource)] = {**_publish(node), "x-kubernetes-group-version-kind": [_gvk(resource)]}
            _gather(schema, node, types)
    paths = {path: item for resource in found for path, item in _make_paths(resource)}
    info = {"title": "klab", "version": f"v{klab.__version__}"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": types}}


def _make_paths(resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the path of a collection and of its objects."""
    collection = resource.path("{namespace}" if resource.namespaced else None)
    common = {"x-kubernetes-group-version-kind": _gvk(resource), "responses": {"200": {"description": "OK"}}}
    body = {"schema": {"$ref": f"#/components/schemas/{_type_name(resource)}"}}
    write = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in WRITE_OPTIONS]
    yield (
        collection,
        {
            "get": {**common, "x-kubernetes-action": "list"},
            "post": {**common, "x-kubernetes-action": "post", "parameters": write, "requestBody": {"content": {"*/*": body}}},
        },
    )
    patches = {"content": {kind: {"schema": {"type": "object"}} for kind in types_of(resource)}}
    yield (
        f"{collection}/{{name}}",
        {
            "get": {**common, "x-kubernetes-action": "get"},
            "put": {**common, "x-kubernetes-action": "put", "parameters": write, "requestBody": {"content": {"*/*": body}}},
            "patch": {**common, "x-kubernetes-action": "patch", "parameters": write, "requestBody": patches},
            "delete": {**common, "x-kubernetes-action": "delete"},
        },
    )


def _gather(schema: Schema, node: Any, types: dict[str, Any]) -> None:
    """Add all types that a node refers to."""
    if isinstance(node, Mapping):
        name = node.get("$ref")
        if isinstance(name, str) and name not in types:
            target = schema.resolve({"$ref": name})
            types[name] = {}
            types[name] = _publish({key: value for key, value in target.items() if key != "$ref"})
            _gather(schema, {key: value for key, value in target.items() if key != "$ref"}, types)
        for item in node.values():
            _gather(schema, item, types)


def _publish(node: Any) -> Any:
    """Give a node with references as OpenAPI writes them."""
    if isinstance(node, Mapping):
        found = {key: _publish(item) for key, item in node.items() if key != "$ref"}
        return {**found, "allOf": [{"$ref": f"#/components/schemas/{node['$ref']}"}]} if isinstance(node.get("$ref"), str) else found
    return [_publish(item) for item in node] if isinstance(node, list) else node


def _root(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _type_name(resource: Resource) -> str:
    return f"{resource.group or 'core'}.{resource.version}.{resource.kind}"
