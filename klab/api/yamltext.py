"""YAML and JSON text to plain values, as kubectl reads it (sigs.k8s.io/yaml): YAML 1.1 booleans, times stay text, keys become strings.

Safe against hostile text: nesting, the size that aliases expand to, and duplicate keys are checked while reading. Nothing here knows Kubernetes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from math import isfinite
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

MAX_DEPTH = 200
MAX_ALIASED = 100_000
"""How many values may come from aliases in one document; a YAML bomb has millions."""

_STR = "tag:yaml.org,2002:str"
_PLAIN = "plain"
_MERGE = "<<"
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)").fullmatch
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?").fullmatch
_OUTSIDE_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)").fullmatch
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}


class TextError(ValueError):
    """The text is no YAML or JSON, or no value that JSON could hold; the message names line and column where they are known."""


def split_documents(text: str) -> Iterator[tuple[int, str]]:
    """Cut a YAML stream at its `---` lines, so that a fault in one document does not hide those in others; gives (first line from 0, text)."""
    start, lines = 0, text.splitlines(keepends=True)
    directives_only = True
    for index, line in enumerate(lines):
        if re.match(r"---(\s|$)", line):
            if not directives_only:
                yield start, "".join(lines[start:index])
                start = index
            directives_only = False
        elif line.strip() and not line.startswith(("#", "%")):
            directives_only = False
    yield start, "".join(lines[start:])


def parse_yaml(text: str, first_line: int = 0) -> list[Any]:
    """Parse the documents of `text`; empty ones are left out. TextError, with lines counted from `first_line`."""
    loader = _Loader(text)
    try:
        values = []
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                values.append(_Values(first_line).value(node)[0])
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark, first_line) if error.problem_mark else ""
        context = f" ({error.context})" if error.context else ""
        raise TextError(f"{place}{error.problem}{context}") from None
    except yaml.YAMLError as error:
        raise TextError(" ".join(str(error).split())) from None
    finally:
        loader.dispose()
    return [value for value in values if value is not None]


def parse_json(text: str) -> list[Any] | None:
    """Parse a stream of JSON values; None if `text` is not JSON (it may still be YAML). TextError on a duplicate key or deep nesting."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
    values, position, end = [], 0, len(text.rstrip())
    try:
        while position < end:
            while text[position].isspace():
                position += 1
            value, position = decoder.raw_decode(text, position)
            _check_depth(value, MAX_DEPTH)
            values.append(value)
    except json.JSONDecodeError:
        return None
    except RecursionError:
        raise TextError(f"nested deeper than {MAX_DEPTH} levels") from None
    return values


@lru_cache(maxsize=4096)
def resolve_plain(text: str) -> bool | int | float | str | None:
    """Give the value of an unquoted scalar, by the rules of go-yaml v2 (its resolve.go); integral floats are integers, as in JSON."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _OUTSIDE_JSON(text):
        raise ValueError(text)
    digits = text if text[0] == "." else text.replace("_", "")
    if found := _INTEGER(digits):
        magnitude = re.sub(r"^0(?=[0-7]+$)", "0o", found[1])
        return int(magnitude, 0) * (-1 if digits[0] == "-" else 1)
    if _FLOAT(digits):
        number = float(digits)
        if isfinite(number):
            return int(number) if number.is_integer() else number
    return text


class _Loader(yaml.CSafeLoader):
    """libyaml's parser and composer; tells plain scalars from quoted ones and watches the depth, on which its recursion would crash."""

    depth = 0

    def resolve(self, kind: type[Node], _value: str | None, implicit: tuple[bool, bool]) -> str:
        return _PLAIN if kind is ScalarNode and implicit[0] else _STR

    def descend_resolver(self, _parent: Node | None, _index: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels")

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _Values:
    """Turns the nodes of one document into values; a node met again through an alias gives the same value and counts towards the limit."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._known: dict[Node, tuple[Any, int]] = {}
        self._open: set[Node] = set()
        self._aliased = 0

    def value(self, node: Node) -> tuple[Any, int]:
        """Give the value of `node` and how many nodes it expands to."""
        if isinstance(node, ScalarNode):
            return self._scalar(node), 1
        known = self._known.get(node)
        if known is not None:
            self._aliased += known[1]
            if self._aliased > MAX_ALIASED:
                raise self._error(node, f"aliases expand to more than {MAX_ALIASED} values (a YAML bomb?)")
            return known
        if node in self._open:
            raise self._error(node, "an anchor contains an alias to itself")
        self._open.add(node)
        known = self._known[node] = self._mapping(node) if isinstance(node, MappingNode) else self._sequence(node)
        return known

    def _sequence(self, node: Node) -> tuple[Any, int]:
        items, size = [], 1
        for item in node.value:
            value, more = self.value(item)
            items.append(value)
            size += more
        return items, size

    def _mapping(self, node: MappingNode) -> tuple[Any, int]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        size = 1
        for key_node, value_node in node.value:
            value, more = self.value(value_node)
            size += more
            if key_node.value == _MERGE and key_node.tag == _PLAIN:
                self._merge(value_node, value, merged)
                continue
            key = self._key(key_node)
            if key in result:
                raise self._error(key_node, f'key "{key}" already set in map')
            result[key] = value
        return ({**merged, **result} if merged else result), size

    def _merge(self, node: Node, value: Any, merged: dict[str, Any]) -> None:
        sources = value if isinstance(value, list) else [value]
        for source in sources:
            if not isinstance(source, dict):
                raise self._error(node, "map merge requires map or sequence of maps as the value")
            for key, item in source.items():
                merged.setdefault(key, item)

    def _key(self, node: Node) -> str:
        value = self._scalar(node) if isinstance(node, ScalarNode) else None
        if value is None:
            raise self._error(node, "a key must be a string")
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag == _PLAIN:
            return self._plain(node)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "binary":
            try:
                return base64.b64decode("".join(node.value.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise self._error(node, "!!binary value contains invalid base64 data") from None
        if kind in {"int", "float", "bool", "null"}:
            value = self._plain(node)
            if isinstance(value, str):
                raise self._error(node, f"cannot decode !!str `{value}` as a !!{kind}")
            return value
        return node.value

    def _plain(self, node: ScalarNode) -> Any:
        try:
            return resolve_plain(node.value)
        except ValueError:
            raise self._error(node, f"unsupported value: {node.value}") from None

    def _error(self, node: Node, message: str) -> TextError:
        return TextError(_place(node.start_mark, self._first_line) + message)


def _place(mark: Any, first_line: int) -> str:
    return f"line {first_line + mark.line + 1}, column {mark.column + 1}: "


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise TextError(f'key "{key}" already set in map')
            seen.add(key)
    return result


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise TextError(f"nested deeper than {MAX_DEPTH} levels")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(item, left - 1)


def _refuse_constant(name: str) -> Any:
    raise TextError(f"unsupported value: {name}")
