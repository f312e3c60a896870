"""ControllerRevisions: the pod templates that a DaemonSet or StatefulSet has had, numbered (pkg/controller/history)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.meta import labels_of
from klab.controlplane.controllers.context import REVISIONS, Context
from klab.controlplane.controllers.owners import claim, key_of, make_controller_reference
from klab.controlplane.controllers.templates import calc_template_hash
from klab.errors import AlreadyExistsError

Object = dict[str, Any]
Raw = Mapping[str, Any]

PREFIX_LENGTH = 223


@dataclass(frozen=True, slots=True)
class History:
    """The revision of the present template, the others from old to new, and how often a name was taken (None: never)."""

    current: Object
    old: tuple[Object, ...]
    collisions: int | None


def sync_history(context: Context, owner: Object, label: str) -> History:
    """Find or make the revision of the owner's present template, newest of all; its hash is in `label`."""
    data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    collisions = (owner.get("status") or {}).get("collisionCount")
    found = sorted(claim(context.store, context.children, owner, REVISIONS), key=_order)
    same = [one for one in found if one["data"] == data]
    current = same[-1] if same else None
    old = tuple(one for one in found if one is not current)
    number = max((one["revision"] for one in old), default=0) + 1
    if current is None:
        current, collisions = _create(context, owner, label, {"data": data, "revision": number}, collisions)
    elif current["revision"] < number:
        current = context.store.update(REVISIONS, {**current, "revision": number})
    return History(current, old, collisions)


def clean_history(context: Context, owner: Raw, old: tuple[Object, ...], live: Collection[str]) -> None:
    """Delete the oldest revisions that are more than revisionHistoryLimit allows; those that are in use by name (`live`) stay."""
    unused = [one for one in old if one["metadata"]["name"] not in live]
    for one in unused[: max(0, len(unused) - owner["spec"].get("revisionHistoryLimit", 10))]:
        context.store.delete(REVISIONS, *key_of(one))


def _create(context: Context, owner: Object, label: str, content: Object, collisions: int | None) -> tuple[Object, int | None]:
    """Store a revision under the next name that is free."""
    metadata = owner["metadata"]
    while True:
        digest = calc_template_hash(content["data"], collisions)
        name = f"{metadata['name'][:PREFIX_LENGTH]}-{digest}"
        try:
            made = {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": {**labels_of(owner["spec"]["template"]), label: digest},
                "ownerReferences": [make_controller_reference(owner)],
            }
            return context.store.create(REVISIONS, {"metadata": made, **content}), collisions
        except AlreadyExistsError:
            collisions = (collisions or 0) + 1


def _order(revision: Raw) -> tuple[int, str, str]:
    return revision["revision"], revision["metadata"]["creationTimestamp"], revision["metadata"]["name"]
