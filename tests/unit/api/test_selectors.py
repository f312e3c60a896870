"""Label and field selectors, with the cases of apimachinery's own tests."""

from __future__ import annotations

import pytest

from klab.api.resources import by_word
from klab.api.selectors import EVERYTHING, NOTHING, Requirement, Selector, parse_field_selector, parse_selector
from klab.errors import UsageError

WEB = {"app": "web", "tier": "front", "n": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = front", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("app in (web,db)", True),
        ("app in (db)", False),
        ("tier notin (web,worker)", True),
        ("tier notin (front)", False),
        ("missing notin (front)", True),
        ("missing in (front)", False),
        ("empty=", True),
        ("empty in ()", True),
        ("empty in (,x)", True),
        ("app=,tier=front", False),
        ("n>4", True),
        ("n>5", False),
        ("n<6", True),
        ("app>4", False),
        ("missing<4", False),
        ("in in (in,notin)", False),
        ("app in (web),tier notin (back),!x", True),
    ],
)
def test_matching(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(WEB) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b,", "found '', expected: identifier after ','"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=3", "found '=', expected: ',' or 'end of string'"),
        ("a=(b)", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("n>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'),
        ("a=b/c", 'unable to parse requirement: values[0][a]: Invalid value: "b/c": a valid label must be'),
        ("a=" + "x" * 64, "must be no more than 63 bytes"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("x gt 3", "expected: in, notin"),
    ],
)
def test_refusals_in_kubectls_words(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selector(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["app=web", "!x", "x", "a in (b,c)", "a notin (b)", "a>3", "a!=b", "a==b"])
def test_text_of_a_selector_parses_to_the_same(text: str) -> None:
    selector = parse_selector(text)
    assert parse_selector(str(selector)) == selector


def test_requirements_are_sorted_by_key() -> None:
    assert str(parse_selector("b=1,a=2")) == "a=2,b=1"


def test_label_selector_mappings() -> None:
    selector = Selector.of(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "tier", "operator": "NotIn", "values": ["back"]},
                {"key": "app", "operator": "Exists"},
                {"key": "x", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.matches(WEB)
    assert not selector.matches(WEB | {"x": "1"})
    assert not selector.matches(WEB | {"tier": "back"})


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert Selector.of(None) is NOTHING
    assert not NOTHING.matches({})
    assert Selector.of({}) == EVERYTHING
    assert EVERYTHING.matches(None)


def test_a_mapping_of_labels() -> None:
    assert Selector.of_labels({"app": "web"}).requirements == (Requirement("app", "=", ("web",)),)
    assert Selector.of_labels(None).matches({"any": "thing"})


POD = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"nodeName": "node1", "hostNetwork": True}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("metadata.name=web", True),
        ("metadata.name==web,status.phase=Running", True),
        ("status.phase!=Running", False),
        ("status.podIP=", True),
        ("spec.hostNetwork=true", True),
        ("metadata.name=a\\,b", False),
    ],
)
def test_field_selectors(text: str, matches: bool) -> None:
    assert parse_field_selector(text).matches(POD) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("a=b=c", "invalid field selector: unescaped character in value: ="),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
    ],
)
def test_field_selector_refusals(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_field_selector(text)
    assert str(caught.value) == message


def test_escapes_survive_a_round_trip() -> None:
    selector = parse_field_selector("reason=a\\,b\\=c\\\\,type=x")
    assert selector.terms == (("reason", "a,b=c\\", True), ("type", "x", True))
    assert parse_field_selector(str(selector)) == selector


def test_fields_that_the_server_does_not_know() -> None:
    parse_field_selector("spec.nodeName=x,metadata.name=y").check(by_word("pods").plural)
    with pytest.raises(UsageError, match=r"field label not supported: spec\.image"):
        parse_field_selector("spec.image=x").check("pods")
