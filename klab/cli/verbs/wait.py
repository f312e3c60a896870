"""Wait until objects have a condition, exist, or are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from klab.cli import options
from klab.cli.backend import Api, Object
from klab.cli.conditions import Condition, parse_condition
from klab.cli.durations import parse_duration
from klab.cli.following import Deadline, follow, follow_one
from klab.cli.results import finish, make_report
from klab.cli.selection import Choice, Found, find_objects
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.cli.targets import Target
from klab.errors import KlabError, NotFoundError

SECTION = "Objects"

_TIMED_OUT = "timed out waiting for the condition"
_WEEK = 7 * 24 * 3600.0


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    awaited: Annotated[
        str, typer.Option("--for", metavar="CONDITION", help="create, delete, condition=NAME[=VALUE], or jsonpath='{PATH}'[=VALUE].")
    ] = "",
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    field_selector: options.FieldSelector = None,
    every: options.All = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long to wait; 0 looks once, a negative one waits for a week.")
    ] = "30s",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Wait until each of the objects is as it is wanted.

    For example:
      klab wait --for=condition=Ready pod/web
      klab wait --for=condition=Available deployment --all --timeout=60s
      klab wait --for=jsonpath='{.status.phase}'=Running pods -l app=web
      klab wait --for=create service/web
      klab wait --for=delete pod/web --timeout=60s
    """
    kind = awaited.lower() if awaited.lower() in ("create", "delete") else ""
    condition = None if kind else parse_condition(awaited)
    report, seconds = make_report(output_format), parse_duration(timeout, "--timeout")
    deadline = Deadline(_WEEK if seconds < 0 else seconds)
    choice = Choice(every, selector or "", field_selector or "")
    choice.check()
    api = api_of(ctx, lab)
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    home = None if all_namespaces else namespace_of(ctx, namespace)
    if kind == "create":
        _await_created(api, targets, home, choice, deadline)
    found, errors = find_objects(api, targets, home, choice)
    if kind == "delete":
        errors = [error for error in errors if not isinstance(error, NotFoundError)]
    elif not found and not errors:
        raise KlabError("no matching resources found")
    waited = False
    for one in found:
        try:
            if kind == "create" or (condition is not None and not waited and condition(one.obj)):
                report(one.obj, "condition met")
                continue
            waited = True  # what was read before is old from now on
            last = _await(api, one, condition, deadline)
        except KlabError as error:
            errors.append(error)
            continue
        if last is not None:
            report(last, "condition met")
        else:
            place = f"{one.resource.plural}/{one.name}"
            errors.append(KlabError(f"{_TIMED_OUT} on {place}" if seconds else f"condition not met for {place}"))
    return finish(errors)


def _await(api: Api, one: Found, condition: Condition | None, deadline: Deadline) -> Object | None:
    """Wait until an object meets the condition, or without one until it is gone; give its last state, None if the time is over first.

    NotFoundError if it has vanished before it was looked at.
    """
    seen = False
    for obj in follow_one(api, one.resource, one.namespace, one.name, deadline):
        if condition is None:
            if obj is None or obj["metadata"].get("uid") != one.obj["metadata"].get("uid"):
                return one.obj
        elif obj is not None and condition(obj):
            return obj
        elif obj is None and not seen:
            raise NotFoundError(f"{one} not found")
        seen = True
    return None


def _await_created(api: Api, targets: Sequence[Target], home: str | None, choice: Choice, deadline: Deadline) -> None:
    """Wait until each named object exists, and at least one of those that a selector means."""
    for target in targets:
        fields = f"metadata.name={target.name}" if target.name else choice.fields
        snapshots = follow(api, target.resource, target.home(home), choice.selector, fields, deadline)
        if not any(snapshots):
            raise KlabError(_TIMED_OUT)
