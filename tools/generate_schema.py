"""Write klab/api/schema.json.gz: the published OpenAPI schema of Kubernetes, pruned to the kinds that klab accepts.

    python tools/generate_schema.py [VERSION]

Needs `go`: the Go module k8s.io/kubernetes holds api/openapi-spec/swagger.json, and the enumerations (which the published
document leaves out) in pkg/generated/openapi/zz_generated.openapi.go. Kept of each type: properties, types, required fields,
enumerations, formats and merge keys; descriptions go. The result depends on VERSION alone.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from klab.api.resources import BUILTIN

VERSION = "v1.36.3"
TARGET = Path(__file__).parents[1] / "klab" / "api" / "schema.json.gz"
SUBRESOURCES = (("autoscaling/v1", "Scale"), ("policy/v1", "Eviction"), ("v1", "Binding"), ("authentication.k8s.io/v1", "TokenRequest"))
"""Bodies of requests to pods/eviction, deployments/scale and so on: no resources, but checked like them."""
KEPT = (
    "type", "format", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy",
)  # fmt: skip
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"

Schema = dict[str, Any]


def main(version: str = VERSION) -> None:
    """Download the module, prune, write, and say how large it is."""
    module = Path(json.loads(subprocess.check_output(["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"], text=True))["Dir"])
    definitions: dict[str, Schema] = json.loads((module / "api/openapi-spec/swagger.json").read_text())["definitions"]
    enumerations = parse_enumerations((module / "pkg/generated/openapi/zz_generated.openapi.go").read_text())
    kinds = find_kinds(definitions)
    types = {short(name): prune(name, definitions[name], enumerations) for name in sorted(reachable(definitions, kinds.values()))}
    document = {"version": version, "kinds": {kind: short(name) for kind, name in sorted(kinds.items())}, "types": types}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    TARGET.write_bytes(gzip.compress(text, mtime=0))
    print(f"{TARGET}: {len(kinds)} kinds, {len(types)} types, {len(text)} bytes, {TARGET.stat().st_size} compressed")


def find_kinds(definitions: dict[str, Schema]) -> dict[str, str]:
    """Map "apps/v1/Deployment" to the name of its definition, for every kind of klab's table that Kubernetes has."""
    defined = {}
    for name, definition in definitions.items():
        for entry in definition.get("x-kubernetes-group-version-kind", ()):
            group = f"{entry['group']}/" if entry["group"] else ""
            defined.setdefault(f"{group}{entry['version']}/{entry['kind']}", name)
    wanted = [(resource.api_version, resource.kind) for resource in BUILTIN if resource.group != "klab.dev"]
    return {f"{version}/{kind}": defined[f"{version}/{kind}"] for version, kind in (*wanted, *SUBRESOURCES)}


def reachable(definitions: dict[str, Schema], roots: Any) -> set[str]:
    """Give the names of all definitions that `roots` refer to, with themselves."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(references(definitions[name]))
    return found


def references(schema: Any) -> Iterator[str]:
    """Walk over the names of the definitions that `schema` refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield definition_name(schema["$ref"])
        for value in schema.values():
            yield from references(value)


def prune(name: str, schema: Schema, enumerations: dict[tuple[str, str], list[str]]) -> Schema:
    """Give a definition with what validation and merging need."""
    if name == QUANTITY:
        return {"type": "string", "format": "quantity"}
    pruned = prune_node(schema)
    for field, node in pruned.get("properties", {}).items():
        if values := enumerations.get((type_name(name), field)):
            (node["items"] if node.get("type") == "array" else node)["enum"] = values
    return pruned


def prune_node(schema: Schema) -> Schema:
    """Give one node of a schema without its prose."""
    kept = {"$ref": short(definition_name(schema["$ref"]))} if "$ref" in schema else {}
    kept |= {key: schema[key] for key in KEPT if key in schema}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = prune_node(schema[key])
    if "properties" in schema:
        kept["properties"] = {field: prune_node(node) for field, node in schema["properties"].items()}
    return kept


def parse_enumerations(source: str) -> dict[tuple[str, str], list[str]]:
    """Read the enumerations from the generated Go source: (type, field) -> values, the type as `core_v1_ContainerPort`."""
    found = {}
    type_, field = "", ""
    for line in source.splitlines():
        if start := re.match(r"func schema_(?:k8sio_|pkg_)?(?:api_|apis_)?(\w+?)\(", line):
            type_ = start[1]
        elif start := re.match(r'\t{5}"([^"]+)": \{', line):
            field = start[1]
        elif start := re.match(r"\t+Enum: +\[\]interface\{\}\{(.*)\},", line):
            found[type_, field] = json.loads(f"[{start[1]}]")
    return found


def definition_name(reference: str) -> str:
    """Give the definition that `#/definitions/...` names."""
    return reference.removeprefix("#/definitions/")


def type_name(name: str) -> str:
    """Give the name that the generated Go source has for an API type: io.k8s.api.core.v1.Pod -> core_v1_Pod."""
    return name.removeprefix("io.k8s.api.").replace(".", "_")


def short(name: str) -> str:
    """Shorten a definition's name: io.k8s.api.core.v1.Pod -> core.v1.Pod."""
    for prefix in ("io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.", "io.k8s.apiextensions-apiserver.pkg.apis."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


if __name__ == "__main__":
    main(*sys.argv[1:])
