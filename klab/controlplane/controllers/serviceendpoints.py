"""Endpoints and EndpointSlices of Services, kept by three controllers of kube-controller-manager: endpoints, endpointslice and its mirroring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from klab.api import resources
from klab.api.endpointslice import SERVICE_NAME_LABEL
from klab.api.service import Service
from klab.controlplane.controllers.endpoints import reconcile_endpoints
from klab.controlplane.controllers.endpointslice import reconcile_mirror, reconcile_slices, selected
from klab.controlplane.manager import Key
from klab.controlplane.store import Event, Store
from klab.controlplane.views import PodViews
from klab.errors import NotFoundError

SERVICES = resources.of("v1", "Service")
ENDPOINTS = resources.of("v1", "Endpoints")
SLICES = resources.of("discovery.k8s.io/v1", "EndpointSlice")
PODS = resources.of("v1", "Pod")
NODES = resources.of("v1", "Node")
ZONE_LABEL = "topology.kubernetes.io/zone"

Object = Mapping[str, Any]


class ServiceEndpoints:
    """Common part: which Services a change concerns."""

    def __init__(self, store: Store, views: PodViews) -> None:
        """Work on `store`; pods are read through `views`."""
        self.store = store
        self._views = views
        self._slices: dict[Key, dict[str, None]] = {}
        self._by_label: dict[tuple[str, str, str], set[str]] = {}  # namespace and one label of a selector: the Services with it
        self._label_of: dict[Key, tuple[str, str, str]] = {}

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the Services that a Service, one of their slices, or a pod that they select or selected, belongs to."""
        meta = event.object["metadata"]
        match event.resource.kind:
            case "Service" | "Endpoints":
                key = (meta["namespace"], meta["name"])
                if event.resource.kind == "Service":
                    self._index(key, event)
                yield key
            case "EndpointSlice":
                if name := (meta.get("labels") or {}).get(SERVICE_NAME_LABEL):
                    known = self._slices.setdefault((meta["namespace"], name), {})
                    known[meta["name"]] = None
                    if event.type == "DELETED":
                        del known[meta["name"]]
                    yield meta["namespace"], name
            case "Pod":
                yield from self._selecting(event)
            case "Node" if event.type != "MODIFIED" or _zone(event.object) != _zone(event.old or {}):
                yield from ((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self.store.list(SERVICES))

    def service(self, key: Key) -> dict[str, Any] | None:
        """Give a Service that is there and stays."""
        try:
            return self.store.get(SERVICES, *key)
        except NotFoundError:
            return None

    def pods(self, obj: Object) -> list[Any]:
        """Give the views of the pods that a Service selects."""
        service = Service.of(obj)
        wanted = dict(service.selector)
        found = [pod for pod in self.store.list(PODS, service.namespace) if _has(pod, wanted)] if wanted else []
        return selected(service, [self._views.of(pod) for pod in found])

    def slices(self, key: Key) -> list[dict[str, Any]]:
        """Give the EndpointSlices that say they belong to a Service."""
        return [self.store.get(SLICES, key[0], name) for name in self._slices.get(key, ())]

    def _index(self, key: Key, event: Event) -> None:
        if label := self._label_of.pop(key, None):
            self._by_label[label].discard(key[1])
        selector = (event.object.get("spec") or {}).get("selector")
        if selector and event.type != "DELETED":
            label = (key[0], *min(selector.items()))
            self._label_of[key] = label
            self._by_label.setdefault(label, set()).add(key[1])

    def _selecting(self, event: Event) -> Iterable[Key]:
        namespace = event.object["metadata"]["namespace"]
        labels = {pair for obj in (event.object, event.old) if obj for pair in (obj["metadata"].get("labels") or {}).items()}
        names = {name for pair in labels for name in self._by_label.get((namespace, *pair), ())}
        return [(namespace, name) for name in sorted(names)]


class EndpointsController(ServiceEndpoints):
    """Keeps one Endpoints object for each Service with a selector."""

    name = "endpoints-controller"

    def reconcile(self, key: Key) -> float | None:
        """Write the Endpoints, or remove those of a Service that is gone."""
        obj = self.service(key)
        if obj is None:
            self.store.remove(ENDPOINTS, *key)
        elif (obj.get("spec") or {}).get("selector"):
            existing = self._existing(key)
            wanted = reconcile_endpoints(obj, self.pods(obj), existing)
            if existing is None:
                self.store.create(ENDPOINTS, wanted)
            else:
                self.store.update(ENDPOINTS, wanted)
        return None

    def _existing(self, key: Key) -> dict[str, Any] | None:
        try:
            return self.store.get(ENDPOINTS, *key)
        except NotFoundError:
            return None


class EndpointSliceController(ServiceEndpoints):
    """Keeps the EndpointSlices of each Service with a selector."""

    name = "endpointslice-controller"

    def reconcile(self, key: Key) -> float | None:
        """Bring the slices up to date; those of a Service that is gone go."""
        obj = self.service(key)
        existing = self.slices(key)
        if obj is None:
            _write(self.store, key[0], existing, [])
        elif (obj.get("spec") or {}).get("selector"):
            zones = {node["metadata"]["name"]: _zone(node) for node in self.store.list(NODES)}
            own = [piece for piece in existing if _controller_of(piece) == obj["metadata"]["uid"]]
            _write(self.store, key[0], own, reconcile_slices(obj, self.pods(obj), zones, existing))
        return None


class EndpointSliceMirroringController(ServiceEndpoints):
    """Mirrors the Endpoints that a person wrote for a Service without a selector."""

    name = "endpointslice-mirroring-controller"

    def reconcile(self, key: Key) -> float | None:
        """Bring the mirrored slices up to date."""
        obj = self.service(key)
        if obj is None or (obj.get("spec") or {}).get("selector"):
            return None
        try:
            endpoints = self.store.get(ENDPOINTS, *key)
        except NotFoundError:
            return None
        existing = self.slices(key)
        own = [piece for piece in existing if _controller_of(piece) == endpoints["metadata"]["uid"]]
        _write(self.store, key[0], own, reconcile_mirror(obj, endpoints, existing))
        return None


def _write(store: Store, namespace: str, own: Sequence[Object], wanted: Sequence[Object]) -> None:
    """Create, update and delete slices until they are the wanted ones."""
    kept = {piece["metadata"].get("name") for piece in wanted}
    for piece in own:
        if piece["metadata"]["name"] not in kept:
            store.remove(SLICES, namespace, piece["metadata"]["name"])
    for piece in wanted:
        if not piece["metadata"].get("name"):
            store.create(SLICES, {**piece, "metadata": {**piece["metadata"], "name": store.generate_name(SLICES, piece["metadata"])}})
        elif not any(piece is known for known in own):
            store.update(SLICES, dict(piece))


def _controller_of(obj: Object) -> str:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _has(obj: Object, wanted: Mapping[str, str]) -> bool:
    return bool(wanted.items() <= (obj["metadata"].get("labels") or {}).items())


def _zone(node: Object) -> str:
    return str(((node.get("metadata") or {}).get("labels") or {}).get(ZONE_LABEL, ""))
