"""The words that name objects: `pods`, `pods,svc`, `pod web-1 web-2`, `pod/web-1 svc/web`, `all` (cli-runtime/pkg/resource/builder.go)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from klab.api.resources import BUILTIN, Registry, Resource
from klab.cli.backend import Api
from klab.errors import NotFoundError, UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """One object by name, or, without a name, all of its kind; `namespace` is that of a manifest that it was found in."""

    resource: Resource
    name: str | None = None
    namespace: str | None = None

    def home(self, namespace: str | None) -> str | None:
        """Give the namespace to ask in, where the command line means `namespace` (None: all of them)."""
        return (self.namespace or namespace) if self.resource.namespaced else None


def resource_of(api: Api, word: str) -> Resource:
    """Find the kind that a person names; a kind that klab does not know is looked up in the lab."""
    try:
        return BUILTIN.by_word(word)
    except NotFoundError:
        return registry_of(api).by_word(word)


def registry_of(api: Api) -> Registry:
    """Give the kinds that the lab serves: klab's own, and those of its CustomResourceDefinitions."""
    found: list[Resource] = []
    for definition in api.list(BUILTIN.by_word("customresourcedefinitions"))["items"]:
        spec, names = definition["spec"], definition["spec"]["names"]
        served = [version["name"] for version in spec["versions"] if version.get("served")]
        found += [
            Resource(
                spec["group"],
                version,
                names["kind"],
                names["plural"],
                names.get("singular") or names["kind"].lower(),
                tuple(names.get("shortNames") or ()),
                spec["scope"] == "Namespaced",
                tuple(names.get("categories") or ()),
            )
            for version in served
        ]
    return BUILTIN.including(found)


def parse_targets(api: Api, words: Sequence[str]) -> list[Target]:
    """Read the words after a verb; UsageError in kubectl's words where they make no sense."""
    if not words:
        raise UsageError("you must specify the type of resource: klab get pods, klab get pod/NAME, klab get all")
    if any("/" in word for word in words):
        return [_pair(api, word) for word in words]
    kinds, names = words[0].split(","), words[1:]
    targets = [Target(resource, name) for kind in kinds for resource in _kinds(api, kind) for name in (names or (None,))]
    return list(dict.fromkeys(targets))


def _kinds(api: Api, word: str) -> Sequence[Resource]:
    """Give the kind, or those of a category; of a kind that has two versions, the preferred one."""
    if not word:
        raise UsageError("an empty kind stands in the list of kinds; write pods,services without blanks or extra commas")
    category = BUILTIN.in_category(word)
    if not category:
        return (resource_of(api, word),)
    return list({(resource.group, resource.kind): resource for resource in reversed(category)}.values())[::-1]


def _pair(api: Api, word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash:
        raise UsageError(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form "
            f"(e.g. 'klab get resource/<resource_name>' instead of 'klab get resource resource/<resource_name>'); found {word!r}"
        )
    if not kind or not name or "/" in name:
        raise UsageError(f"arguments in resource/name form must have a single resource and name; found {word!r}")
    return Target(resource_of(api, kind), name)


def check_selection(targets: Sequence[Target], all_namespaces: bool, selectors: bool) -> None:
    """Refuse what kubectl refuses: names together with selectors, or across all namespaces."""
    if any(target.name for target in targets):
        if selectors:
            raise UsageError("name cannot be provided when a selector is specified")
        if all_namespaces:
            raise UsageError("a resource cannot be retrieved by name across all namespaces")
