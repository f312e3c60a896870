"""Delete objects, by name, by label, or those of manifests.

Waits until they are gone, as `kubectl delete` does, unless `--wait=false`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from klab.cli import options
from klab.cli.backend import Api
from klab.cli.render import out_line, print_error, warn
from klab.cli.selection import Choice
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.cli.targets import Target, check_selection
from klab.errors import KlabError, NotFoundError, UsageError

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    field_selector: options.FieldSelector = None,
    every: Annotated[bool, typer.Option("--all", help="Delete all objects of the kind.")] = False,
    grace_period: Annotated[int, typer.Option("--grace-period", metavar="SECONDS", help="Time to end well; default: the pod's own.")] = -1,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for the pod to end; with --grace-period=0.")] = False,
    now: Annotated[bool, typer.Option("--now", help="The same as --grace-period=1.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the objects are gone.")] = True,
    cascade: Annotated[
        str, typer.Option("--cascade", metavar="background|foreground|orphan", help="What becomes of the objects that belong to it.")
    ] = "background",
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="Exit with 0 if an object does not exist.")] = False,
    output_format: Annotated[str, typer.Option("-o", "--output", metavar="name", help="With `name`, print kind/name alone.")] = "",
    lab: options.Lab = None,
) -> int:
    """Delete objects.

    For example:
      klab delete pod web-1 web-2
      klab delete pod/web-1 svc/web
      klab delete -f web.yaml
      klab delete pods -l app=web
      klab delete pods --all
    """
    grace = _grace(grace_period, force, now)
    if output_format not in ("", "name"):
        raise UsageError(f"unexpected -o output mode: {output_format}. We only support '-o name'")
    if cascade not in ("background", "foreground", "orphan"):
        raise UsageError(f'invalid cascade value ({cascade}). Must be "background", "foreground", or "orphan"')
    if every and (selector or field_selector):
        raise UsageError("cannot set --all and --selector or --field-selector at the same time")
    api = api_of(ctx, lab)
    home = None if all_namespaces else namespace_of(ctx, namespace)
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    victims = _named(api, targets, home, Choice(every, selector or "", field_selector or ""))
    if not victims:
        out_line("No resources found")
    if force and grace == 0:
        warn(
            "Immediate deletion does not wait for confirmation that the running resource has been terminated. "
            "The resource may continue to run on the cluster indefinitely."
        )
    lenient = ignore_not_found or every or bool(selector or field_selector)
    errors = _delete(api, victims, _Manner(grace, cascade.capitalize(), wait, output_format == "name", lenient))
    for error in errors:
        print_error(str(error))
    return errors[0].exit_code if errors else 0


@dataclass(frozen=True, slots=True)
class _Manner:
    """How to delete."""

    grace: int | None
    propagation: str
    wait: bool
    names_only: bool
    lenient: bool


def _grace(period: int, force: bool, now: bool) -> int | None:
    """Give the grace period in seconds; None leaves it to the pod. 0 is for `--force` alone, as kubectl has it."""
    if now:
        if period != -1:
            raise UsageError("--now and --grace-period cannot be specified together")
        period = 1
    if force and period > 0:
        raise UsageError("--force and --grace-period greater than 0 cannot be specified together")
    if period < 0:
        return 0 if force else None
    return period if force else max(period, 1)


def _named(api: Api, targets: Sequence[Target], home: str | None, choice: Choice) -> list[Target]:
    """Give the targets with a name each: those of a whole kind become the objects that `choice` takes of it."""
    check_selection(targets, home is None, bool(choice))
    victims: list[Target] = []
    for target in targets:
        if target.name:
            victims.append(replace(target, namespace=target.home(home)))
        elif not choice:
            raise UsageError("resource(s) were provided, but no name was specified; give names, -l QUERY or --all")
        else:
            found = api.list(target.resource, target.home(home), choice.selector, choice.fields)["items"]
            victims += [Target(target.resource, item["metadata"]["name"], item["metadata"].get("namespace")) for item in found]
    return victims


def _delete(api: Api, victims: Sequence[Target], manner: _Manner) -> list[KlabError]:
    """Delete one after another, then wait for all; give what went wrong."""
    doomed: list[Target] = []
    errors: list[KlabError] = []
    for victim in victims:
        try:
            api.delete(victim.resource, victim.namespace, victim.name or "", manner.grace, manner.propagation)
        except NotFoundError as error:
            if not manner.lenient:
                errors.append(error)
            continue
        except KlabError as error:
            errors.append(error)
            continue
        kind = f"{victim.resource.singular}{'.' if victim.resource.group else ''}{victim.resource.group}"
        deleted = "force deleted" if manner.grace == 0 else "deleted"
        out_line(f"{kind}/{victim.name}" if manner.names_only else f'{kind} "{victim.name}" {deleted}')
        doomed.append(victim)
    for victim in doomed if manner.wait else ():
        _await_gone(api, victim)
    return errors


def _await_gone(api: Api, victim: Target) -> None:
    """Watch the object until it is deleted; one that was made anew under its name is not waited for."""
    fields = f"metadata.name={victim.name}"
    while True:
        listed = api.list(victim.resource, victim.namespace, "", fields)
        if not any(item["metadata"].get("deletionTimestamp") for item in listed["items"]):
            return
        version = listed["metadata"]["resourceVersion"]
        if any(kind == "DELETED" for kind, _ in api.watch(victim.resource, victim.namespace, "", fields, version)):
            return
