"""The revisions of a workload, and the patch that goes back to one (kubectl pkg/polymorphichelpers/{history,rollback}.go).

A Deployment's revisions are its ReplicaSets, those of a DaemonSet or StatefulSet its ControllerRevisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.meta import Meta
from klab.api.rollout import REVISION
from klab.errors import KlabError

Raw = Mapping[str, Any]

CHANGE_CAUSE = "kubernetes.io/change-cause"
TEMPLATE_HASH = "pod-template-hash"

_KEPT = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)
"""Annotations that stay the Deployment's own in a rollback."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision: its number, the ReplicaSet or ControllerRevision that holds it, and the pod template."""

    number: int
    holder: Raw
    template: Raw

    @property
    def change_cause(self) -> str:
        """Give why the change was made, as the person who made it noted down; "" if nobody did."""
        return Meta.of(self.holder).annotations.get(CHANGE_CAUSE, "")


def list_revisions(owner: Raw, holders: Iterable[Raw]) -> list[Revision]:
    """Give the revisions that `holders` keep for `owner`, oldest first; those of other owners, and without a number, are left out."""
    uid = owner["metadata"]["uid"]
    found = [_read(holder) for holder in holders if (controller := Meta.of(holder).controller) is not None and controller.uid == uid]
    return sorted((revision for revision in found if revision.number), key=lambda revision: revision.number)


def find_revision(revisions: Iterable[Revision], number: int) -> Revision:
    """Give the revision of that number; KlabError if there is none."""
    found = next((revision for revision in revisions if revision.number == number), None)
    if found is None:
        raise KlabError("unable to find the specified revision")
    return found


def choose_rollback(owner: Raw, revisions: list[Revision], number: int) -> Revision:
    """Give the revision to roll back to: `number`, or for 0 the one before the last; KlabError if there is none."""
    if number:
        found = next((revision for revision in revisions if revision.number == number), None)
        if found is None:
            raise KlabError(f"unable to find specified revision {number} in history")
        return found
    if len(revisions) < 2:  # noqa: PLR2004 - the running one and the one before
        if owner["kind"] == "Deployment":
            raise KlabError(f'no rollout history found for deployment "{owner["metadata"]["name"]}"')
        raise KlabError("no last revision to roll back to")
    return revisions[-2]


def is_current(owner: Raw, revision: Revision) -> bool:
    """Tell whether the pod template of `owner` is that of the revision already; the pod-template-hash does not count."""
    return _comparable(owner["spec"]["template"]) == _comparable(revision.template)


def plan_rollback(owner: Raw, revision: Revision) -> tuple[str, Any]:
    """Give the kind of patch (json or strategic) and the patch that brings `owner` back to the revision.

    A paused Deployment cannot go back: KlabError.
    """
    if owner["kind"] != "Deployment":
        return "strategic", revision.holder["data"]
    if owner["spec"].get("paused"):
        raise KlabError("you cannot rollback a paused deployment; resume it first with 'klab rollout resume' and try again")
    own, former = Meta.of(owner).annotations, Meta.of(revision.holder).annotations
    annotations = {key: own[key] for key in _KEPT if key in own} | {key: value for key, value in former.items() if key not in _KEPT}
    return "json", [
        {"op": "replace", "path": "/spec/template", "value": _without_hash(revision.template)},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]


def _read(holder: Raw) -> Revision:
    """Read the revision that a ReplicaSet or ControllerRevision holds; its number is 0 where it has none."""
    if holder["kind"] == "ControllerRevision":
        template = {key: value for key, value in holder["data"]["spec"]["template"].items() if key != "$patch"}
        return Revision(holder.get("revision", 0), holder, template)
    text = Meta.of(holder).annotations.get(REVISION, "")
    return Revision(int(text) if text.isdecimal() else 0, holder, holder["spec"]["template"])


def _without_hash(template: Raw) -> dict[str, Any]:
    metadata = dict(template.get("metadata") or {})
    if TEMPLATE_HASH in (metadata.get("labels") or {}):
        metadata["labels"] = {key: value for key, value in metadata["labels"].items() if key != TEMPLATE_HASH}
    return {**template, "metadata": metadata}


def _comparable(template: Raw) -> dict[str, Any]:
    """Give a template with neither its hash nor fields of metadata that say nothing."""
    found = _without_hash(template)
    return {**found, "metadata": {key: value for key, value in found["metadata"].items() if value}}
