"""What a request means: its path as a resource, namespace, name and subresource; its query as options. Pure.

Kubernetes API concepts; apiserver/pkg/endpoints/request/requestinfo.go; apimachinery meta/v1 ListOptions and its validation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from klab.api.resources import BUILTIN, Registry, Resource
from klab.api.selectors import FieldSelector, Selector, parse_field_selector, parse_selector
from klab.apiserver.status import refuse
from klab.errors import Fault, InvalidManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence

PODS = BUILTIN.of("v1", "Pod")

NAMESPACE_SUBRESOURCES = ("status", "finalize")
"""What may follow a namespace's own name; anything else there is a resource in it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The collection (name None) or object that a request is about; namespace None means all namespaces, or a cluster-scoped resource."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str | None


def parse_path(path: str, registry: Registry) -> Target | None:
    """Read `/api/v1/...` or `/apis/GROUP/VERSION/...`, percent-encoded; None where nothing is served there."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match parts:
        case ["api", version, *rest] if rest:
            api_version = version
        case ["apis", group, version, *rest] if rest:
            api_version = f"{group}/{version}"
        case _:
            return None
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:  # noqa: PLR2004  # namespaces/NAME/plural
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, None, None][:3]
    if parts[0] == "api" and namespace and rest == ["bindings"]:  # the older way to bind: the pod's name is the Binding's
        return Target(PODS, namespace, None, "binding")
    resource = registry.by_path(api_version, plural or "")
    if resource is None or len(rest) > 3 or "" in rest:  # noqa: PLR2004  # plural/NAME/subresource
        return None
    if resource.namespaced != (namespace is not None) and (name is not None or not resource.namespaced):
        return None
    return Target(resource, namespace, name, subresource)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How to list, watch or delete a collection."""

    selector: Selector | None
    fields: FieldSelector | None
    watch: bool
    bookmarks: bool
    initial_events: bool | None
    timeout_seconds: int | None
    limit: int
    start: tuple[str, str] | None  # of a continued list: the (namespace, name) to go on after
    revision: int | None  # resourceVersion; None where it is not given
    match: str


def parse_list_options(query: Mapping[str, str], target: Target) -> ListOptions:
    """Read the options of a list or watch; UsageError or InvalidManifestError in Kubernetes' words."""
    fields = parse_field_selector(query["fieldSelector"]) if query.get("fieldSelector") else None
    if fields is not None:
        fields.check(target.resource.plural)
    watch = parse_bool(query.get("watch", ""))
    initial = parse_bool(query["sendInitialEvents"]) if query.get("sendInitialEvents") else None
    _check_match(query, watch=watch, initial=initial is not None)
    revision = parse_revision(query.get("resourceVersion", ""))
    start = None
    if query.get("continue"):
        if revision:
            raise refuse("BadRequest", "specifying resource version is not allowed when using continue")
        revision, start = parse_continue(query["continue"])
    return ListOptions(
        selector=parse_selector(query["labelSelector"]) if query.get("labelSelector") else None,
        fields=fields,
        watch=watch,
        bookmarks=parse_bool(query.get("allowWatchBookmarks", "")),
        initial_events=initial,
        timeout_seconds=_parse_number(query, "timeoutSeconds"),
        limit=_parse_number(query, "limit") or 0,
        start=start,
        revision=revision,
        match=query.get("resourceVersionMatch", ""),
    )


def parse_bool(text: str) -> bool:
    """Read a flag of a query as apimachinery does: all but 0 and false is true, absent is false."""
    return text.lower() not in ("", "0", "false")


def parse_revision(text: str) -> int | None:
    """Read a resourceVersion; "" is None."""
    if not text:
        return None
    if not text.isdecimal():
        raise InvalidManifestError([Fault("", "resourceVersion", f'Invalid value: "{text}": must be a number that this server gave out')])
    return int(text)


def parse_dry_run(values: Sequence[str]) -> bool:
    """Read `dryRun=All`, the one value there is."""
    wrong = [value for value in values if value not in ("", "All")]
    if wrong:
        raise InvalidManifestError([Fault("", "dryRun", f'Unsupported value: "{wrong[0]}": supported values: "All"')])
    return "All" in values


def render_continue(revision: int, namespace: str, name: str) -> str:
    """Give the token with which a list goes on after an object, at the revision of its first page."""
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": f"{namespace}/{name}"}
    return base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")


def parse_continue(token: str) -> tuple[int, tuple[str, str]]:
    """Read a token of `render_continue`: revision, (namespace, name)."""
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = found["start"].split("/")
        return int(found["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse("BadRequest", f"continue key is not valid: {error}") from error


def _parse_number(query: Mapping[str, str], option: str) -> int | None:
    text = query.get(option, "")
    if not text:
        return None
    if not text.removeprefix("-").isdecimal():
        raise refuse("BadRequest", f'strconv.ParseInt: parsing "{text}": invalid syntax; {option} takes a whole number')
    return int(text)


def _check_match(query: Mapping[str, str], *, watch: bool, initial: bool) -> None:
    """Check which of resourceVersion, resourceVersionMatch, continue and sendInitialEvents go together (ValidateListOptions)."""
    found = query.get("resourceVersionMatch", "")
    known = ("NotOlderThan",) if watch else ("Exact", "NotOlderThan")
    faults = []
    if found and found not in known:
        names = ", ".join(f'"{name}"' for name in known)
        faults.append(Fault("", "resourceVersionMatch", f'Unsupported value: "{found}": supported values: {names}'))
    version = query.get("resourceVersion", "")
    rules = [
        (bool(found and query.get("continue")), "resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"),
        (
            watch and initial and found != "NotOlderThan",
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            bool(watch and found and not initial),
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            bool(not watch and found and not version),
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            not watch and found == "Exact" and version == "0",
            "resourceVersionMatch",
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (not watch and initial, "sendInitialEvents", "sendInitialEvents is forbidden for list"),
    ]
    faults += [Fault("", field, f"Forbidden: {message}") for broken, field, message in rules if broken]
    if faults:
        raise InvalidManifestError(faults)
