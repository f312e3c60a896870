"""Files, folders and standard input to documents: one Kubernetes object each, with the place that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from klab.api.legacy import convert
from klab.api.meta import Object, name_of, namespace_of
from klab.api.resources import BUILTIN, Registry, Resource
from klab.api.yamltext import TextError, parse_json, parse_yaml, split_documents
from klab.errors import Fault, InvalidManifestError, NotFoundError

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
MAX_BYTES = 16 << 20
"""The largest file that is read: 1000 pods are about half a megabyte."""


@dataclass(frozen=True, slots=True)
class Document:
    """An object and where it was found: `web.yaml, document 2 (Pod default/web)`; `warning` tells of an API version that is not served any more."""

    where: str
    obj: Object
    resource: Resource
    warning: str = ""


def load(sources: Sequence[str], stdin: TextIO | None = None, registry: Registry = BUILTIN) -> list[Document]:
    """Load all objects of `sources` (files, folders, `-` for `stdin`) in order; InvalidManifestError with every fault."""
    documents, faults = collect(sources, stdin, registry)
    if faults:
        raise InvalidManifestError(faults)
    return documents


def collect(sources: Sequence[str], stdin: TextIO | None = None, registry: Registry = BUILTIN) -> tuple[list[Document], list[Fault]]:
    """Load what can be loaded of `sources`, and give it with the faults of the rest."""
    documents: list[Document] = []
    faults: list[Fault] = []
    for name, data in _read_all(sources, stdin, faults):
        before = len(documents), len(faults)
        for where, value in _parse(name, data, faults):
            for place, item in _flatten(where, value):
                _recognise(place, item, registry, documents, faults)
        if (len(documents), len(faults)) == before:
            faults.append(Fault(name, "", "there is no object in it"))
    if not documents and not faults:
        faults.append(Fault("", "", "no objects passed; name a file, a folder or -"))
    return documents, faults


def _read_all(sources: Sequence[str], stdin: TextIO | None, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    """Give (name, text) of every file of `sources`."""
    for source in sources:
        if source == "-":
            yield from _decoded("stdin", _read_stdin(stdin), faults)
            continue
        path = Path(source)
        try:
            for file in _files(path):
                yield from _decoded(str(file), _read_file(file), faults)
        except FileNotFoundError:
            faults.append(Fault(source, "", "the path does not exist"))
        except OSError as error:
            faults.append(Fault(source, "", f"cannot be read: {error.strerror}"))
        except _UnreadableError as error:
            faults.append(Fault(source, "", str(error)))


class _UnreadableError(Exception):
    """The source is no text that could hold manifests."""


def _files(path: Path) -> list[Path]:
    """Give the files of a folder, as kubectl does without --recursive; a file itself."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise _UnreadableError("no *.yaml, *.yml or *.json file in this folder")
    return files


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _read_stdin(stdin: TextIO | None) -> bytes:
    if stdin is None:
        return b""
    buffer = getattr(stdin, "buffer", None)
    data: bytes = buffer.read(MAX_BYTES + 1) if buffer is not None else stdin.read(MAX_BYTES + 1).encode()
    return data


def _decoded(name: str, data: bytes, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    if len(data) > MAX_BYTES:
        faults.append(Fault(name, "", f"larger than {MAX_BYTES >> 20} MiB; split it"))
    elif b"\0" in data:
        faults.append(Fault(name, "", "a binary file, not YAML or JSON"))
    else:
        try:
            yield name, data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            faults.append(Fault(name, "", f"not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}; a binary file?"))


def _parse(name: str, text: str, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """Give (place, value) of each document in `text`; one with a syntax error becomes a fault, the others are still read."""
    if text.lstrip().startswith("{"):
        try:
            values = parse_json(text)
        except TextError as error:
            faults.append(Fault(name, "", f"error parsing JSON: {error}"))
            return
        if values is not None:
            yield from ((f"{name}, document {number}", value) for number, value in enumerate(values, 1))
            return
    number = 0
    for first_line, part in split_documents(text):
        try:
            for value in parse_yaml(part, first_line):
                number += 1
                yield f"{name}, document {number}", value
        except TextError as error:
            number += 1
            faults.append(Fault(f"{name}, document {number}", "", f"error parsing YAML: {error}"))


def _flatten(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the items of a List (also a PodList and the like, whose items need no kind of their own), else the value itself."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(value.get("items"), list):
        yield where, value
        return
    for index, item in enumerate(value["items"]):
        implied = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" and isinstance(item, dict) else {}
        yield from _flatten(f"{where}, items[{index}]", {**implied, **item} if implied else item)


def _recognise(where: str, value: Any, registry: Registry, documents: list[Document], faults: list[Fault]) -> None:
    """Turn a value into a document, or say why it is no object."""
    if not isinstance(value, dict):
        faults.append(Fault(where, "", f"an object is a mapping with apiVersion and kind, not {_kind_of(value)}"))
        return
    missing = [field for field in ("apiVersion", "kind") if not value.get(field)]
    wrong = [field for field in ("apiVersion", "kind") if value.get(field) and not isinstance(value[field], str)]
    faults.extend(Fault(where, field, "Required value: every object names its apiVersion and kind") for field in missing)
    faults.extend(Fault(where, field, f"must be a string, not {_kind_of(value[field])}") for field in wrong)
    if missing or wrong:
        return
    value, warning = convert(value)
    try:
        resource = registry.of(value["apiVersion"], value["kind"])
    except NotFoundError as error:
        faults.append(Fault(f"{where} ({value['kind']} {name_of(value)})".replace(" )", ")"), "kind", str(error)))
        return
    documents.append(Document(f"{where} ({_title(value, resource)})", value, resource, warning))


def _title(obj: Object, resource: Resource) -> str:
    name = name_of(obj) or obj.get("metadata", {}).get("generateName", "") if isinstance(obj.get("metadata"), dict) else ""
    if resource.namespaced and name:
        name = f"{namespace_of(obj) or 'default'}/{name}"
    return f"{resource.kind} {name}".strip()


def _kind_of(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return names[type(value)] if value is not None else "nothing"
