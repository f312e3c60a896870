"""YAML as kubectl reads it, and text that means harm."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.yamltext import MAX_ALIASED, MAX_DEPTH, TextError, parse_json, parse_yaml, resolve_plain, split_documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("Off", False), ("n", False), ("y", True), ("true", True), ("FALSE", False), ("nO", "nO"),
        ("~", None), ("null", None), ("", None),
        ("80", 80), ("-1", -1), ("+5", 5), ("0777", 511), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("08", 8),
        ("-0x10", -16), ("0", 0),
        ("3.0", 3), ("1e3", 1000), ("1.25", 1.25), (".5", 0.5), ("-.5", -0.5), ("1.", 1),
        ("2001-01-01", "2001-01-01"), ("2001-12-14T21:59:43Z", "2001-12-14T21:59:43Z"), ("12:30:45", "12:30:45"),
        ("10.0.0.1", "10.0.0.1"),
        ("1.2.3", "1.2.3"), ("=", "="), ("1Gi", "1Gi"), ("500m", "500m"), ("0x", "0x"), ("nginx:1.25", "nginx:1.25"),
        ("...", "..."), ("-", "-"), ("1e999", "1e999"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: Any) -> None:
    resolved = resolve_plain(text)
    assert (resolved, type(resolved)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: '5'\nb: \"yes\"\nc: !!str 5\nd: !!int '7'", {"a": "5", "b": "yes", "c": "5", "d": 7}),
        ("1: a\ntrue: b\n1.5: c\nnull_: d", {"1": "a", "true": "b", "1.5": "c", "null_": "d"}),
        (
            "a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\nd: {<<: [*x, {k: 3, m: 4}], k: 9}",
            {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}, "d": {"k": 9, "m": 4}},
        ),
        ("a: |\n  x\n  ---\n  y\n", {"a": "x\n---\ny\n"}),
        ("{\n  # KYAML\n  a: [1, 2,],\n}", {"a": [1, 2]}),
        ("a: !custom b", {"a": "b"}),
        ("a: !!binary aGk=", {"a": "hi"}),
        ("a: !!python/object/apply:os.system [ls]", {"a": ["ls"]}),
        ("b: 2\r\nc: 3\r\n", {"b": 2, "c": 3}),
    ],
)
def test_documents(text: str, value: Any) -> None:
    assert parse_yaml(text) == [value]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", 'line 3, column 1: key "a" already set in map'),
        ("{a: 1, a: 2}", 'line 1, column 8: key "a" already set in map'),
        ("a: [1,\nb: }", "line 2, column 4: did not find expected node content (while parsing a flow node)"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed in this context"),
        ("a:\n\t- b", "line 2, column 1: found character that cannot start any token (while scanning for the next token)"),
        ("a: 'x", "found unexpected end of stream"),
        ("a: *b", "line 1, column 4: found undefined alias"),
        ("a: &a [*a]", "line 1, column 4: an anchor contains an alias to itself"),
        ("? [a]\n: b", "line 1, column 3: a key must be a string"),
        ("~: b", "line 1, column 1: a key must be a string"),
        ("a: .nan", "line 1, column 4: unsupported value: .nan"),
        ("a: !!int x", "line 1, column 4: cannot decode !!str `x` as a !!int"),
        ("a: !!binary '*'", "line 1, column 4: !!binary value contains invalid base64 data"),
        ("a: {<<: 5}", "line 1, column 9: map merge requires map or sequence of maps as the value"),
        ("\x01", "control characters are not allowed"),
    ],
)
def test_faults_have_their_place(text: str, message: str) -> None:
    with pytest.raises(TextError) as caught:
        parse_yaml(text)
    assert message in str(caught.value)


def test_lines_are_those_of_the_file() -> None:
    *_, (first_line, part) = split_documents("a: 1\n---\nb: 2\nb: 3\n")
    with pytest.raises(TextError, match="line 4, column 1"):
        parse_yaml(part, first_line)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))


def test_a_bomb_is_refused_before_it_expands() -> None:
    with pytest.raises(TextError, match=f"aliases expand to more than {MAX_ALIASED} values"):
        parse_yaml(BOMB)


def test_aliases_in_moderation_are_fine() -> None:
    text = "a: &a {k: [1, 2, 3]}\nb: [" + ", ".join(["*a"] * 1000) + "]"
    assert len(parse_yaml(text)[0]["b"]) == 1000


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 50_000, '{"a":' * 100_000])
def test_nesting_that_would_crash_the_parser_is_refused(text: str) -> None:
    with pytest.raises(TextError, match=f"nested deeper than {MAX_DEPTH} levels"):
        parse_yaml(text)


def test_splitting() -> None:
    text = "# heading\n%YAML 1.2\n---\na: 1\n--- # comment\nb: |\n  ---\n---\n---\nc: 3\n"
    parts = list(split_documents(text))
    assert [first for first, _ in parts] == [0, 4, 7, 8]
    assert [parse_yaml(part, first) for first, part in parts] == [[{"a": 1}], [{"b": "---\n"}], [], [{"c": 3}]]


def test_json_streams() -> None:
    assert parse_json('{"a": 1}\n{"b": 2}  \n') == [{"a": 1}, {"b": 2}]
    assert parse_json("{a: 1}") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', 'key "a" already set in map'),
        ('{"a": NaN}', "unsupported value: NaN"),
        ('{"a": ' * 100_000, "nested deeper"),
        ("[" * 300 + "]" * 300, "nested deeper"),
    ],
)
def test_json_faults(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        parse_json(text)
