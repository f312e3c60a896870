"""Follow, restart, pause and undo the rollouts of deployments, daemon sets and stateful sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from klab.api.history import find_revision
from klab.cli import options, output, rollouts
from klab.cli.backend import Api
from klab.cli.durations import parse_duration
from klab.cli.following import Deadline
from klab.cli.render import out
from klab.cli.results import finish, make_report
from klab.cli.selection import Found, say_nothing_found
from klab.cli.session import api_of, namespace_of
from klab.errors import KlabError, UsageError

SECTION = "Objects"


def status(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    watch: Annotated[bool, typer.Option("-w", "--watch/--no-watch", help="Go on until the rollout is done.", show_default=False)] = True,
    revision: Annotated[int, typer.Option("--revision", metavar="N", help="Fail if another revision is rolled out.", show_default=False)] = 0,
    timeout: options.Timeout = "0",
    lab: options.Lab = None,
) -> int:
    """Show how far a rollout is until it is done.

    For example:
      klab rollout status deployment/web
      klab rollout status deploy web --timeout=60s
      klab rollout status ds/agent --watch=false
    """
    if revision < 0:
        raise UsageError(f"revision must be a positive integer: {revision}")
    seconds = parse_duration(timeout, "--timeout")
    api = api_of(ctx, lab)
    found, errors = rollouts.find_workloads(ctx, api, words, filenames, namespace, selector)
    if not found and not errors:
        say_nothing_found(namespace_of(ctx, namespace))
    for one in found:
        try:
            rollouts.await_rollout(api, one, revision, Deadline(seconds or None), watch=watch)
        except KlabError as error:
            errors.append(error)
    return finish(errors)


def history(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    revision: Annotated[int, typer.Option("--revision", metavar="N", help="Show the pod template of this revision.", show_default=False)] = 0,
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Show the revisions that there were, or one of them.

    For example:
      klab rollout history deployment/web
      klab rollout history deployment/web --revision=2
    """
    if revision < 0:
        raise UsageError(f"revision must be a positive integer: {revision}")
    printer = output.printer(output_format, headers=True) if output_format else None
    api = api_of(ctx, lab)
    found, errors = rollouts.find_workloads(ctx, api, words, filenames, namespace, selector)
    for one in found:
        try:
            revisions = rollouts.fetch_revisions(api, one)
            if printer:
                chosen = [find_revision(revisions, revision)] if revision else revisions
                out("".join(printer(each.holder) for each in chosen))
            elif revision:
                out(f"{output.object_name(one.obj)} with revision #{revision}\n{rollouts.render_revision(revisions, revision)}\n")
            else:
                out(f"{output.object_name(one.obj)} \n{rollouts.render_history(revisions)}\n")
        except KlabError as error:
            errors.append(error)
    return finish(errors)


def undo(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    to_revision: Annotated[
        int, typer.Option("--to-revision", metavar="N", help="The revision to go back to; default: the one before.", show_default=False)
    ] = 0,
    dry_run: options.DryRun = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Go back to the revision before, or to any other.

    For example:
      klab rollout undo deployment/web
      klab rollout undo deployment/web --to-revision=3
    """
    report = make_report(output_format, dry_run)
    return _each(
        ctx, lab, (words, filenames, namespace, selector), lambda api, one: report(one.obj, rollouts.roll_back(api, one, to_revision, dry_run))
    )


def restart(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Replace all pods, as the strategy of the rollout wants it.

    For example:
      klab rollout restart deployment/web
      klab rollout restart daemonsets
    """
    report = make_report(output_format)
    return _each(ctx, lab, (words, filenames, namespace, selector), lambda api, one: report(rollouts.restart(api, one), "restarted"))


def pause(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Pause a deployment: its changes wait until it is resumed.

    For example:
      klab rollout pause deployment/web
    """
    report = make_report(output_format)
    return _each(ctx, lab, (words, filenames, namespace, selector), lambda api, one: report(rollouts.pause(api, one), "paused"))


def resume(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """End the pause of a deployment.

    For example:
      klab rollout resume deployment/web
    """
    report = make_report(output_format)
    return _each(ctx, lab, (words, filenames, namespace, selector), lambda api, one: report(rollouts.resume(api, one), "resumed"))


commands = (status, history, undo, restart, pause, resume)


def _each(ctx: typer.Context, lab: str | None, meant: tuple[Any, Any, str | None, str | None], act: Callable[[Api, Found], None]) -> int:
    """Do something to each workload that is meant (words, filenames, namespace, selector); a failure does not keep the others from it."""
    api = api_of(ctx, lab)
    found, errors = rollouts.find_workloads(ctx, api, *meant)
    if not found and not errors:
        say_nothing_found(namespace_of(ctx, meant[2]))
    for one in found:
        try:
            act(api, one)
        except KlabError as error:
            errors.append(error)
    return finish(errors)
