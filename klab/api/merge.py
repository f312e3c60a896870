"""What `kubectl apply` and PATCH requests make of an object. Nothing given is changed; what stays the same is shared with the result.

`three_way` is kubectl's apply; `json_merge_patch` is RFC 7386, `json_patch` RFC 6902, `strategic_merge_patch` Kubernetes' own
(apimachinery pkg/util/strategicpatch). A patch that makes no sense is a UsageError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from klab.api.jsonpatch import json_patch
from klab.api.meta import Object
from klab.api.schema import Node, Schema, builtin
from klab.errors import UsageError

__all__ = ["json_merge_patch", "json_patch", "strategic_merge_patch", "three_way"]

_KEY_DEFAULTS = {"protocol": "TCP"}
"""What the API server fills into a key of a list: two ports 53, one of them TCP without saying so."""
_NO_NODE: Node = {}
_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def three_way(last_applied: Mapping[str, Any] | None, new: Mapping[str, Any], live: Mapping[str, Any], schema: Schema | None = None) -> Object:
    """Merge what is applied now (`new`) into the `live` object; what was applied last and is gone from `new` is removed.

    Lists of a known kind are merged by their keys where its schema says so; other lists, and those of custom resources, are replaced.
    """
    schema = schema or builtin()
    node = schema.kind(str(live.get("apiVersion")), str(live.get("kind"))) or _NO_NODE
    return _merge_maps(schema, node, dict(last_applied or {}), dict(new), dict(live))


def _merge_maps(schema: Schema, node: Node, last: Object, new: Object, live: Object) -> Object:
    result = {key: value for key, value in live.items() if key in new or key not in last}
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_values(schema, _field(schema, node, key), last.get(key), value, live.get(key))
    return result


def _merge_values(schema: Schema, node: Node, last: Any, new: Any, live: Any) -> Any:
    strategy = str(node.get("x-kubernetes-patch-strategy", ""))
    if isinstance(new, dict) and isinstance(live, dict) and strategy != "replace":
        last = last if isinstance(last, dict) else {}
        return _merge_maps(schema, node, last, new, _retained(strategy, new, live))
    if isinstance(new, list) and isinstance(live, list) and "merge" in strategy:
        return _merge_lists(schema, node, last if isinstance(last, list) else [], new, live)
    return _without_nulls(new)


def _merge_lists(schema: Schema, node: Node, last: list[Any], new: list[Any], live: list[Any]) -> list[Any]:
    keys = _merge_keys(node)
    old, wanted, present = ([_identity(item, keys) for item in items] for items in (last, new, live))
    if len(set(wanted)) < len(wanted) or len(set(present)) < len(present):
        return [_without_nulls(item) for item in new]
    items = schema.resolve(node.get("items") or _NO_NODE)
    last_by, live_by = dict(zip(old, last, strict=True)), dict(zip(present, live, strict=True))
    strategy = str(node.get("x-kubernetes-patch-strategy", ""))
    merged = {
        identity: _merge_values(schema, items, last_by.get(identity), item, _retained(strategy, item, live_by.get(identity)))
        for identity, item in zip(wanted, new, strict=True)
    }
    kept = [identity for identity in present if identity not in merged and identity not in last_by]
    order = _interleave(kept, wanted, present)
    return [merged[identity] if identity in merged else live_by[identity] for identity in order]


def _retained(strategy: str, new: Any, live: Any) -> Any:
    """Leave of `live` only the fields that `new` has, for one-of types such as volumes and update strategies (retainKeys)."""
    if "retainKeys" not in strategy or not new or not isinstance(live, dict):
        return live
    return {key: value for key, value in live.items() if key in new}


def _merge_keys(node: Node) -> tuple[str, ...]:
    """Give the fields that identify an item: all of the list's map keys, so that ports 53/UDP and 53/TCP are two; () for a list of scalars."""
    merge_key = node.get("x-kubernetes-patch-merge-key")
    return tuple(node.get("x-kubernetes-list-map-keys") or ([merge_key] if merge_key else ()))


def _identity(item: Any, keys: Sequence[str]) -> tuple[Any, ...]:
    if not keys or not isinstance(item, dict):
        return (repr(item),)
    return tuple(str(item.get(key, _KEY_DEFAULTS.get(key))) for key in keys)


def _interleave(kept: list[Any], wanted: list[Any], present: list[Any]) -> list[Any]:
    """Order a merged list: `wanted` as given, and among them what only the server has, where it stood (mergeSortedSlice)."""
    place = {identity: index for index, identity in enumerate(present)}
    waiting, result = list(kept), []
    for identity in wanted:
        while waiting and identity in place and place[waiting[0]] < place[identity]:
            result.append(waiting.pop(0))
        result.append(identity)
    return result + waiting


def _field(schema: Schema, node: Node, key: str) -> Node:
    """Give the schema of a field of `node`, an empty one where nothing is known."""
    found = (schema.resolve(node).get("properties") or {}).get(key)
    return schema.resolve(found) if found is not None else _NO_NODE


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def json_merge_patch(target: Any, patch: Any) -> Any:
    """Apply an RFC 7386 merge patch: null removes, mappings merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = json_merge_patch(result.get(key), value)
    return result


def strategic_merge_patch(live: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema | None = None) -> Object:
    """Apply a strategic merge patch to `live`, whose apiVersion and kind choose the schema; UsageError if that kind has none."""
    schema = schema or builtin()
    node = schema.kind(str(live.get("apiVersion")), str(live.get("kind")))
    if node is None:
        raise UsageError(f'kind "{live.get("kind")}" takes no strategic merge patch; send a JSON merge patch (--type=merge)')
    return _patch_map(schema, node, dict(live), dict(patch))


def _patch_map(schema: Schema, node: Node, live: Object, patch: Object) -> Object:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: _without_directives(value) for key, value in patch.items() if key != _DIRECTIVE and value is not None}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise UsageError(f"unknown patch type: {directive}; known are replace, delete and merge")
    retained = patch.get(_RETAIN)
    result = {key: value for key, value in live.items() if retained is None or key in retained}
    for key in patch:
        name = key.removeprefix(_ORDER).removeprefix(_DELETE)
        if key in {_DIRECTIVE, _RETAIN} or (name != key and name in patch):
            continue  # lists are patched together with their order and deletions
        _patch_field(schema, _field(schema, node, name), result, name, patch)
    return result


def _patch_field(schema: Schema, node: Node, result: Object, name: str, patch: Object) -> None:
    strategy = str(node.get("x-kubernetes-patch-strategy", ""))
    old, value = result.get(name), patch.get(name, [])
    if value is None:
        result.pop(name, None)
    elif isinstance(value, dict) and isinstance(old, dict) and strategy != "replace":
        result[name] = _patch_map(schema, node, old, value)
    elif isinstance(value, list) and "merge" in strategy:
        result[name] = _patch_list(schema, node, old if isinstance(old, list) else [], name, patch)
    else:
        result[name] = _without_directives(value)


def _patch_list(schema: Schema, node: Node, live: list[Any], name: str, fields: Object) -> list[Any]:
    """Patch a list by its merge key, or, of scalars, by adding what is new and removing what $deleteFromPrimitiveList names."""
    patch, order, deleted = fields.get(name, []), fields.get(_ORDER + name), fields.get(_DELETE + name) or []
    key = node.get("x-kubernetes-patch-merge-key")
    keys = (key,) if key else ()
    if keys and any(not isinstance(item, dict) or (key not in item and item.get(_DIRECTIVE) != "replace") for item in patch):
        raise UsageError(f"map: {patch} does not contain declared merge key: {key}")
    directives = [item for item in patch if isinstance(item, dict) and _DIRECTIVE in item]
    if any(item[_DIRECTIVE] == "replace" for item in directives):
        live = []
    gone = {_identity(item, keys) for item in (*(item for item in directives if item[_DIRECTIVE] == "delete"), *deleted)}
    by: dict[tuple[Any, ...], Any] = {}
    for index, item in enumerate(live):
        identity = _identity(item, keys)
        if identity not in gone:  # of several with one merge key (port 53 of two protocols) a patch means the first
            by[identity if identity not in by else (*identity, index)] = item
    present = list(by)
    items = schema.resolve(node.get("items") or _NO_NODE)
    touched = []
    for item in patch:
        if isinstance(item, dict) and item.get(_DIRECTIVE) in {"replace", "delete"}:
            continue
        identity = _identity(item, keys)
        old = by.get(identity)
        by[identity] = _patch_map(schema, items, old, item) if isinstance(old, dict) else _without_directives(item)
        touched.append(identity)
    if order is not None:
        touched = [identity for item in order if (identity := _identity(item, keys)) in by]
    wanted = list(dict.fromkeys(touched))
    kept = [identity for identity in present if identity not in wanted]
    return [by[identity] for identity in _interleave(kept, wanted, present)]


def _without_directives(value: Any) -> Any:
    """Give a value of a patch that has nothing to merge with: no nulls, no directives."""
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if item is not None and not key.startswith("$")}
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not (isinstance(item, dict) and _DIRECTIVE in item)]
    return value
