"""What DNS needs of Kubernetes objects and how it is sent to a zone in another process: as JSON, object by object.

Three kinds matter: Service, EndpointSlice (an Endpoints object counts through its mirrored slices) and Namespace. Pods do not: their records
`10-1-2-3.ns.pod.<domain>` are made from the question alone, as Kubernetes' default Corefile asks for (`pods insecure`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klab.api.endpointslice import SERVICE_NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = ("Service", "EndpointSlice", "Namespace")
VERSION = 1


class Feed:
    """What a zone in another process is to know: takes every change of any object, gives deltas of what changed for DNS."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()

    def set(self, obj: Mapping[str, Any]) -> None:
        """Take a new or changed object."""
        trimmed = trim(obj)
        if trimmed and self._objects.get(key(obj)) != trimmed:
            self._objects[key(obj)] = trimmed
            self._changed.add(key(obj))

    def remove(self, obj: Mapping[str, Any]) -> None:
        """Take a deleted object."""
        if self._objects.pop(key(obj), None):
            self._changed.add(key(obj))

    def take(self) -> dict[str, Any] | None:
        """Give the changes since the last call as one delta, None if there are none."""
        changed, self._changed = self._changed, set()
        if not changed:
            return None
        names = sorted(changed)
        return make_delta((self._objects[name] for name in names if name in self._objects), (name for name in names if name not in self._objects))

    def whole(self) -> dict[str, Any]:
        """Give everything, for a zone that starts or starts anew; changes not taken yet are in it, and come again."""
        return make_delta(self._objects.values(), reset=True)


def make_delta(changed: Iterable[Mapping[str, Any]], deleted: Iterable[str] = (), *, reset: bool = False) -> dict[str, Any]:
    """Give a delta for `Zone.apply`: `{"version": 1, "reset": false, "set": [objects], "delete": [keys]}`.

    The objects are `trim`med (those of other kinds are left out), the keys are `key`s; `reset` means that these are all objects there are.
    """
    trimmed = (trim(obj) for obj in changed)
    return {"version": VERSION, "reset": reset, "set": [obj for obj in trimmed if obj], "delete": list(deleted)}


def key(obj: Mapping[str, Any]) -> str:
    """Name an object in a delta: `Service/default/web`, `Namespace//shop`."""
    meta = obj["metadata"]
    return f"{obj['kind']}/{meta.get('namespace') or ''}/{meta['name']}"


def trim(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep what DNS reads of an object, None for a kind that it does not read; equal results mean that nothing changed for DNS."""
    kind, meta = obj["kind"], obj["metadata"]
    if kind not in KINDS:
        return None
    trimmed: dict[str, Any] = {"kind": kind, "metadata": _pick(meta, "name", "namespace")}
    if kind == "Service":
        spec = obj.get("spec") or {}
        trimmed["spec"] = _pick(spec, "type", "clusterIP", "clusterIPs", "externalName", "publishNotReadyAddresses")
        trimmed["spec"]["ports"] = [_pick(port, "name", "protocol", "port") for port in spec.get("ports") or ()]
    elif kind == "EndpointSlice":
        trimmed["metadata"]["labels"] = _pick(meta.get("labels") or {}, SERVICE_NAME_LABEL)
        trimmed |= _pick(obj, "addressType")
        trimmed["ports"] = [_pick(port, "name", "protocol", "port") for port in obj.get("ports") or ()]
        trimmed["endpoints"] = [_trim_endpoint(endpoint) for endpoint in obj.get("endpoints") or ()]
    return trimmed


def _trim_endpoint(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    trimmed = _pick(endpoint, "addresses", "hostname")
    ready = (endpoint.get("conditions") or {}).get("ready")
    return trimmed if ready is None else {**trimmed, "conditions": {"ready": ready}}


def _pick(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: mapping[name] for name in names if mapping.get(name)}
