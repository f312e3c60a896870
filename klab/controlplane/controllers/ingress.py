"""The object side of a lab's ingress controller: its IngressClass and DaemonSet come with the first Ingress, and Ingresses get their addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from klab.api import resources
from klab.api.defaults import default
from klab.api.meta import labels_of, name_of, namespace_of
from klab.controlplane.controllers.pods import is_going, is_ready
from klab.controlplane.manager import Key
from klab.controlplane.store import Event, Store
from klab.errors import NotFoundError

INGRESSES = resources.of("networking.k8s.io/v1", "Ingress")
CLASSES = resources.of("networking.k8s.io/v1", "IngressClass")
DAEMONSETS = resources.of("apps/v1", "DaemonSet")
PODS = resources.of("v1", "Pod")
NODES = resources.of("v1", "Node")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"

Object = Mapping[str, Any]


class IngressController:
    """Keeps status.loadBalancer of the Ingresses of its classes: the addresses of the nodes where a pod of the controller is ready.

    `ingress_class` and `daemon_set` are its own objects (klab.ingress.manifests), made when an Ingress asks for that class and there are none.
    """

    name = "ingress"

    def __init__(self, store: Store, ingress_class: Object, daemon_set: Object) -> None:
        """Work on `store`."""
        self._store = store
        self._class = ingress_class
        self._daemon_set = daemon_set
        self._labels = labels_of(daemon_set["spec"]["template"]).items()

    def affected(self, event: Event) -> Iterable[Key]:
        """Give an Ingress itself; all of them where the controller's own objects or pods change."""
        if event.resource == INGRESSES:
            if event.type != "DELETED":
                yield namespace_of(event.object), name_of(event.object)
        elif self._concerns_all(event):
            yield from ((namespace_of(obj), name_of(obj)) for obj in self._store.list(INGRESSES))

    def reconcile(self, key: Key) -> None:
        """See to it that somebody serves an Ingress, and write where."""
        ingress = self._find(INGRESSES, key)
        if ingress is None:
            return
        wanted = ingress["spec"].get("ingressClassName") or (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
        if wanted == name_of(self._class) and self._find(CLASSES, ("", wanted)) is None:
            self._store.create(CLASSES, self._make_class())
        if wanted not in self._classes():
            return
        if self._find(DAEMONSETS, (namespace_of(self._daemon_set), name_of(self._daemon_set))) is None:
            self._store.create(DAEMONSETS, default(dict(self._daemon_set)))
        balancer = {"ingress": points} if (points := self._points()) else {}
        metadata = {field: ingress["metadata"][field] for field in ("namespace", "name", "uid")}
        self._store.update(INGRESSES, {"metadata": metadata, "status": {"loadBalancer": balancer}}, "status")

    def _concerns_all(self, event: Event) -> bool:
        obj = event.object
        if event.resource == CLASSES:
            return True
        if event.resource == DAEMONSETS:
            return event.type == "DELETED" and name_of(obj) == name_of(self._daemon_set)
        if event.resource != PODS or namespace_of(obj) != namespace_of(self._daemon_set) or not self._labels <= labels_of(obj).items():
            return False
        return event.type == "DELETED" or event.old is None or _serves(obj) != _serves(event.old)

    def _make_class(self) -> dict[str, Any]:
        """Give the IngressClass, which is the default one unless another is."""
        metadata = self._class["metadata"]
        if any(is_default(one) for one in self._store.list(CLASSES)):
            metadata = {key: value for key, value in metadata.items() if key != "annotations"}
        return default({**self._class, "metadata": metadata})

    def _classes(self) -> set[str]:
        controller = self._class["spec"]["controller"]
        return {name_of(one) for one in self._store.list(CLASSES) if one["spec"].get("controller") == controller}

    def _points(self) -> list[dict[str, str]]:
        """Give the addresses of the nodes with a ready pod, in order."""
        pods = (pod for pod in self._store.list(PODS, namespace_of(self._daemon_set)) if self._labels <= labels_of(pod).items())
        nodes = {pod["spec"].get("nodeName", "") for pod in pods if _serves(pod)}
        found = [node for node in self._store.list(NODES) if name_of(node) in nodes]
        addresses = {one["address"] for node in found for one in node["status"].get("addresses") or () if one["type"] == "InternalIP"}
        return [{"ip": address} for address in sorted(addresses, key=lambda text: (ip_address(text).version, int(ip_address(text))))]

    def _find(self, resource: resources.Resource, key: Key) -> dict[str, Any] | None:
        try:
            return self._store.get(resource, *key)
        except NotFoundError:
            return None


def is_default(ingress_class: Object) -> bool:
    """Tell whether Ingresses that name no class are of this one."""
    return (ingress_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"


def _serves(pod: Object) -> bool:
    return is_ready(pod) and not is_going(pod)
