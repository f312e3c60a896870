"""JSON Patch, RFC 6902: a list of operations on JSON Pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klab.errors import UsageError


def json_patch(target: Any, operations: Sequence[Any]) -> Any:
    """Apply `operations` in order to a copy of `target`; UsageError says which one fails, and then nothing is applied."""
    result = target
    for index, operation in enumerate(operations):
        if not isinstance(operation, Mapping) or operation.get("op") not in _OPERATIONS or not isinstance(operation.get("path"), str):
            raise UsageError(f"operation {index} of the JSON patch needs op ({', '.join(_OPERATIONS)}) and path, not {operation}")
        try:
            result = _OPERATIONS[operation["op"]](result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            reason = (
                f"it lacks {error}" if isinstance(error, KeyError) and error.args[0] in {"value", "from"} else f"there is no such place ({error})"
            )
            raise UsageError(f"operation {index} of the JSON patch, {operation['op']} {operation['path']}: {reason}") from None
    return result


def _add(target: Any, operation: Mapping[str, Any]) -> Any:
    value = operation["value"]

    def insert(parent: Any, key: str) -> Any:
        if isinstance(parent, list):
            place = len(parent) if key == "-" else _index(key, len(parent))
            return [*parent[:place], value, *parent[place:]]
        return {**_mapping(parent), key: value}

    return _change(target, _split(operation["path"]), insert, value)


def _remove(target: Any, operation: Mapping[str, Any]) -> Any:
    def drop(parent: Any, key: str) -> Any:
        if isinstance(parent, list):
            place = _index(key, len(parent) - 1)
            return [*parent[:place], *parent[place + 1 :]]
        _mapping(parent)[key]
        return {name: item for name, item in parent.items() if name != key}

    return _change(target, _split(operation["path"]), drop, None)


def _replace(target: Any, operation: Mapping[str, Any]) -> Any:
    value = operation["value"]

    def put(parent: Any, key: str) -> Any:
        if isinstance(parent, list):
            place = _index(key, len(parent) - 1)
            return [*parent[:place], value, *parent[place + 1 :]]
        _mapping(parent)[key]
        return {**parent, key: value}

    return _change(target, _split(operation["path"]), put, value)


def _move(target: Any, operation: Mapping[str, Any]) -> Any:
    if operation["path"].startswith(operation["from"] + "/"):
        raise ValueError("a value cannot move into itself")
    value = _get(target, _split(operation["from"]))
    return _add(_remove(target, {"path": operation["from"]}), {"path": operation["path"], "value": value})


def _copy(target: Any, operation: Mapping[str, Any]) -> Any:
    return _add(target, {"path": operation["path"], "value": _get(target, _split(operation["from"]))})


def _test(target: Any, operation: Mapping[str, Any]) -> Any:
    found = _get(target, _split(operation["path"]))
    if found != operation["value"] or isinstance(found, bool) is not isinstance(operation["value"], bool):
        raise UsageError(f"testing value {operation['path']} failed: it is {found!r}, not {operation['value']!r}")
    return target


_OPERATIONS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _split(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(f'a path starts with "/", unlike "{pointer}"')
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _get(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = value[_index(key, len(value) - 1)] if isinstance(value, list) else _mapping(value)[key]
    return value


def _change(target: Any, path: Sequence[str], edit: Callable[[Any, str], Any], whole: Any) -> Any:
    """Rebuild the containers along `path`, the last one by `edit`; an empty path means the whole document."""
    if not path:
        return whole
    key, *rest = path
    if not rest:
        return edit(target, key)
    if isinstance(target, list):
        place = _index(key, len(target) - 1)
        return [*target[:place], _change(target[place], rest, edit, whole), *target[place + 1 :]]
    return {**_mapping(target), key: _change(target[key], rest, edit, whole)}


def _index(key: str, last: int) -> int:
    if not key.isdecimal() or (key.startswith("0") and key != "0"):
        raise ValueError(f'"{key}" is no index of a list')
    if int(key) > last:
        raise IndexError(f"index {key} is beyond the end of the list")
    return int(key)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} holds no fields")
    return value
