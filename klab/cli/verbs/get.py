"""Show objects, as tables or as yaml, json, names, columns.

The output is kubectl's: its tables, `kind/` prefixes and empty lines between several kinds, `-w` with rows as they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from klab.cli import options, output
from klab.cli.backend import Api, Object
from klab.cli.printers.kinds import columns_of
from klab.cli.printers.table import TableOptions, event_cell, header, render_rows, render_table, row, writer
from klab.cli.render import out, print_error, say, warn
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.cli.targets import Target, check_selection
from klab.errors import KlabError, NotFoundError, UsageError

SECTION = "Objects"


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask for: `namespace` is None for all of them."""

    targets: Sequence[Target]
    namespace: str | None
    selector: str = ""
    fields: str = ""
    sort_by: str = ""


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    field_selector: options.FieldSelector = None,
    output_format: options.Output = "",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="After showing the objects, show every change.")] = False,
    watch_only: Annotated[bool, typer.Option("--watch-only", help="Show changes alone.")] = False,
    output_watch_events: Annotated[bool, typer.Option("--output-watch-events", help="Show ADDED, MODIFIED or DELETED with each change.")] = False,
    show_labels: Annotated[bool, typer.Option("--show-labels", help="Show all labels in a last column.")] = False,
    label_columns: Annotated[list[str] | None, typer.Option("-L", "--label-columns", metavar="KEY", help="Show this label in a column.")] = None,
    show_kind: Annotated[bool, typer.Option("--show-kind", help="Write names as kind/name.")] = False,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    sort_by: Annotated[str | None, typer.Option("--sort-by", metavar="PATH", help="Sort by a field: .metadata.creationTimestamp.")] = None,
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="Exit with 0 if a named object does not exist.")] = False,
    lab: options.Lab = None,
) -> int:
    """Show objects.

    For example:
      klab get pods -o wide
      klab get pod/web -o yaml
      klab get svc,endpoints -A
      klab get all
      klab get nodes -w
    """
    name, _ = output.check_format(output_format)
    if show_labels and name not in ("", "wide"):
        raise UsageError(f"--show-labels option cannot be used with {name} printer")
    if output_watch_events and not (watch or watch_only):
        raise UsageError("--output-watch-events option can only be used with --watch or --watch-only")
    printer = output.printer(output_format, not no_headers) if name not in ("", "wide") else None
    api = api_of(ctx, lab)
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    check_selection(targets, all_namespaces, bool(selector or field_selector))
    query = Query(targets, None if all_namespaces else namespace_of(ctx, namespace), selector or "", field_selector or "", sort_by or "")
    table = TableOptions(
        wide=name == "wide",
        headers=not no_headers,
        show_labels=show_labels,
        label_columns=tuple(key for keys in label_columns or () for key in keys.split(",")),
    )
    if watch or watch_only:
        _watch(api, query, table, printer, _WatchOptions(watch_only, output_watch_events and name != "name"))
        return 0
    found, errors = _fetch(api, query, ignore_not_found)
    if printer:
        single = len(targets) == 1 and targets[0].name is not None
        if not (single and not found):
            out(printer(found[0][1][0] if single else output.list_object([one for _, objects in found for one in objects])))
    else:
        text = _tables(found, query, table, show_kind)
        out(text)
        if not text and not errors and not ignore_not_found:
            say(_nothing(query))
    for error in errors:
        print_error(str(error))
    return errors[0].exit_code if errors else 0


def _fetch(api: Api, query: Query, ignore_not_found: bool) -> tuple[list[tuple[Target, Sequence[Object]]], list[KlabError]]:
    """Ask for everything; what does not exist does not keep the rest from being shown."""
    found: list[tuple[Target, Sequence[Object]]] = []
    errors: list[KlabError] = []
    for target in query.targets:
        try:
            if target.name is None:
                objects: Sequence[Object] = api.list(target.resource, target.home(query.namespace), query.selector, query.fields)["items"]
            else:
                objects = [api.get(target.resource, target.home(query.namespace), target.name)]
        except NotFoundError as error:
            if not ignore_not_found:
                errors.append(error)
            continue
        found.append((target, objects))
    if query.sort_by and any(objects for _, objects in found):
        found = [(target, output.sort_objects(objects, query.sort_by)) for target, objects in found]
    return found, errors


def _tables(found: Sequence[tuple[Target, Sequence[Object]]], query: Query, table: TableOptions, show_kind: bool) -> str:
    """Give a table per kind, an empty line between two; objects of one kind that were named one by one share a table."""
    groups: dict[Any, list[Object]] = {}
    for target, objects in found:
        groups.setdefault(target.resource, []).extend(objects)
    several = len({target.resource for target in query.targets}) > 1
    now = datetime.now(UTC)
    texts = []
    for resource, objects in groups.items():
        decorated = replace(
            table,
            namespace=query.namespace is None and resource.namespaced,
            kind=f"{resource.singular}{'.' if resource.group else ''}{resource.group}" if several or show_kind else "",
        )
        texts.append(render_table(columns_of(resource.kind), objects, now, decorated))
    return ("\n" if table.headers else "").join(text for text in texts if text)


def _nothing(query: Query) -> str:
    namespaced = query.namespace is not None and all(target.resource.namespaced for target in query.targets)
    return f"No resources found in {query.namespace} namespace." if namespaced else "No resources found"


@dataclass(frozen=True, slots=True)
class _WatchOptions:
    only: bool
    events: bool


def _watch(api: Api, query: Query, table: TableOptions, printer: Any, how: _WatchOptions) -> None:
    """Show the objects and then each of their changes, until interrupted."""
    if len({target.resource for target in query.targets}) > 1:
        raise UsageError("watch is only supported on individual resources and resource collections - more than 1 resource was found")
    if query.sort_by:
        warn("--watch requested, --sort-by will be ignored for watch events received")
    target = query.targets[0]
    namespace = target.home(query.namespace)
    fields = f"metadata.name={target.name}" if target.name else query.fields
    if target.name:
        api.get(target.resource, namespace, target.name)
    listed = api.list(target.resource, namespace, query.selector, fields)
    objects, version = listed["items"], listed["metadata"]["resourceVersion"]
    show = _Shower(target, replace(table, namespace=query.namespace is None and target.resource.namespaced), printer, how.events)
    if not how.only:
        for obj in output.sort_objects(objects, query.sort_by) if query.sort_by else objects:
            show("ADDED", obj)
    for kind, obj in api.watch(target.resource, namespace, query.selector, fields, version):
        show(kind, obj)


class _Shower:
    """Prints objects one after another under one header, in columns that only grow."""

    def __init__(self, target: Target, table: TableOptions, printer: Any, events: bool) -> None:
        self._columns = columns_of(target.resource.kind)
        self._table, self._printer, self._events = table, printer, events
        self._writer = writer()
        self._begun = not table.headers

    def __call__(self, kind: str, obj: Object) -> None:
        """Print one object, or one event."""
        if self._printer:
            out(self._printer({"type": kind, "object": obj} if self._events else obj))
            return
        rows = [] if self._begun else [[*(["EVENT"] if self._events else []), *header(self._columns, self._table)]]
        self._begun = True
        rows.append([*([event_cell(kind)] if self._events else []), *row(self._columns, obj, datetime.now(UTC), self._table)])
        out(render_rows(rows, self._writer))
