"""`describe` of configuration objects, and of every kind that has no description of its own."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from klab.cli.describers.lookup import Lookup
from klab.cli.describers.text import Description, Object
from klab.cli.printers.values import NONE

_HEADINGS = (".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations")
_ACRONYMS = ("API", "URL", "UID", "OSB", "GUID")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|-+")


def describe_config_map(config_map: Object, lookup: Lookup) -> str:
    """Describe a config map with its data."""
    text = Description()
    text.heading(config_map)
    text.line("\nData\n====")
    for key, value in sorted((config_map.get("data") or {}).items()):
        text.line(f"{key}:\n----\n{value}\n")
    text.line("\nBinaryData\n====")
    for key, value in sorted((config_map.get("binaryData") or {}).items()):
        text.line(f"{key}: {_size(value)} bytes")
    text.line("")
    text.events(lookup.events(config_map), lookup.now)
    return text.text()


def describe_secret(secret: Object, lookup: Lookup) -> str:
    """Describe a secret: the sizes of its values, not the values."""
    del lookup
    text = Description()
    text.heading(secret)
    text.line("")
    text.field("Type", secret.get("type", ""))
    text.line("\nData\n====")
    for key, value in sorted((secret.get("data") or {}).items()):
        text.field(key, f"{_size(value)} bytes")
    return text.text()


def _size(encoded: str) -> int:
    return len(base64.b64decode(encoded))


def describe_service_account(account: Object, lookup: Lookup) -> str:
    """Describe a service account."""
    text = Description()
    text.heading(account)
    there = {secret["metadata"]["name"] for secret in lookup.list("secrets", account["metadata"].get("namespace"))}
    for title, names in (
        ("Image pull secrets:", [one["name"] for one in account.get("imagePullSecrets") or ()]),
        ("Mountable secrets: ", [one["name"] for one in account.get("secrets") or ()]),
        ("Tokens:            ", []),
    ):
        for at, name in enumerate(names or [NONE]):
            missing = "" if name in there or not names else " (not found)"
            text.line(f"{' ' * len(title) if at else title}\t{name}{missing}")
    text.events(lookup.events(account), lookup.now)
    return text.text()


def describe_any(obj: Object, lookup: Lookup) -> str:
    """Describe an object by its fields, as kubectl does with custom kinds."""
    text = Description()
    text.heading(obj)
    _describe_fields(text, 0, obj, "")
    text.events(lookup.events(obj), lookup.now)
    return text.text()


def _describe_fields(text: Description, level: int, fields: Mapping[str, Any], path: str) -> None:
    for key in sorted(fields):
        here, value, label = f"{path}.{key}", fields[key], _label(key)
        if here in _HEADINGS:
            continue
        if isinstance(value, dict):
            text.line(f"{label}:", level)
            _describe_fields(text, level + 1, value, here)
        elif isinstance(value, list):
            text.line(f"{label}:", level)
            for item in value:
                if isinstance(item, dict):
                    _describe_fields(text, level + 1, item, here)
                else:
                    text.line(_scalar(item), level + 1)
        else:
            text.field(label, _scalar(value), level)


def _scalar(value: Any) -> str:
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _label(key: str) -> str:
    """Turn a field's name into words: `creationTimestamp` into `Creation Timestamp`, `apiVersion` into `API Version`."""
    if not all(char.isalpha() or char == "-" for char in key):
        return key
    return " ".join(word.upper() if word.upper() in _ACRONYMS else word[:1].upper() + word[1:] for word in _CAMEL.findall(key))
