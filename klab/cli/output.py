"""`-o`: the machine-readable forms of objects, as kubectl writes them (cli-runtime/pkg/printers, kubectl/pkg/cmd/get/customcolumn.go)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from klab.cli import jsonpath
from klab.cli.jsonsteps import value_text
from klab.cli.printers.table import render_rows, writer
from klab.cli.printers.tabwriter import escape_terminal
from klab.errors import UsageError

Object = Mapping[str, Any]

FORMATS = ("custom-columns", "custom-columns-file", "json", "jsonpath", "jsonpath-as-json", "jsonpath-file", "name", "wide", "yaml")

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def check_format(output: str) -> tuple[str, str]:
    """Split `-o` into its format and argument ("jsonpath", "{.items}"); UsageError for a format that is none, or that lacks its argument."""
    name, _, argument = output.partition("=")
    if name and name not in FORMATS:
        raise UsageError(f'unable to match a printer suitable for the output format "{name}", allowed formats are: {",".join(FORMATS)}')
    if name.startswith(("jsonpath", "custom-columns")) and not argument:
        raise UsageError(f"-o {name} needs a template: -o {name}=...")
    return name, argument


def printer(output: str, headers: bool) -> Callable[[Object], str]:
    """Give the function that writes an object, or a List of them, in the form `-o output`; templates are read, and refused, here."""
    name, argument = check_format(output)
    if name.endswith("-file"):
        name, argument = name.removesuffix("-file"), _read(argument)
    match name:
        case "json":
            return render_json
        case "yaml":
            from klab.cli.yaml_text import render_yaml  # noqa: PLC0415 - 25 ms that the other forms need not pay

            return render_yaml
        case "name":
            return lambda obj: "".join(f"{object_name(one)}\n" for one in items_of(obj))
        case "jsonpath" | "jsonpath-as-json":
            template = jsonpath.parse_template(argument)
            as_json = name == "jsonpath-as-json"
            return lambda obj: "".join(map(render_json, jsonpath.find(template, obj))) if as_json else jsonpath.render(template, obj)
        case "custom-columns":
            return _custom_columns(_columns(argument), headers)
        case _:
            raise UsageError(f'output format "{output}" is for tables alone; use one of {",".join(FORMATS)}')


def data_printer(output: str) -> Callable[[Any], str] | None:
    """Give the function that writes what is no object as `-o json` or `-o yaml`; None without `-o`."""
    if output not in ("", "json", "yaml"):
        raise UsageError(f'unable to match a printer suitable for the output format "{output}", allowed formats are: json,yaml')
    return printer(output, headers=True) if output else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the template {path} cannot be read: {error}") from error


def items_of(obj: Object) -> Sequence[Object]:
    """Give the items of a List, or the object itself."""
    items: Sequence[Object] | None = obj.get("items") if str(obj.get("kind", "")).endswith("List") else None
    return (obj,) if items is None else items


def list_object(items: Sequence[Object]) -> Object:
    """Wrap objects in the List that kubectl prints several of them as."""
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}}


def object_name(obj: Object) -> str:
    """Give kind and name as `-o name` does: `pod/web`, `deployment.apps/web`."""
    group = obj["apiVersion"].rpartition("/")[0]
    return f"{obj['kind'].lower()}{'.' if group else ''}{group}/{obj['metadata'].get('name', '')}"


def render_json(value: Any) -> str:
    """Write JSON with four spaces and sorted keys."""
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False).translate(_HTML) + "\n"


def _column(part: str) -> tuple[str, Sequence[jsonpath.Block]]:
    name, separator, path = part.partition(":")
    if not separator:
        raise UsageError(f"unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
    return name, jsonpath.parse_template(jsonpath.relaxed(path))


def _columns(spec: str) -> list[tuple[str, Sequence[jsonpath.Block]]]:
    """Read `NAME:.path,OTHER:.path`, or the two lines of a custom-columns file: headers, then as many paths."""
    lines = spec.splitlines()
    if len(lines) < 2:  # noqa: PLR2004 - one line: no file
        return [_column(part) for part in spec.split(",")]
    headers, paths = lines[0].split(), lines[1].split()
    if len(headers) != len(paths):
        raise UsageError(f"number of headers ({len(headers)}) and field specifications ({len(paths)}) don't match")
    return [_column(f"{header}:{path}") for header, path in zip(headers, paths, strict=True)]


def _custom_columns(columns: Sequence[tuple[str, Sequence[jsonpath.Block]]], headers: bool) -> Callable[[Object], str]:
    head = [[name for name, _ in columns]] if headers else []

    def render(obj: Object) -> str:
        rows = [[_custom_cell(jsonpath.find(path, one)) for _, path in columns] for one in items_of(obj)]
        return render_rows([*head, *rows], writer())

    return render


def _custom_cell(found: Sequence[Sequence[Any]]) -> str:
    texts = [_go_text(value) for values in found for value in values]
    return ",".join(texts) if found and found[0] else "<none>"


def _go_text(value: Any) -> str:
    """Write a value as Go's fmt.Sprint does: `map[a:b]`, `[x y]`, `<nil>`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(_go_text(one) for one in value)}]"
    return "<nil>" if value is None else escape_terminal(value_text(value))


def sort_objects(objects: Sequence[Object], path: str) -> list[Object]:
    """Sort by the field at `path`; objects without it come first (kubectl's `--sort-by`). UsageError if none has it."""
    template = jsonpath.parse_template(jsonpath.relaxed(path))
    keyed = [(_sort_value(jsonpath.find(template, obj)), obj) for obj in objects]
    if objects and all(value is None for value, _ in keyed):
        raise UsageError(f'couldn\'t find any field with path "{jsonpath.relaxed(path)}" in the list of objects')
    numbers = all(isinstance(value, int | float) for value, _ in keyed if value is not None)
    empty: Any = float("-inf") if numbers else ""
    return [obj for _, obj in sorted(keyed, key=lambda one: empty if one[0] is None else one[0] if numbers else str(one[0]))]


def _sort_value(found: Sequence[Sequence[Any]]) -> Any:
    return found[0][0] if found and found[0] else None
