"""Describe objects in full, with the events about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from klab.cli import options
from klab.cli.backend import Api, Object
from klab.cli.describers.kinds import describe
from klab.cli.describers.lookup import Lookup
from klab.cli.render import out, print_error, say
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.cli.targets import Target, check_selection
from klab.errors import KlabError, NotFoundError

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    show_events: Annotated[bool, typer.Option("--show-events/--no-show-events", help="Show the events about the object.")] = True,
    lab: options.Lab = None,
) -> int:
    """Describe objects; a name that none has describes those whose names begin with it.

    For example:
      klab describe pod web-1
      klab describe svc/web
      klab describe nodes
      klab describe pods -l app=web
    """
    api = api_of(ctx, lab)
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    check_selection(targets, all_namespaces, bool(selector))
    home = None if all_namespaces else namespace_of(ctx, namespace)
    found: list[Object] = []
    errors: list[KlabError] = []
    for target in targets:
        try:
            found += _find(api, target, target.home(home), selector or "")
        except NotFoundError as error:
            errors.append(error)
    lookup = Lookup(api, datetime.now(UTC), show_events)
    out("\n\n".join(describe(obj, lookup) for obj in found))
    for failure in errors:
        print_error(str(failure))
    if not found and not errors:
        say(f"No resources found in {home} namespace." if home and all(target.resource.namespaced for target in targets) else "No resources found")
    return errors[0].exit_code if errors else 0


def _find(api: Api, target: Target, namespace: str | None, selector: str) -> Sequence[Object]:
    """Give the objects of a target: the one of that name, or those whose names begin with it."""
    if target.name is None:
        found: Sequence[Object] = api.list(target.resource, namespace, selector)["items"]
        return found
    try:
        return [api.get(target.resource, namespace, target.name)]
    except NotFoundError:
        alike = [obj for obj in api.list(target.resource, namespace)["items"] if obj["metadata"]["name"].startswith(target.name)]
        if not alike:
            raise
        return alike
