r"""kubectl's JSONPath templates, `{range .items[*]}{.metadata.name}{"\n"}{end}`: the dialect of k8s.io/client-go/util/jsonpath.

It is no RFC 9535: text stands outside of braces, `$` and `@` both mean the current object, `range` and `end` repeat, a missing key gives nothing.
`parse_template` reads a template once; `find` gives what it selects in an object, `render` the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from klab.cli import jsonsteps
from klab.cli.jsonsteps import Step, value_text
from klab.errors import UsageError

_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")
_FILTER = re.compile(r"([^!<>=]+)([!<>=]+)(.+)")
_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


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
            open_bodies[-1].append(Block([jsonsteps.text(text[position:end])]))
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


class _Reader:
    """Reads one action, the text between braces, into steps."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self.steps: list[Step] = []

    def read_action(self) -> list[str]:
        """Read up to and past the closing brace; give the keywords met (`range`, `end`)."""
        words: list[str] = []
        while not self._skip("}"):
            if self._skip("[?("):
                self.steps.append(_filter(self._read_filter()))
            elif self._skip(".."):
                self._read_recursion()
            elif self._skip("["):
                self.steps.append(jsonsteps.index(self._until("]", "unterminated array")))
            elif self._skip("."):
                self.steps.append(jsonsteps.field(self._read_name()))
            elif self._peek() in ('"', "'"):
                self.steps.append(jsonsteps.text(self._read_quoted()))
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
            self.steps.append(jsonsteps.literal(_value_of(word, self._error)))

    def _read_recursion(self) -> None:
        self.steps.append(jsonsteps.recurse)
        if self._peek().isalnum() or self._peek() == "_":
            self.steps.append(jsonsteps.field(self._read_name()))
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


def _filter(text: str) -> Step:
    found = _FILTER.fullmatch(text)
    return jsonsteps.comparison(_steps(found[1]), found[2], _steps(found[3])) if found else jsonsteps.exists(_steps(text))


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
