"""klab's own `POST /klab/v1/apply`: `kubectl apply` of many objects in one transaction, all of them or none.

The merge happens here and not in the client: the last-applied-configuration annotation, the manifest and the stored object are joined as
kubectl does (k8s.io/kubectl/pkg/cmd/apply). A manifest that was only applied by klab can be applied by kubectl next, and the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from klab.api.merge import three_way
from klab.apiserver.options import WriteOptions
from klab.apiserver.rest import Rest
from klab.apiserver.status import StatusError, refuse, to_error
from klab.apiserver.target import Target
from klab.errors import Fault, InvalidManifestError, KlabError, NotFoundError

if TYPE_CHECKING:
    from klab.api.resources import Registry

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

FIRST_KINDS = ("CustomResourceDefinition", "Namespace")
"""What others need to be there is applied before them, wherever in the files it stands."""

Result = Literal["created", "configured", "unchanged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A manifest and where it stands: `web.yaml, document 2 (Pod default/web)`."""

    where: str
    obj: dict[str, Any]


def parse_entries(body: Any) -> list[Entry]:
    """Read `{"items": [{"where": ..., "object": {...}}, ...]}`."""
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and isinstance(item.get("object"), dict) for item in items):
        raise refuse("BadRequest", 'the body must be {"items": [{"where": TEXT, "object": MANIFEST}, ...]}')
    return [Entry(str(item.get("where", "")), item["object"]) for item in items]


def apply_all(rest: Rest, entries: Sequence[Entry]) -> list[tuple[Result, dict[str, Any]]]:
    """Apply all entries; give for each, in their order, what became of it and the object.

    InvalidManifestError has the faults of all entries; the caller's transaction undoes those that were fine.
    """
    results: dict[int, tuple[Result, dict[str, Any]]] = {}
    faults: list[Fault] = []
    refusals: list[KlabError] = []
    for index, entry in sorted(enumerate(entries), key=lambda item: item[1].obj.get("kind") not in FIRST_KINDS):
        try:
            results[index] = apply_one(rest, entry.obj)
        except KlabError as error:
            meant = to_error(error.status) if isinstance(error, StatusError) else error
            if isinstance(meant, InvalidManifestError):
                faults += [Fault(entry.where or fault.where, fault.path, fault.message) for fault in meant.faults]
            else:
                refusals.append(error)
                faults.append(Fault(entry.where, "", str(error)))
    if len(refusals) == 1 and len(faults) == 1:
        raise refusals[0]
    if faults:
        raise InvalidManifestError(faults)
    return [results[index] for index in range(len(entries))]


def apply_one(rest: Rest, manifest: dict[str, Any]) -> tuple[Result, dict[str, Any]]:
    """Create an object, or change the stored one by what changed between the last applied manifest and this one."""
    target, manifest = find_target(manifest, rest.hooks.registry)
    options = WriteOptions(field_validation="Report", field_manager="klab")
    applied = annotate(manifest)
    try:
        live = rest.store.get(target.resource, target.namespace, target.name or "")
    except NotFoundError:
        return "created", rest.create(target, applied, options)
    last = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    merged = three_way(json.loads(last) if last else {}, applied, live)
    new = live if merged == live else rest.replace(target, merged, live, options)
    return ("unchanged" if new is live else "configured"), new


def find_target(manifest: dict[str, Any], registry: Registry) -> tuple[Target, dict[str, Any]]:
    """Give the path of a manifest, and the manifest with its namespace written out."""
    resource = registry.of(str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise InvalidManifestError([Fault("", "metadata.name", "Required value: name is required to apply")])
    if not resource.namespaced:
        return Target(resource, None, metadata["name"], None), manifest
    namespace = metadata.get("namespace") or "default"
    return Target(resource, namespace, metadata["name"], None), {**manifest, "metadata": {**metadata, "namespace": namespace}}


def annotate(manifest: dict[str, Any]) -> dict[str, Any]:
    """Give a manifest that carries itself as its last applied configuration (kubectl/pkg/util/apply.go)."""
    metadata = manifest["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    bare = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    return {**manifest, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: render_go_json(bare)}}}


def render_go_json(value: Mapping[str, Any]) -> str:
    """Render JSON byte for byte as Go's encoder does: sorted keys, HTML-safe, a newline at the end."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def render_results(results: Sequence[tuple[Result, dict[str, Any]]], *, full: bool) -> dict[str, Any]:
    """Give the answer: for each manifest the result, with the object itself (full) or with what names it."""
    items = [{"result": result, "object": obj} if full else {"result": result, **_summarise(obj)} for result, obj in results]
    return {"kind": "ApplyResult", "apiVersion": "klab.dev/v1", "items": items}


def _summarise(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    names = {"namespace": metadata.get("namespace", ""), "name": metadata["name"], "uid": metadata["uid"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **names, "resourceVersion": metadata["resourceVersion"]}
