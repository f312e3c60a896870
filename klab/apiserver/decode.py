"""The body of a request as an object: parsed, named after its path, checked against the schema. Pure.

Messages and codes are kube-apiserver's (pkg/endpoints/handlers/{create,update,rest}.go): what cannot be read as its kind is a 400, what can be
read but is wrong is a 422.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from klab.api.schema import builtin, validate
from klab.api.yamltext import parse_yaml
from klab.apiserver.status import make_cause, refuse, render_problems
from klab.errors import Fault, InvalidManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from klab.apiserver.target import Target

FieldValidation = Literal["Ignore", "Warn", "Strict", "Report"]
"""What becomes of unknown fields: Kubernetes' three ways, and klab's own for manifests in bulk: they are faults as all others."""

UNKNOWN_FIELD = "unknown field "
WRONG_TYPE = "must be "
"""How the schema's messages start for a field that is not there, and for a value of another type."""

PATH_PART = re.compile(r"\[([^]]*)]|([^.\[\]]+)")

YAML_TYPES = ("application/yaml", "application/apply-patch+yaml")
JSON_TYPES = ("", "application/json", "application/octet-stream", "text/plain")
ACCEPTED = "application/json, application/yaml"


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Read JSON or YAML into a mapping without null fields."""
    if content_type in YAML_TYPES:
        value = parse_text(body)
    elif content_type in JSON_TYPES:
        value = parse_json(body)
    else:
        words = f"the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
        raise refuse("UnsupportedMediaType", words)
    if not isinstance(value, dict):
        raise refuse("BadRequest", "the object provided is unrecognized: it must be one object with apiVersion and kind")
    return {key: drop_nulls(item) for key, item in value.items() if item is not None}


def parse_json(body: bytes) -> Any:
    """Read JSON; a 400 says where it breaks."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse("BadRequest", f"couldn't get version/kind; json parse error: {error}") from error


def parse_text(body: bytes) -> Any:
    """Read YAML of one document (JSON is YAML too); a 400 says where it breaks."""
    try:
        documents = parse_yaml(body.decode())
    except ValueError as error:
        raise refuse("BadRequest", f"error decoding YAML: {error}") from error
    return documents[0] if len(documents) == 1 else None


def drop_nulls(value: Any) -> Any:
    """Give a value without the fields that are null: they mean "not set"."""
    if isinstance(value, dict):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [drop_nulls(item) for item in value]
    return value


def fill_in(obj: dict[str, Any], target: Target) -> dict[str, Any]:
    """Give the object with the apiVersion, kind, namespace and (of an update) name of its path; a 400 where it says otherwise."""
    resource = target.resource
    kind, version = obj.get("kind", resource.kind), obj.get("apiVersion", resource.api_version)
    if kind != resource.kind:
        raise refuse(
            "BadRequest", f'{kind} in version "{version}" cannot be handled as a {resource.kind}: the object\'s kind does not match the path'
        )
    if version != resource.api_version:
        raise refuse("BadRequest", f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})")
    metadata = obj.get("metadata", {})
    if not isinstance(metadata, dict):
        raise refuse("BadRequest", f'{kind} in version "{version}" cannot be handled as a {kind}: metadata: must be an object')
    metadata = dict(metadata)
    if resource.namespaced and metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise refuse("BadRequest", "the namespace of the provided object does not match the namespace sent on the request")
    if target.name is not None and metadata.setdefault("name", target.name) != target.name:
        raise refuse("BadRequest", f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})")
    return {**obj, "apiVersion": version, "kind": kind, "metadata": metadata}


def check_mode(text: str) -> FieldValidation:
    """Read the option fieldValidation; without it the server warns."""
    match text:
        case "Ignore" | "Warn" | "Strict":
            return text
        case "":
            return "Warn"
    raise InvalidManifestError([Fault("", "fieldValidation", f'Unsupported value: "{text}": supported values: "", "Ignore", "Strict", "Warn"')])


def check_schema(obj: dict[str, Any], mode: FieldValidation) -> tuple[dict[str, Any], list[str], list[tuple[str, str]]]:
    """Check an object against its schema.

    Gives the object without its unknown fields, warnings about those (mode Warn), and what a validation has to say (path, message); raises a 400
    for wrong types, and for unknown fields in mode Strict. Mode Report raises nothing: all is for the validation to say.
    """
    problems = validate(obj) if builtin().kind(obj["apiVersion"], obj["kind"]) is not None else []
    if not problems or mode == "Report":
        return obj, [], problems
    unknown = [(path, message) for path, message in problems if message.startswith(UNKNOWN_FIELD)]
    unreadable = [(path, message) for path, message in problems if message.startswith(WRONG_TYPE)]
    if unreadable or (unknown and mode == "Strict"):
        _refuse_unreadable(obj, unreadable + unknown if mode == "Strict" else unreadable)
    for path, _ in unknown:
        obj = _without(obj, [index or field for index, field in PATH_PART.findall(path)])
    warnings = [f'unknown field "{path}"' for path, _ in unknown] if mode == "Warn" else []
    return obj, warnings, [problem for problem in problems if problem not in unknown]


def _refuse_unreadable(obj: Mapping[str, Any], problems: Sequence[tuple[str, str]]) -> None:
    kind = obj["kind"]
    words = f'{kind} in version "{obj["apiVersion"]}" cannot be handled as a {kind}: {render_problems(problems)}'
    raise refuse("BadRequest", words, {"causes": [make_cause(Fault("", path, message)) for path, message in problems]})


def _without(value: Any, path: Sequence[str]) -> Any:
    """Give a value without what stands at a path such as ["spec", "containers", "0", "imge"]."""
    key, *rest = path
    if isinstance(value, list) and key.isdecimal():
        return [_without(item, rest) if number == int(key) else item for number, item in enumerate(value)]
    if not isinstance(value, dict) or key not in value:
        return value
    if rest:
        return {**value, key: _without(value[key], rest)}
    return {name: item for name, item in value.items() if name != key}
