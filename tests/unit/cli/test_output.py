"""`-o` forms; golden/tricky.* are what kubectl 1.33 printed for a ConfigMap of strings that need care."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from klab.cli.output import check_format, data_printer, list_object, printer, sort_objects
from klab.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"
WEB = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "status": {"podIPs": [{"ip": "1.2.3.4"}, {"ip": "::1"}]},
}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_strings_are_written_as_kubectl_writes_them(form: str) -> None:
    obj = json.loads((GOLDEN / "tricky.json").read_text())
    expected = (GOLDEN / f"tricky.{form}").read_text()
    if form == "json":
        expected = expected.translate({ord(char): f"\\u{ord(char):04x}" for char in "<>&"})
    assert printer(form, headers=True)(obj) == expected


def test_a_list_is_sorted_and_its_items_are_not_indented() -> None:
    assert printer("yaml", headers=True)(list_object([DEPLOYMENT])) == (
        "apiVersion: v1\n"
        "items:\n"
        "- apiVersion: apps/v1\n"
        "  kind: Deployment\n"
        "  metadata:\n"
        "    name: web\n"
        "kind: List\n"
        "metadata:\n"
        '  resourceVersion: ""\n'
    )


def test_the_same_object_twice_gives_no_anchor() -> None:
    shared = {"a": "b"}
    assert printer("yaml", headers=True)({"a": shared, "b": shared}) == "a:\n  a: b\nb:\n  a: b\n"


def test_names_have_the_group() -> None:
    assert printer("name", headers=True)(list_object([WEB, DEPLOYMENT])) == "pod/web\ndeployment.apps/web\n"


def test_custom_columns() -> None:
    columns = "custom-columns=NAME:.metadata.name,IPS:.status.podIPs[*].ip,L:.metadata.labels"
    assert printer(columns, headers=True)(list_object([WEB, DEPLOYMENT])) == (
        "NAME   IPS           L\nweb    1.2.3.4,::1   map[app:web]\nweb    <none>        <none>\n"
    )
    assert printer("custom-columns=NAME:metadata.name", headers=False)(WEB) == "web\n"


def test_custom_columns_from_a_file(tmp_path: Path) -> None:
    spec = tmp_path / "columns"
    spec.write_text("NAME KIND\nmetadata.name .kind\n")
    assert printer(f"custom-columns-file={spec}", headers=True)(WEB) == "NAME   KIND\nweb    Pod\n"
    spec.write_text("NAME KIND\nmetadata.name\n")
    with pytest.raises(UsageError, match=r"number of headers \(2\) and field specifications \(1\)"):
        printer(f"custom-columns-file={spec}", headers=True)


def test_jsonpath_from_a_file(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text("{.metadata.name}")
    assert printer(f"jsonpath-file={template}", headers=True)(WEB) == "web"


def test_jsonpath_as_json() -> None:
    assert printer("jsonpath-as-json={.metadata.name}", headers=True)(WEB) == '[\n    "web"\n]\n'


@pytest.mark.parametrize(
    ("form", "finding"),
    [
        ("foo", 'unable to match a printer suitable for the output format "foo", allowed formats are:.*yaml'),
        ("jsonpath", "needs a template"),
        ("custom-columns=A", "unexpected custom-columns spec: A, expected <header>:<json-path-expr>"),
        ("jsonpath-file=/nonexistent", "cannot be read"),
    ],
)
def test_unknown_forms_are_refused(form: str, finding: str) -> None:
    with pytest.raises(UsageError, match=finding):
        printer(form, headers=True)


def test_formats_have_an_argument() -> None:
    assert check_format("jsonpath={.a=b}") == ("jsonpath", "{.a=b}")
    assert check_format("") == ("", "")
    assert data_printer("") is None
    with pytest.raises(UsageError, match="json,yaml"):
        data_printer("wide")


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **fields}


@pytest.mark.parametrize(
    ("path", "order"),
    [
        (".metadata.name", ["a", "b", "c"]),
        ("{.n}", ["b", "c", "a"]),
        ("t", ["b", "c", "a"]),
    ],
)
def test_sorting(path: str, order: list[str]) -> None:
    objects = [named("c", n=9, t="m"), named("a", n=10, t="x"), named("b")]
    assert [obj["metadata"]["name"] for obj in sort_objects(objects, path)] == order


def test_sorting_by_a_field_that_none_has_is_refused() -> None:
    with pytest.raises(UsageError, match="couldn't find any field with path"):
        sort_objects([named("a")], ".nope")
    assert sort_objects([], ".nope") == []
