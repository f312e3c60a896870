"""Validation against the published OpenAPI schema of Kubernetes, pruned into schema.json.gz by tools/generate_schema.py.

A type is compiled into nested functions when it is first met. A check returns its faults as (relative path, message), None where
there are none, so that a correct object costs no path building.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from klab.api.nearest import did_you_mean
from klab.api.quantity import is_quantity, parse_quantity

Faults = list[tuple[str, str]]
Check = Callable[[Any], Faults | None]
Node = Mapping[str, Any]

REQUIRED = "Required value"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)").fullmatch
_INT32 = range(-(1 << 31), 1 << 31)
_INT64 = range(-(1 << 63), 1 << 63)
_EXPECTED = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "a boolean", "object": "an object", "array": "a list"}


class Schema:
    """Types by name and kinds by apiVersion; `validate` compiles what it needs."""

    def __init__(self, kinds: Mapping[str, str], types: Mapping[str, Node]) -> None:
        """Take `kinds` ("apps/v1/Deployment" -> type name) and `types` (name -> OpenAPI schema)."""
        self._kinds = kinds
        self._types = types
        self._checks: dict[str, Check] = {}

    def including(self, api_version: str, kind: str, node: Node) -> Schema:
        """Give a schema that knows one more kind, a custom resource for example."""
        name = f"{api_version}/{kind}"
        return Schema({**self._kinds, name: name}, {**self._types, name: node})

    def kind(self, api_version: str, kind: str) -> Node | None:
        """Give the schema of a kind, None for an unknown one."""
        name = self._kinds.get(f"{api_version}/{kind}")
        return None if name is None else self._types[name]

    def resolve(self, node: Node) -> Node:
        """Follow a reference; what stands beside `$ref` stays."""
        reference = node.get("$ref")
        return node if reference is None else {**self._types[reference], **node}

    def validate(self, obj: Mapping[str, Any]) -> Faults:
        """Give every fault of `obj` as (path, message), [] if there is none; the kind must be a known one."""
        name = self._kinds.get(f"{obj.get('apiVersion')}/{obj.get('kind')}")
        if name is None:
            return [("kind", f'no schema for kind "{obj.get("kind")}" in version "{obj.get("apiVersion")}"')]
        found = self._check(name)(obj)
        # What klab's own parts write into status may be incomplete, as in Kubernetes, where nothing there is required.
        return [] if not found else [(path[1:], text) for path, text in found if text != REQUIRED or not path.startswith(".status.")]

    def _check(self, name: str) -> Check:
        check = self._checks.get(name)
        if check is None:
            check = self._checks[name] = self.compile(self._types[name])
        return check

    def compile(self, node: Node) -> Check:
        """Turn a schema into a function that checks a value."""
        if "$ref" in node:
            return partial(self._check_reference, node["$ref"])
        kind = node.get("type")
        if kind == "object" and "properties" in node:
            return self._compile_object(node)
        if kind == "object" and isinstance(node.get("additionalProperties"), Mapping):
            return self._compile_map(self.compile(node["additionalProperties"]))
        if kind == "array" and "items" in node:
            return self._compile_list(self.compile(node["items"]))
        return _compile_scalar(node) if kind else _accept

    def _check_reference(self, name: str, value: Any) -> Faults | None:
        return self._check(name)(value)

    def _compile_object(self, node: Node) -> Check:
        fields = _Fields(self, node)
        required = _required(node)
        check_missing_spec = self._compile_missing_spec(node)

        def check(value: Any) -> Faults | None:
            if not isinstance(value, dict):
                return [("", _wrong_type(value, "an object"))]
            faults: Faults = []
            for key, item in value.items():
                if (item is not None or key not in fields.properties) and (found := fields[key](item)):
                    faults.extend((f".{key}{path}", text) for path, text in found)
            faults.extend((f".{key}", REQUIRED) for key, nullable in required if key not in value or (value[key] is None and not nullable))
            if check_missing_spec and value.get("spec") is None:
                faults.extend((f".spec{path}", text) for path, text in check_missing_spec({}) or ())
            return faults or None

        return check

    def _compile_missing_spec(self, node: Node) -> Check | None:
        """Check an absent spec like an empty one where something in it is required: a Pod without spec lacks spec.containers."""
        spec = node["properties"].get("spec")
        required = spec is not None and "spec" not in node.get("required", ()) and self.resolve(spec).get("required")
        return self.compile(spec) if required else None

    @staticmethod
    def _compile_map(check_item: Check) -> Check:
        def check(value: Any) -> Faults | None:
            if not isinstance(value, dict):
                return [("", _wrong_type(value, "an object"))]
            return _gather((f"[{key}]", check_item(item)) for key, item in value.items())

        return check

    @staticmethod
    def _compile_list(check_item: Check) -> Check:
        def check(value: Any) -> Faults | None:
            if not isinstance(value, list):
                return [("", _wrong_type(value, "a list"))]
            return _gather((f"[{index}]", check_item(item)) for index, item in enumerate(value))

        return check


class _Fields(dict[str, Check]):
    """The checks of an object's fields, compiled when first met."""

    def __init__(self, schema: Schema, node: Node) -> None:
        super().__init__()
        self.properties: Mapping[str, Node] = node["properties"]
        self._schema = schema
        self._keeps_unknown = bool(node.get("x-kubernetes-preserve-unknown-fields"))

    def __missing__(self, key: str) -> Check:
        if key in self.properties:
            check = self[key] = self._schema.compile(self.properties[key])
            return check
        if self._keeps_unknown:
            return _accept
        return lambda _: [("", f'unknown field "{key}"{did_you_mean(str(key), self.properties)}')]


def validate(obj: Mapping[str, Any]) -> Faults:
    """Give every fault of `obj` against the schema of its kind as (path, message), [] if there is none."""
    return builtin().validate(obj)


@cache
def builtin() -> Schema:
    """Load the schema of all kinds that klab knows (about 3 ms, once)."""
    from klab.api.lab_schema import LAB  # noqa: PLC0415  with its addresses it is only needed here

    document = json.loads(gzip.decompress(Path(__file__).with_name("schema.json.gz").read_bytes()))
    return Schema(document["kinds"], document["types"]).including("klab.dev/v1", "Lab", LAB)


def _required(node: Node) -> tuple[tuple[str, bool], ...]:
    """Give the required fields, each with whether an explicit null will do (Go's nil slice or map)."""
    properties = node["properties"]
    return tuple((key, properties[key].get("type") == "array" or "additionalProperties" in properties[key]) for key in node.get("required") or ())


def _gather(items: Iterable[tuple[str, Faults | None]]) -> Faults | None:
    faults = [(prefix + path, text) for prefix, found in items if found for path, text in found]
    return faults or None


def _compile_scalar(node: Node) -> Check:
    kind, format_ = node["type"], node.get("format")
    if kind == "integer":
        return _compile_integer(_INT32 if format_ == "int32" else _INT64)
    if kind != "string":
        return _compile_type(kind)
    if format_ == "int-or-string":
        return _check_int_or_string
    if format_ == "quantity":
        return _check_quantity
    return _compile_string(frozenset(node.get("enum") or ()), {"byte": _check_base64, "date-time": _check_time}.get(format_ or ""))


def _compile_string(values: frozenset[str], further: Callable[[str], Faults | None] | None) -> Check:
    def check(value: Any) -> Faults | None:
        if not isinstance(value, str):
            return [("", _wrong_type(value, "a string"))]
        if values and value and value not in values:
            supported = ", ".join(f'"{known}"' for known in sorted(values) if known)
            return [("", f'Unsupported value: "{value}": supported values: {supported}')]
        return further(value) if further else None

    return check


def _compile_integer(limits: range) -> Check:
    def check(value: Any) -> Faults | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return [("", _wrong_type(value, "an integer"))]
        return (
            None if limits.start <= value < limits.stop else [("", f"Invalid value: {value}: must be between {limits.start} and {limits.stop - 1}")]
        )

    return check


def _compile_type(kind: str) -> Check:
    types = {"boolean": (bool,), "number": (int, float), "object": (dict,), "array": (list,)}[kind]

    def check(value: Any) -> Faults | None:
        fits = isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))
        return None if fits else [("", _wrong_type(value, _EXPECTED[kind]))]

    return check


def _check_int_or_string(value: Any) -> Faults | None:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    return [("", _wrong_type(value, "an integer or a string"))]


def _check_quantity(value: Any) -> Faults | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return [("", _wrong_type(value, 'a quantity such as "500m" or "1Gi"'))]
    if is_quantity(value):
        return None
    try:
        parse_quantity(value)
    except ValueError as error:
        return [("", f'Invalid value: "{value}": {error}')]
    return None


def _check_base64(value: str) -> Faults | None:
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except binascii.Error as error:
        return [("", f"Invalid value: must be base64 ({error}); plain text belongs into stringData")]
    return None


def _check_time(value: str) -> Faults | None:
    return None if _RFC3339(value) else [("", f'Invalid value: "{value}": must be a time as RFC 3339 has it, such as 2006-01-02T15:04:05Z')]


def _accept(_: Any) -> Faults | None:
    return None


def _wrong_type(value: Any, expected: str) -> str:
    match value:
        case None:
            found = "null"
        case bool():
            found = f"the boolean {str(value).lower()}"
        case int():
            found = f"the integer {value}"
        case float():
            found = f"the number {value}"
        case str():
            shown = value if len(value) <= 40 else f"{value[:37]}..."  # noqa: PLR2004  fits a line
            found = f'the string "{shown}"'
        case dict():
            found = "an object"
        case _:
            found = "a list"
    return f"must be {expected}, not {found}"
