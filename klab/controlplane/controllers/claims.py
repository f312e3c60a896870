"""PersistentVolumeClaims of a StatefulSet's pods: made from its templates, kept or deleted as its retention policy says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from klab.api import resources
from klab.api.defaults import default
from klab.api.meta import labels_of
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.owners import make_controller_reference

Object = dict[str, Any]
Raw = Mapping[str, Any]

CLAIMS = resources.of("v1", "PersistentVolumeClaim")


def plan_claims(owner: Raw, pod_name: str) -> Iterator[tuple[str, Object]]:
    """Give the volume's name and the claim for each template; claims are named TEMPLATE-POD and carry the selector's labels."""
    for template in owner["spec"].get("volumeClaimTemplates") or ():
        name = template["metadata"]["name"]
        labels = {**labels_of(template), **(owner["spec"]["selector"].get("matchLabels") or {})}
        metadata = {**template["metadata"], "name": f"{name}-{pod_name}", "namespace": owner["metadata"]["namespace"], "labels": labels}
        yield name, default({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template.get("spec") or {}})


def with_volumes(owner: Raw, pod_name: str, spec: Raw) -> Object:
    """Give a pod spec whose volumes of the templates' names are the pod's claims."""
    own = {name: {"name": name, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} for name, claim in plan_claims(owner, pod_name)}
    if not own:
        return dict(spec)
    return {**spec, "volumes": [*own.values(), *(volume for volume in spec.get("volumes") or () if volume["name"] not in own)]}


def ensure_claims(context: Context, owner: Raw, pod_name: str) -> list[str]:
    """Make the claims of a pod that are missing; give the names of those made."""
    missing = [claim for _name, claim in plan_claims(owner, pod_name) if _find(context, claim) is None]
    return [context.store.create(CLAIMS, claim)["metadata"]["name"] for claim in missing]


def has_stale_claims(context: Context, owner: Raw, pod_name: str) -> bool:
    """Tell whether a claim still belongs to a former pod of that name, with which it is about to go."""
    if _policy(owner, "whenScaled") != "Delete":
        return False
    found = [_find(context, claim) for _name, claim in plan_claims(owner, pod_name)]
    return any(_is_pods(reference, pod_name) for claim in found if claim for reference in claim["metadata"].get("ownerReferences") or ())


def own_claims(context: Context, owner: Raw, pod: Raw, *, condemned: bool) -> None:
    """Let a pod's claims belong to what they are to go with: the pod if it is scaled away, the StatefulSet if that is deleted, or nothing."""
    name, uid = pod["metadata"]["name"], owner["metadata"]["uid"]
    for _volume, planned in plan_claims(owner, name):
        claim = _find(context, planned)
        if claim is None:
            continue
        given = claim["metadata"].get("ownerReferences") or []
        references = [one for one in given if one["uid"] != uid and not _is_pods(one, name)]
        if condemned and _policy(owner, "whenScaled") == "Delete":
            references.append(make_controller_reference(pod))
        elif _policy(owner, "whenDeleted") == "Delete":
            references.append(make_controller_reference(owner))
        if references != given:
            context.store.update(CLAIMS, {**claim, "metadata": {**claim["metadata"], "ownerReferences": references}})


def _policy(owner: Raw, moment: str) -> str:
    found: str = (owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get(moment, "Retain")
    return found


def _is_pods(reference: Raw, pod_name: str) -> bool:
    return bool(reference["kind"] == "Pod" and reference["name"] == pod_name)


def _find(context: Context, claim: Raw) -> Object | None:
    return context.find(CLAIMS, (claim["metadata"]["namespace"], claim["metadata"]["name"]))
