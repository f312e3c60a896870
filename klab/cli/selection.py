"""The objects that a command line means: by name, by label, by field, all of a kind (cli-runtime/pkg/resource/builder.go)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from klab.api.resources import Resource
from klab.cli.backend import Api, Object
from klab.cli.render import say
from klab.cli.targets import Target, check_selection
from klab.errors import KlabError, NotFoundError, UsageError


@dataclass(frozen=True, slots=True)
class Choice:
    """Which objects of a kind, where no names are given."""

    every: bool = False
    selector: str = ""
    fields: str = ""

    def __bool__(self) -> bool:
        """Tell whether anything was chosen."""
        return bool(self.every or self.selector or self.fields)

    def check(self) -> None:
        """Refuse --all together with a selector."""
        if self.every and self.selector:
            raise UsageError("cannot set --all and --selector at the same time")
        if self.every and self.fields:
            raise UsageError("cannot set --all and --field-selector at the same time")


@dataclass(frozen=True, slots=True)
class Found:
    """An object of the lab, and its kind."""

    resource: Resource
    obj: Object

    @property
    def name(self) -> str:
        """Give metadata.name."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        """Give metadata.namespace, None for what has none."""
        return self.obj["metadata"].get("namespace") if self.resource.namespaced else None

    def __str__(self) -> str:
        """Give the object as error messages name it: `deployments.apps "web"`."""
        return f'{self.resource.qualified} "{self.name}"'


def find_objects(api: Api, targets: Sequence[Target], home: str | None, choice: Choice) -> tuple[list[Found], list[KlabError]]:
    """Give the objects of `targets` (`home` None: of all namespaces), and a NotFoundError for each name that none has."""
    check_selection(targets, home is None, bool(choice))
    found: list[Found] = []
    errors: list[KlabError] = []
    for target in targets:
        place = target.home(home)
        if target.name is None:
            if not choice:
                raise UsageError("resource(s) were provided, but no name was specified; give names, -l QUERY or --all")
            found += [Found(target.resource, item) for item in api.list(target.resource, place, choice.selector, choice.fields)["items"]]
            continue
        try:
            found.append(Found(target.resource, api.get(target.resource, place, target.name)))
        except NotFoundError as error:
            errors.append(error)
    return found, errors


def is_single(targets: Sequence[Target]) -> bool:
    """Tell whether one object is named, and not a set of them that may have one member."""
    return len(targets) == 1 and targets[0].name is not None


def say_nothing_found(namespace: str | None) -> None:
    """Tell that there is nothing."""
    say(f"No resources found in {namespace} namespace." if namespace else "No resources found")
