"""Files, folders and standard input; everything that may be wrong with them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from klab.api import load as load_module
from klab.api.load import collect, load
from klab.errors import InvalidManifestError


def places(*sources: object, stdin: str | None = None) -> list[str]:
    return [document.where for document in load([str(source) for source in sources], io.StringIO(stdin) if stdin is not None else None)]


def faults(*sources: object, stdin: str | None = None) -> list[str]:
    with pytest.raises(InvalidManifestError) as caught:
        places(*sources, stdin=stdin)
    assert caught.value.exit_code == 3
    return [str(fault) for fault in caught.value.faults]


def test_documents_know_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("kind: Pod\napiVersion: v1\nmetadata: {name: web}\n---\n\n---\napiVersion: v1\nkind: Node\nmetadata: {name: node1}\n---\n# end\n")
    assert places(file) == [f"{file}, document 1 (Pod default/web)", f"{file}, document 2 (Node node1)"]


def test_folders_are_read_in_order_and_not_below(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "readme.md", "sub/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name[0]}"}}}}')
    assert [place.rpartition("/")[2] for place in places(tmp_path)] == ["a)", "b)", "c)"]


def test_standard_input_json_stream_and_lists() -> None:
    pod = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}'
    text = f'{{"apiVersion": "v1", "kind": "List", "items": [{pod}]}}\n{{"apiVersion": "v1", "kind": "Namespace"}}'
    assert places("-", stdin=text) == ["stdin, document 1, items[0] (Pod default/a)", "stdin, document 2 (Namespace)"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    text = "apiVersion: apps/v1\nkind: DeploymentList\nitems: [{metadata: {name: a, namespace: x}}]"
    (document,) = load(["-"], io.StringIO(text))
    assert (document.where, document.obj["kind"]) == ("stdin, document 1, items[0] (Deployment x/a)", "Deployment")


def test_generated_names_are_shown() -> None:
    assert places("-", stdin="{apiVersion: v1, kind: Pod, metadata: {generateName: web-}}") == ["stdin, document 1 (Pod default/web-)"]


def test_objects_are_kept_as_they_are() -> None:
    (document,) = load(["-"], io.StringIO("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {x: [1, null]}}"))
    assert document.obj == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": [1, None]}}


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfapiVersion: v1\nkind: Namespace\n")
    assert places(file) == [f"{file}, document 1 (Namespace)"]


def test_everything_wrong_with_files_at_once(tmp_path: Path) -> None:
    content = {
        "binary.yaml": b"\x7fELF\0\0",
        "latin.yaml": b"a: \xe4",
        "empty.yaml": b"",
        "comment.yaml": b"# nothing\n---\n",
        "syntax.yaml": b"a: [\n",
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    assert [fault.replace(f"{tmp_path}/", "") for fault in faults(*(tmp_path / name for name in (*content, "missing.yaml", "folder")))] == [
        "binary.yaml: a binary file, not YAML or JSON",
        "latin.yaml: not UTF-8 text: byte 0xe4 at offset 3; a binary file?",
        "empty.yaml: there is no object in it",
        "comment.yaml: there is no object in it",
        "syntax.yaml, document 1: error parsing YAML: line 2, column 1: did not find expected node content (while parsing a flow node)",
        "missing.yaml: the path does not exist",
        "folder: no *.yaml, *.yml or *.json file in this folder",
    ]


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    assert faults(loop) == [f"{loop}: cannot be read: Too many levels of symbolic links"]


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("a" * 100)
    monkeypatch.setattr(load_module, "MAX_BYTES", 99)
    assert faults(file) == [f"{file}: larger than 0 MiB; split it"]


def test_a_device_without_end_is_refused() -> None:
    assert faults("/dev/zero") == ["/dev/zero: larger than 16 MiB; split it"]


def test_faults_of_documents_do_not_hide_each_other() -> None:
    bad = ["kind: x", "foo", "a: [", "[1]", "5", "{apiVersion: 1, kind: {a: b}}", "{apiVersion: v1, kind: Srevice, metadata: {name: q}}"]
    text = "\n---\n".join(bad)
    assert faults("-", stdin=text) == [
        "stdin, document 1: apiVersion: Required value: every object names its apiVersion and kind",
        "stdin, document 2: an object is a mapping with apiVersion and kind, not a text",
        "stdin, document 3: error parsing YAML: line 6, column 1: did not find expected node content (while parsing a flow node)",
        "stdin, document 4: an object is a mapping with apiVersion and kind, not a list",
        "stdin, document 5: an object is a mapping with apiVersion and kind, not a number",
        "stdin, document 6: apiVersion: must be a string, not a number",
        "stdin, document 6: kind: must be a string, not a mapping",
        'stdin, document 7 (Srevice q): kind: no matches for kind "Srevice" in version "v1"; did you mean "Service"?',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"apiVersion": "v1", "apiVersion": "v1"}', 'stdin: error parsing JSON: key "apiVersion" already set in map'),
        ("{apiVersion: extensions/v1beta1, kind: NetworkPolicy}", "NetworkPolicy is in networking.k8s.io/v1"),
        ("{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}, 5]}", "stdin, document 1, items[1]: an object is a mapping"),
        ("", "stdin: there is no object in it"),
        ("a: 1\n\x01", "control characters are not allowed"),
        ("a: 1\n\0", "stdin: a binary file, not YAML or JSON"),
    ],
)
def test_single_faults(text: str, fault: str) -> None:
    assert fault in "\n".join(faults("-", stdin=text))


def test_good_documents_are_collected_beside_the_faults() -> None:
    documents, found = collect(["-"], io.StringIO("{apiVersion: v1, kind: Pod}\n---\n{kind: Pod}"))
    assert ([document.where for document in documents], len(found)) == (["stdin, document 1 (Pod)"], 1)


def test_no_source_at_all() -> None:
    assert faults() == ["no objects passed; name a file, a folder or -"]
    assert faults("-") == ["stdin: there is no object in it"]
