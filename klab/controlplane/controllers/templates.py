"""Pod templates: the hash that names what was made from one, and whether two are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from klab.controlplane.store import SUFFIX_ALPHABET

Raw = Mapping[str, Any]

HASH_LABEL = "pod-template-hash"
REVISION_HASH_LABEL = "controller-revision-hash"

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def calc_template_hash(template: Any, collisions: int | None = None) -> str:
    """Give the hash of a template, up to ten letters; each collision that was met so far makes it another one (controller.ComputeHash).

    It is FNV-1a over the canonical JSON. Kubernetes hashes Go's dump of the structure, so its letters are others.
    """
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if collisions is not None:
        text += collisions.to_bytes(8, "little")
    return encode_safely(str(fnv32a(text)))


def fnv32a(data: bytes) -> int:
    """Give the 32-bit FNV-1a hash."""
    found = _FNV_OFFSET
    for byte in data:
        found = ((found ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return found


def encode_safely(text: str) -> str:
    """Replace every character by one that makes no bad word (apimachinery/pkg/util/rand SafeEncodeString)."""
    return "".join(SUFFIX_ALPHABET[ord(character) % len(SUFFIX_ALPHABET)] for character in text)


def is_same_template(one: Raw, other: Raw) -> bool:
    """Tell whether two pod templates are the same but for their pod-template-hash (EqualIgnoreHash)."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Raw) -> Raw:
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": {**metadata, **({"labels": labels} if labels else {})}}


def add_label(template: Raw, key: str, value: str) -> dict[str, Any]:
    """Give a template with one more label."""
    metadata = template.get("metadata") or {}
    return {**template, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), key: value}}}
