"""kubectl's JSONPath dialect; the expected texts are what kubectl 1.33 printed."""

from __future__ import annotations

from typing import Any

import pytest

from klab.cli.jsonpath import parse_template, relaxed, render
from klab.errors import KlabError, UsageError

PODS = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "web-1", "labels": {"app": "web", "tier": "front"}, "annotations": {"klab.dev/x": "y"}},
            "spec": {
                "priority": 0,
                "containers": [
                    {"name": "app", "image": "nginx", "ports": [{"containerPort": 80}, {"containerPort": 53}]},
                    {"name": "side", "image": "pause"},
                ],
            },
            "status": {"podIP": "10.244.0.5", "ready": True, "load": 1.5, "gone": None},
        },
        {"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}, "status": {}},
    ],
}
WEB: dict[str, Any] = PODS["items"][0]  # type: ignore[assignment,index]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "web-1"),
        ("{$.metadata.name}{@.metadata.name}", "web-1web-1"),
        ("name={.metadata.name};", "name=web-1;"),
        ('{.metadata.name}{"\\n"}', "web-1\n"),
        ("{.metadata.name}{'\\t'}", "web-1\t"),
        ("{.spec.containers[*].name}", "app side"),
        ("{.spec.containers[0].name}", "app"),
        ("{.spec.containers[-1].name}", "side"),
        ("{.spec.containers[-1:].name}", "side"),
        ("{.spec.containers[0:2].name}", "app side"),
        ("{.spec.containers[:1].name}", "app"),
        ("{.spec.containers[::2].name}", "app"),
        ("{.spec.containers[0,1].name}", "app side"),
        ("{.metadata.labels['app','tier']}", "web front"),
        ("{.metadata['name']}", "web-1"),
        ("{.metadata.labels}", '{"app":"web","tier":"front"}'),
        ("{.spec.containers[0].ports}", '[{"containerPort":80},{"containerPort":53}]'),
        ("{.spec.containers[*].ports[*].containerPort}", "80 53"),
        ("{..containerPort}", "80 53"),
        ("{.metadata.labels.*}", "web front"),
        ("{.metadata.annotations.klab\\.dev/x}", "y"),
        ('{.spec.containers[?(@.name=="side")].image}', "pause"),
        ("{.spec.containers[?(@.name!='side')].image}", "nginx"),
        ("{.spec.containers[?(@.ports)].name}", "app"),
        ("{.spec.containers[0].ports[?(@.containerPort>=80)].containerPort}", "80"),
        ("{.spec.containers[0].ports[?(@.containerPort<80)].containerPort}", "53"),
        ("{.nothing.at.all}{'|'}{.spec.priority}", "|0"),
        ("{.status.ready} {.status.load} {.status.gone}", "true 1.5 null"),
        ("{range .spec.containers[*]}{.name}:{range .ports[*]}{.containerPort},{end};{end}done", "app:80,53,;side:;done"),
        ("{range .nothing[*]}{.name}{end}x", "x"),
        ("{range .spec.containers[*]}{.name} ", "app side "),
        ("", ""),
        ("plain text", "plain text"),
        ("{1}{true}{-2.5}", "1true-2.5"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(parse_template(template), WEB) == text


def test_a_range_over_a_list_of_objects() -> None:
    template = '{range .items[*]}{.metadata.name}{"\\t"}{.status.podIP}{"\\n"}{end}'
    assert render(parse_template(template), PODS) == "web-1\t10.244.0.5\nplain\t\n"


def test_html_is_escaped_in_json_as_go_does() -> None:
    assert render(parse_template("{.a}"), {"a": {"b": "<x>&"}}) == '{"b":"\\u003cx\\u003e\\u0026"}'


@pytest.mark.parametrize(
    ("template", "finding"),
    [
        ("{.spec.containers[*]", "unclosed action"),
        ("{.spec.containers[0", "unterminated array"),
        ("{.a[?(@.b==1]}", "unterminated filter"),
        ('{"abc}', "unterminated quoted string"),
        ("{end}", "not begun"),
        ("{.a....b}", "invalid multiple recursive descent"),
        ("{.a[x]}", "invalid array index x"),
        ("{foo}", "unrecognized identifier foo"),
        ("{.a (}", "unrecognized character"),
        ("{.a[?(@.b=~1)]}", "unrecognized"),
    ],
)
def test_wrong_templates_are_refused_before_anything_is_asked(template: str, finding: str) -> None:
    with pytest.raises(UsageError, match=finding):
        parse_template(template)


@pytest.mark.parametrize(
    ("template", "finding"),
    [
        ("{.spec.containers[5].name}", "array index out of bounds: index 5, length 2"),
        ("{.metadata.name[0]}", "is not an array"),
        ("{.metadata[?(@.x)]}", "is not an array"),
        ("{.spec.containers[?(@.name>1)]}", "incompatible types"),
        ("{.spec.containers[0:2:0]}", "greater than 0"),
    ],
)
def test_what_does_not_fit_the_object_is_an_error(template: str, finding: str) -> None:
    with pytest.raises(KlabError, match=finding):
        render(parse_template(template), WEB)


def test_paths_may_leave_out_braces_and_dot() -> None:
    assert relaxed("{.a.b}") == relaxed(".a.b") == relaxed("a.b") == relaxed("{a.b}") == "{.a.b}"
    with pytest.raises(UsageError, match="unexpected path string"):
        relaxed("{.a}{.b}")
