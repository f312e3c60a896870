"""Server-side apply (KEP 555): every field manager says what it wishes, the server remembers who owns which field. Pure.

Ownership is kept as Kubernetes keeps it, in metadata.managedFields as FieldsV1 trees: `f:NAME` a field, `k:{KEYS}` an item of a keyed list,
`v:VALUE` an item of a set, `.` the item itself; a tree without children is a leaf. Only appliers are tracked: what a PUT or another patch writes
belongs to nobody, so the next apply takes it without a conflict.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from klab.api.merge import three_way
from klab.api.schema import Node, Schema, builtin
from klab.apiserver.status import StatusError, make_status

Tree = dict[str, Any]
Path = tuple[str, ...]

ITSELF = "."
UNOWNED = frozenset({("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")})
"""Fields that identify an object: no one owns them."""


def apply_fields(live: Mapping[str, Any], applied: Mapping[str, Any], manager: str, now: str, *, force: bool) -> dict[str, Any]:
    """Give `live` (empty: there is none) with what a manager applies, and without what it applied before and nobody else wants.

    Where another applier owns a field that would change, the answer is a Conflict that names both, unless `force` takes the field over.
    """
    schema = builtin()
    node = schema.kind(str(applied.get("apiVersion")), str(applied.get("kind"))) or {}
    wanted = calc_fields(schema, node, {**applied, "metadata": _without(applied["metadata"], "managedFields")})
    for path in UNOWNED:
        _discard(wanted, path)
    entries = list(live.get("metadata", {}).get("managedFields") or ())
    owned: Tree = {}
    others: list[dict[str, Any]] = []
    for entry in entries:
        if entry.get("operation") == "Apply" and entry.get("manager") == manager:
            owned = entry.get("fieldsV1") or {}
        else:
            others.append(entry)
    others = _settle(others, wanted, applied, live, force=force)
    last = owned
    for entry in others:
        last = subtract(last, entry.get("fieldsV1") or {})
    merged = three_way(make_skeleton(last), applied, live) if live else dict(applied)
    entry = {"manager": manager, "operation": "Apply", "apiVersion": applied["apiVersion"], "time": now, "fieldsType": "FieldsV1", "fieldsV1": wanted}
    if owned == wanted:
        entry = next(entry for entry in entries if entry not in others)  # the time of an ownership is when it changed
    return {**merged, "metadata": {**merged["metadata"], "managedFields": [*others, entry]}}


def calc_fields(schema: Schema, node: Node, value: Any) -> Tree:
    """Give the tree of all fields that a value sets."""
    node = schema.resolve(node)
    if isinstance(value, dict) and node.get("x-kubernetes-map-type") != "atomic":
        properties, rest = node.get("properties") or {}, node.get("additionalProperties")
        below = rest if isinstance(rest, Mapping) else {}
        return {f"f:{key}": calc_fields(schema, properties.get(key, below), item) for key, item in value.items()}
    if isinstance(value, list) and node.get("x-kubernetes-list-type", "atomic") != "atomic":
        keys = node.get("x-kubernetes-list-map-keys")
        if not keys:
            return {f"v:{_compact(item)}": {} for item in value}
        items = node.get("items") or {}
        return {_item_key(item, keys): {ITSELF: {}, **calc_fields(schema, items, item)} for item in value}
    return {}


def make_skeleton(tree: Tree) -> Any:
    """Give a value that has just the fields of a tree, all null, and the items of its keyed lists and sets."""
    if any(key[:2] in ("k:", "v:") for key in tree):
        return [{**(make_skeleton(below) or {}), **json.loads(key[2:])} if key[:2] == "k:" else json.loads(key[2:]) for key, below in tree.items()]
    fields = {key[2:]: make_skeleton(below) for key, below in tree.items() if key != ITSELF}
    return fields or None


def subtract(tree: Tree, other: Tree) -> Tree:
    """Give a tree without the leaves that are in another."""
    result = {}
    for key, below in tree.items():
        if key not in other:
            result[key] = below
        elif below and (left := subtract(below, other[key])):
            result[key] = left
    return result


def _settle(others: list[dict[str, Any]], wanted: Tree, applied: Any, live: Any, *, force: bool) -> list[dict[str, Any]]:
    """Find where appliers disagree: raise a Conflict, or (force) take the fields from the others."""
    conflicts: list[tuple[str, Path]] = []
    result = []
    for entry in others:
        tree = entry.get("fieldsV1") or {}
        taken = [path for path in _leaves(_intersect(wanted, tree)) if _value_at(applied, path) != _value_at(live, path)]
        conflicts += [(entry.get("manager", ""), path) for path in taken]
        remaining = json.loads(json.dumps(tree)) if taken else tree
        for path in taken:
            _discard(remaining, path)
        if remaining:
            result.append({**entry, "fieldsV1": remaining})
    if conflicts and not force:
        raise StatusError(_make_conflict(conflicts))
    return result


def _make_conflict(conflicts: list[tuple[str, Path]]) -> dict[str, Any]:
    """Give the Status in the words of structured-merge-diff."""
    causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{who}"', "field": _render_path(path)} for who, path in conflicts]
    lines = [f"{cause['message']}: {cause['field']}" for cause in causes]
    words = f"Apply failed with {len(lines)} conflict{'s' if len(lines) > 1 else ''}: "
    words += lines[0] if len(lines) == 1 else "conflicts:\n" + "\n".join(f"- {line}" for line in lines)
    return make_status("Conflict", words, {"causes": causes})


def _intersect(tree: Tree, other: Tree) -> Tree:
    """Give the leaves that two trees have in common."""
    result = {}
    for key, below in tree.items():
        if key in other and key != ITSELF:
            common = _intersect(below, other[key])
            if common or not (below or other[key]):
                result[key] = common
    return result


def _leaves(tree: Tree, path: Path = ()) -> Iterator[Path]:
    for key, below in tree.items():
        if below:
            yield from _leaves(below, (*path, key))
        elif key[:2] != "k:":
            yield (*path, key)


def _value_at(value: Any, path: Path) -> Any:
    for part in path:
        kind, text = part[:2], part[2:]
        if kind == "f:":
            value = value.get(text) if isinstance(value, dict) else None
        elif kind == "k:":
            keys = json.loads(text)
            value = next((item for item in value or () if all(item.get(key) == wanted for key, wanted in keys.items())), None)
        else:
            value = json.loads(text) if json.loads(text) in (value or ()) else None
    return value


def _discard(tree: Tree, path: Path) -> None:
    """Take a leaf out of a tree, and what is empty without it."""
    key, *rest = path
    if key not in tree:
        return
    if rest:
        _discard(tree[key], tuple(rest))
    if not rest or not tree[key]:
        del tree[key]


def _render_path(path: Path) -> str:
    """Render a path as `.spec.containers[name="c"].image`."""
    text = ""
    for part in path:
        kind, name = part[:2], part[2:]
        if kind == "f:":
            text += f".{name}"
        elif kind == "k:":
            text += f"[{','.join(f'{key}={json.dumps(value)}' for key, value in json.loads(name).items())}]"
        else:
            text += f"[={name}]"
    return text


def _item_key(item: Any, keys: list[str]) -> str:
    defaults = {"protocol": "TCP"}
    found = {key: item.get(key, defaults.get(key)) for key in sorted(keys)} if isinstance(item, dict) else {}
    return f"k:{_compact({key: value for key, value in found.items() if value is not None})}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}
