r"""kubectl's JSONPath templates, `{range .items[*]}{.metadata.name}{"\n"}{end}`: the dialect of k8s.io/client-go/util/jsonpath.

It is no RFC 9535: text stands outside of braces, `$` and `@` both mean the current object, `range` and `end` repeat, a missing key gives nothing.
`parse_template` reads a template once; `find` gives what it selects in an object, `render` the text.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from klab.errors import KlabError, UsageError

_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_FILTER = re.compile(r"([^!<>=]+)([!<>=]+)(.+)")
_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
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


@dataclass(slots=True)
class Block:
    """A part of a template: text, a path, or a repeated body with the path that it runs over."""

    path: list[Step] = field(default_factory=list)
    body: list[Block] | None = None


def parse_template(text: str) -> list[Block]:
    """Read a template; UsageError where its syntax is wrong."""
    root: list[Block] = []
    open_bodies = [root]
    position = 0
    while position < len(text):
        if text[position] != "{":
            end = text.find("{", position)
            end = len(text) if end < 0 else end
            open_bodies[-1].append(Block([_text(text[position:end])]))
            position = end
            continue
        reader = _Reader(text, position + 1)
        words = reader.read_action()
        position = reader.position
        block = Block(reader.steps)
        if words == ["end"]:
            if len(open_bodies) == 1:
                raise UsageError(f'the JSONPath template "{text}" ends a range that was not begun; remove {{end}} or begin with {{range ...}}')
            open_bodies.pop()
            continue
        open_bodies[-1].append(block)
        if words == ["range"]:
            block.body = []
            open_bodies.append(block.body)
    return root


def relaxed(expression: str) -> str:
    """Turn what `--sort-by` and custom columns accept, `.a.b`, `a.b` or `{.a.b}`, into a template."""
    found = _RELAXED.fullmatch(expression)
    if found is None:
        raise UsageError(
            f"unexpected path string {expression!r}, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}'"
        )
    return f"{{.{found[1] or found[2]}}}"


def find(template: Sequence[Block], data: Any) -> list[list[Any]]:
    """Give what each part of the template selects in `data`, in order."""
    return list(_find(template, data))


def _find(template: Sequence[Block], data: Any) -> Iterator[list[Any]]:
    for block in template:
        values = [data]
        for step in block.path:
            values = step(values)
        if block.body is None:
            yield values
        else:
            for value in values:
                yield from _find(block.body, value)


def render(template: Sequence[Block], data: Any) -> str:
    """Give the text of a template for an object; several values of one part are separated by spaces."""
    return "".join(" ".join(value_text(value) for value in values) for values in find(template, data))


def value_text(value: Any) -> str:
    """Write one value as kubectl does: text bare, objects and lists as JSON on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_HTML)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


class _Reader:
    """Reads one action, the text between braces, into steps."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self.steps: list[Step] = []
        self._after_recursion = False

    def read_action(self) -> list[str]:
        """Read up to and past the closing brace; give the keywords met (`range`, `end`)."""
        words: list[str] = []
        while not self._skip("}"):
            if self._skip("[?("):
                self.steps.append(_filter(self._read_filter()))
            elif self._skip(".."):
                self._read_recursion()
            elif self._skip("["):
                self.steps.append(_index(self._until("]", "unterminated array")))
            elif self._skip("."):
                self.steps.append(_field(self._read_name()))
            elif self._peek() in ('"', "'"):
                self.steps.append(_text(self._read_quoted()))
            elif self._peek() in (" ", "@", "$"):
                self.position += 1
            else:
                self._read_word(words)
        return words

    def _read_word(self, words: list[str]) -> None:
        if not (self._peek().isalnum() or self._peek() in ("_", "+", "-")):
            raise self._error("unclosed action" if self._peek() in ("", "\n", "\r") else f"unrecognized character {self._peek()!r}")
        word = self._read_number() if self._peek() in "+-" or self._peek().isdigit() else self._read_name()
        if word in ("range", "end"):
            words.append(word)
        else:
            self.steps.append(_literal(_value_of(word, self._error)))

    def _read_recursion(self) -> None:
        self.steps.append(_recurse)
        if self._peek().isalnum() or self._peek() == "_":
            self.steps.append(_field(self._read_name()))
        elif self._peek() == ".":
            raise self._error("invalid multiple recursive descent")

    def _read_number(self) -> str:
        found = re.compile(r"[+-]?[\d.]*").match(self.text, self.position)
        text = found[0] if found else ""
        self.position += len(text)
        return text

    def _read_name(self) -> str:
        start = self.position
        while self.position < len(self.text) and self.text[self.position] not in _TERMINATORS:
            self.position += 2 if self.text[self.position] == "\\" else 1
        return self.text[start : self.position].replace("\\", "")

    def _read_quoted(self) -> str:
        quote = self.text[self.position]
        start = self.position + 1
        end = start
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self._error("unterminated quoted string")
        self.position = end + 1
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), self.text[start:end])

    def _read_filter(self) -> str:
        start, quote = self.position, ""
        while self.position < len(self.text):
            char = self.text[self.position]
            if quote:
                quote = "" if char == quote and self.text[self.position - 1] != "\\" else quote
            elif char in "\"'":
                quote = char
            elif self.text.startswith(")]", self.position):
                self.position += 2
                return self.text[start : self.position - 2]
            self.position += 1
        raise self._error("unterminated filter")

    def _until(self, closing: str, otherwise: str) -> str:
        end = self.text.find(closing, self.position)
        if end < 0:
            raise self._error(otherwise)
        text = self.text[self.position : end]
        self.position = end + 1
        return text

    def _skip(self, token: str) -> bool:
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _error(self, finding: str) -> UsageError:
        return UsageError(f'the JSONPath template "{self.text}" is wrong at character {self.position + 1}: {finding}')


def _steps(action: str) -> list[Step]:
    reader = _Reader(action + "}", 0)
    reader.read_action()
    return reader.steps


def _value_of(word: str, error: Callable[[str], UsageError]) -> Any:
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word) if "." in word else int(word)
    except ValueError:
        raise error(f"unrecognized identifier {word}") from None


def _text(text: str) -> Step:
    return lambda values: [text]  # noqa: ARG005 - text stands whatever was selected before


def _literal(value: Any) -> Step:
    return lambda values: [value for _ in values]


def _field(name: str) -> Step:
    if name == "*":
        return lambda values: [child for value in values for child in _children(value)]
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _recurse(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if children := _children(value):
            found += [value, *_recurse(children)]
    return found


def _index(text: str) -> Step:
    if "," in text:
        parts = [_index(part.strip()) for part in text.split(",")]
        return lambda values: [found for part in parts for found in part(values)]
    if len(text) > 1 and text[0] == text[-1] == "'":
        return _field(text[1:-1].replace("\\", ""))
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


def _filter(text: str) -> Step:
    comparison = _FILTER.fullmatch(text)
    if comparison is None:
        exists = _steps(text)
        return lambda values: [item for value in values for item in _items(value) if _walk(exists, item)]
    left, right = _steps(comparison[1]), _steps(comparison[3])
    compare = _COMPARE.get(comparison[2])
    if compare is None:
        raise UsageError(f"unrecognized filter operator {comparison[2]} in a JSONPath template; use one of {' '.join(_COMPARE)}")
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
