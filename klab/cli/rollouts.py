"""What the verbs of `rollout` do with one workload: wait for it, show its revisions, go back to one, change its template."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer

from klab.api.history import Revision, choose_rollback, find_revision, is_current, list_revisions, plan_rollback
from klab.api.meta import Meta
from klab.api.resources import by_word
from klab.api.rollout import calc_rollout_status, group_kind
from klab.api.selectors import Selector
from klab.cli.backend import Api
from klab.cli.describers.containers import describe_pod_template
from klab.cli.describers.text import Description
from klab.cli.following import Deadline, follow_one
from klab.cli.render import out_line
from klab.cli.selection import Choice, Found, find_objects
from klab.cli.session import namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.errors import KlabError, NotFoundError, UsageError

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

_HOLDERS = {"Deployment": "replicasets", "DaemonSet": "controllerrevisions", "StatefulSet": "controllerrevisions"}
"""Which kind of object holds the revisions of a kind."""


def find_workloads(  # noqa: PLR0913, PLR0917 - what the command line said
    ctx: typer.Context, api: Api, words: Sequence[str] | None, filenames: list[str] | None, namespace: str | None, selector: str | None
) -> tuple[list[Found], list[KlabError]]:
    """Give the objects that a command line means; a kind alone means all of that kind in the namespace."""
    if not words and not filenames:
        raise UsageError("required resource not specified")
    targets = choose_targets(api, words, filenames, namespace_given(ctx, namespace))
    every = not selector and not any(target.name for target in targets)
    return find_objects(api, targets, namespace_of(ctx, namespace), Choice(every, selector or ""))


def await_rollout(api: Api, one: Found, revision: int, deadline: Deadline, *, watch: bool) -> None:
    """Print how far a rollout is, at each change, until it is done; KlabError where it fails or the time is over."""
    for obj in follow_one(api, one.resource, one.namespace, one.name, deadline):
        if obj is None:
            raise KlabError("object has been deleted")
        text, done = calc_rollout_status(obj, revision)
        out_line(text)
        if done or not watch:
            return
    raise KlabError("timed out waiting for the condition")


def fetch_revisions(api: Api, one: Found) -> list[Revision]:
    """Give the revisions of a workload, oldest first."""
    if one.obj["kind"] not in _HOLDERS:
        raise KlabError(f'no history viewer has been implemented for "{group_kind(one.obj)}"')
    selector = str(Selector.of(one.obj["spec"].get("selector")))
    return list_revisions(one.obj, api.list(by_word(_HOLDERS[one.obj["kind"]]), one.namespace, selector)["items"])


def render_history(revisions: Sequence[Revision]) -> str:
    """Give the table of revisions."""
    if not revisions:
        return "No rollout history found."
    text = Description()
    text.line("REVISION\tCHANGE-CAUSE")
    for revision in revisions:
        text.line(f"{revision.number}\t{revision.change_cause or '<none>'}")
    return text.text()


def render_revision(revisions: Sequence[Revision], number: int) -> str:
    """Give the pod template of a revision."""
    revision = find_revision(revisions, number)
    annotations = {**Meta.of(revision.template).annotations}
    if revision.change_cause and revision.holder["kind"] == "ReplicaSet":
        annotations["kubernetes.io/change-cause"] = revision.change_cause
    metadata = {**(revision.template.get("metadata") or {}), "annotations": annotations}
    text = Description()
    describe_pod_template(text, {**revision.template, "metadata": metadata})
    return text.unaligned()


def roll_back(api: Api, one: Found, number: int, dry_run: str) -> str:
    """Go back to a revision, 0: the one before; give what was done in kubectl's words."""
    if number < 0:
        raise KlabError(f"unable to find specified revision {number} in history")
    if one.obj["kind"] not in _HOLDERS:
        raise KlabError(f'no rollbacker has been implemented for "{group_kind(one.obj)}"')
    revisions = fetch_revisions(api, one)
    revision = choose_rollback(one.obj, revisions, number)
    if dry_run == "client":
        shown = render_revision(revisions, revision.number)
        return shown if one.obj["kind"] == "Deployment" else f"will roll back to {shown}"
    kind, patch = plan_rollback(one.obj, revision)
    if is_current(one.obj, revision):
        return f"skipped rollback (current template already matches revision {number})"
    try:
        api.patch(one.resource, one.namespace, one.name, patch, kind=kind, dry_run=dry_run == "server")
    except NotFoundError:
        raise
    except KlabError as error:
        raise KlabError(f"failed restoring revision {number}: {error}") from error
    return "rolled back"


def restart(api: Api, one: Found) -> dict[str, Any]:
    """Mark the pod template with the time, which makes all pods anew; give the object."""
    if one.obj["kind"] not in _HOLDERS:
        raise KlabError(f"{one} restarting is not supported")
    if one.obj["kind"] == "Deployment" and one.obj["spec"].get("paused"):
        raise KlabError(f"{one} can't restart paused deployment (run rollout resume first)")
    now = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
    if Meta.of(one.obj["spec"]["template"]).annotations.get(RESTARTED_AT) == now:
        raise KlabError(
            f"failed to create patch for {one.name}: if restart has already been triggered within the past second, "
            "please wait before attempting to trigger another"
        )
    return api.patch(one.resource, one.namespace, one.name, {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}})


def pause(api: Api, one: Found) -> dict[str, Any]:
    """Pause a Deployment: changes of its template are not rolled out; give the object."""
    if one.obj["kind"] != "Deployment":
        raise KlabError(f"{one} pausing is not supported")
    if one.obj["spec"].get("paused"):
        raise KlabError(f"{one} is already paused")
    return api.patch(one.resource, one.namespace, one.name, {"spec": {"paused": True}})


def resume(api: Api, one: Found) -> dict[str, Any]:
    """End a Deployment's pause; give the object."""
    if one.obj["kind"] != "Deployment":
        raise KlabError(f"{one} resuming is not supported")
    if not one.obj["spec"].get("paused"):
        raise KlabError(f"{one} is not paused")
    return api.patch(one.resource, one.namespace, one.name, {"spec": {"paused": None}})
