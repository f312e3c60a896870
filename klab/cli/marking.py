"""What `label` and `annotate` have in common: change or list a map of metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.pairs import Pairs
from klab.api.rollout import group_kind
from klab.cli.backend import Api
from klab.cli.render import out_line
from klab.cli.selection import Choice, Found, find_objects
from klab.cli.targets import Target
from klab.errors import KlabError, UsageError


@dataclass(frozen=True, slots=True)
class Marking:
    """A change of metadata.labels or metadata.annotations (`field`)."""

    field: str
    pairs: Pairs
    resource_version: str
    dry_run: str

    def old(self, one: Found) -> Mapping[str, str]:
        """Give the map before the change."""
        found: Mapping[str, str] = one.obj["metadata"].get(self.field) or {}
        return found

    def apply(self, api: Api, one: Found) -> dict[str, Any]:
        """Give the object after the change; with --dry-run=client it is made of what is known here."""
        metadata = one.obj["metadata"]
        if self.dry_run == "client":
            return {**one.obj, "metadata": {**metadata, self.field: self.pairs.merged_into(self.old(one))}}
        patch = self.pairs.patch(self.field)
        if self.resource_version:
            patch["metadata"]["resourceVersion"] = self.resource_version
        return api.patch(one.resource, one.namespace, one.name, patch, kind="merge", dry_run=self.dry_run == "server")


def check_words(resources: Sequence[str], filenames: Sequence[str] | None, pairs: Pairs, listing: bool, kind: str) -> None:
    """Refuse a command line that names no object, or no change."""
    if not resources and not filenames:
        raise UsageError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not pairs.new and not pairs.removed and not listing:
        raise UsageError(f"at least one {kind} update is required")


def find_marked(api: Api, targets: Sequence[Target], home: str | None, choice: Choice, marking: Marking) -> tuple[list[Found], list[KlabError]]:
    """Give the objects to change; --resource-version is for a single one."""
    choice.check()
    found, errors = find_objects(api, targets, home, choice)
    if marking.resource_version and len(found) + len(errors) != 1:
        raise UsageError("--resource-version may only be used with a single resource")
    return found, errors


def list_marks(one: Found, marks: Mapping[str, str], field: str, *, single: bool) -> None:
    """Print a map, one entry a line, below the object's name if there are several objects."""
    if not single:
        kind = group_kind(one.obj)
        out_line(f"Listing {field} for {kind if '.' in kind else f'{kind}.'}/{one.name}:")
    for key in sorted(marks):
        out_line(f"{'' if single else ' '}{key}={marks[key]}")
