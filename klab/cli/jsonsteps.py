"""The steps of a JSONPath: what fields, indexes and filters do to the values reached so far (client-go/util/jsonpath, the eval functions)."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from klab.errors import KlabError, UsageError

_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Step = Callable[[list[Any]], list[Any]]
"""One step of a path: from the values reached so far to the next ones."""


def value_text(value: Any) -> str:
    """Write one value as kubectl does: text bare, objects and lists as JSON on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_HTML)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def text(text: str) -> Step:
    """Give a text, whatever was selected before."""
    return lambda values: [text]  # noqa: ARG005 - text stands whatever was selected before


def literal(value: Any) -> Step:
    """Give a value in the place of each."""
    return lambda values: [value for _ in values]


def field(name: str) -> Step:
    """Go to a field of objects; `*` goes to all of them, and to all items of lists."""
    if name == "*":
        return lambda values: [child for value in values for child in _children(value)]
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def recurse(values: list[Any]) -> list[Any]:
    """Go to every object and list within the values, the outermost first."""
    found: list[Any] = []
    for value in values:
        if children := _children(value):
            found += [value, *recurse(children)]
    return found


def index(text: str) -> Step:
    """Go to items of lists, by the text between brackets: `0`, `-1`, `1:3`, `*`, `0,2`, or a key in quotes."""
    if "," in text:
        parts = [index(part.strip()) for part in text.split(",")]
        return lambda values: [found for part in parts for found in part(values)]
    if len(text) > 1 and text[0] == text[-1] == "'":
        return field(text[1:-1].replace("\\", ""))
    if text == "*":
        text = ":"
    if not (found := _SLICE.fullmatch(text)):
        raise UsageError(f"invalid array index {text} in a JSONPath template; use a number, *, a slice like 0:2, or a key in single quotes")
    first, last, step = found[1], found[2], found[3]
    return lambda values: [item for value in values for item in _slice(value, first, last, step)]


def _slice(value: Any, first: str, last: str | None, step: str | None) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise KlabError(f"{value_text(value)} is not an array, so the JSONPath template cannot index it")
    size = len(value)
    start = int(first or 0)
    start += size if start < 0 else 0
    if last is None:
        stop = start + 1
    else:
        stop = int(last[1:] or size)
        stop += size if stop < 0 else 0
    if start == stop:
        return []
    for at, bound in ((start, size - 1), (stop - 1, size - 1)):
        if not 0 <= at <= bound:
            raise KlabError(f"array index out of bounds: index {at}, length {size}")
    if step and int(step[1:] or 1) <= 0:
        raise KlabError("a step in a JSONPath template must be greater than 0")
    return value[start : stop : int(step[1:] or 1) if step else 1]


def exists(steps: Sequence[Step]) -> Step:
    """Keep the items of lists in which `steps` lead to something."""
    return lambda values: [item for value in values for item in _items(value) if _walk(steps, item)]


def comparison(left: Sequence[Step], operator_text: str, right: Sequence[Step]) -> Step:
    """Keep the items of lists for which a comparison holds; UsageError for an operator that is none."""
    compare = _COMPARE.get(operator_text)
    if compare is None:
        raise UsageError(f"unrecognized filter operator {operator_text} in a JSONPath template; use one of {' '.join(_COMPARE)}")
    return lambda values: [item for value in values for item in _items(value) if _holds(compare, _walk(left, item), _walk(right, item))]


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise KlabError(f"{value_text(value)} is not an array, so the JSONPath template cannot filter it")
    return value


def _walk(steps: Sequence[Step], value: Any) -> list[Any]:
    values = [value]
    for step in steps:
        values = step(values)
    return values


def _holds(compare: Callable[[Any, Any], bool], left: list[Any], right: list[Any]) -> bool:
    if not left or not right:
        return False
    if len(left) > 1 or len(right) > 1:
        raise KlabError("a filter in a JSONPath template can only compare one element at a time")
    try:
        return compare(left[0], right[0])
    except TypeError:
        raise KlabError(f"a JSONPath filter cannot compare {value_text(left[0])} with {value_text(right[0])}: incompatible types") from None
