"""Change how many replicas a deployment, replica set, replication controller or stateful set has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from klab.cli import options
from klab.cli.backend import Api
from klab.cli.durations import parse_duration
from klab.cli.following import Deadline, follow_one
from klab.cli.results import finish, make_report
from klab.cli.selection import Choice, Found, find_objects
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.errors import ConflictError, KlabError, UsageError

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    replicas: Annotated[int, typer.Option("--replicas", metavar="COUNT", help="The number of replicas to have.", show_default=False)] = -1,
    current_replicas: Annotated[
        int, typer.Option("--current-replicas", metavar="COUNT", help="Scale only what has this number of replicas.", show_default=False)
    ] = -1,
    resource_version: options.ResourceVersion = "",
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    every: options.All = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="Wait until the replicas are there: 30s, 2m.")] = "0",
    dry_run: options.DryRun = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Set the number of replicas.

    For example:
      klab scale --replicas=3 deployment/web
      klab scale --replicas=3 deploy web api
      klab scale --current-replicas=2 --replicas=3 deployment/web
      klab scale --replicas=0 deployments -l tier=test
    """
    if replicas < 0:
        raise UsageError("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    if current_replicas < -1:
        raise UsageError("The --current-replicas must specify an integer of -1 or greater")
    report, seconds = make_report(output_format, dry_run), parse_duration(timeout, "--timeout")
    api = api_of(ctx, lab)
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    found, errors = find_objects(api, targets, namespace_of(ctx, namespace), Choice(every, selector or ""))
    if resource_version and len(found) > 1:
        raise UsageError("cannot use --resource-version with multiple resources")
    if not found and not errors:
        raise KlabError("no objects passed to scale")
    for one in found:
        if dry_run != "client":
            _scale(api, one, replicas, _Precondition(current_replicas, resource_version), dry_run=dry_run == "server")
            if seconds and dry_run == "none":
                _await_replicas(api, one, replicas, seconds)
        report(one.obj, "scaled")
    return finish(errors)


class _Precondition:
    """What must be true of a Scale: its replicas (-1: any) and resourceVersion ("": any)."""

    def __init__(self, replicas: int, resource_version: str) -> None:
        self.replicas = replicas
        self.resource_version = resource_version

    def __bool__(self) -> bool:
        return self.replicas != -1 or bool(self.resource_version)

    def check(self, scale: Any) -> None:
        """Compare; KlabError says what is otherwise."""
        replicas, version = scale["spec"].get("replicas", 0), scale["metadata"]["resourceVersion"]
        if self.replicas not in (-1, replicas):
            raise KlabError(f"Expected replicas to be {self.replicas}, was {replicas}")
        if self.resource_version not in ("", version):
            raise KlabError(f"Expected resource version to be {self.resource_version}, was {version}")


def _scale(api: Api, one: Found, replicas: int, precondition: _Precondition, *, dry_run: bool) -> None:
    """Set the replicas; with a precondition, of the very Scale that was looked at."""
    patch: dict[str, Any] = {"spec": {"replicas": replicas}}
    if not precondition:
        api.patch(one.resource, one.namespace, one.name, patch, kind="merge", subresource="scale", dry_run=dry_run)
        return
    while True:
        scale = api.get(one.resource, one.namespace, one.name, "scale")
        precondition.check(scale)
        seen = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}}
        try:
            api.patch(one.resource, one.namespace, one.name, patch | seen, kind="merge", subresource="scale", dry_run=dry_run)
        except ConflictError:
            continue  # it changed meanwhile: look again
        return


def _await_replicas(api: Api, one: Found, replicas: int, seconds: float) -> None:
    """Wait until there are as many replicas, or someone else has set another number."""
    for obj in follow_one(api, one.resource, one.namespace, one.name, Deadline(seconds)):
        if obj is None:
            raise KlabError(f"{one} has been deleted")
        if obj["spec"].get("replicas") != replicas or (obj.get("status") or {}).get("replicas", 0) == replicas:
            return
    raise KlabError(f'timed out waiting for "{one.name}" to be synced')
