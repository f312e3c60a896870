"""The namespace controller: what `klab.controlplane.namespaces` does for one namespace, done when the manager says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from klab.api.resources import BUILTIN, Registry
from klab.controlplane.controllers.context import NAMESPACES, Context
from klab.controlplane.manager import Key
from klab.controlplane.namespaces import drain_namespace
from klab.controlplane.store import Event


class NamespaceController:
    """Empties namespaces that are being deleted, and lets them go when the last object has gone."""

    name = "namespace-controller"

    def __init__(self, context: Context, registry: Callable[[], Registry] = lambda: BUILTIN) -> None:
        """Control all namespaces; `registry` tells the kinds that may be in one."""
        self._context = context
        self._registry = registry

    def affected(self, event: Event) -> Iterable[Key]:
        """Give a namespace that is being deleted, and at each object that goes or comes the ending namespace it was in."""
        metadata = event.object["metadata"]
        if event.resource == NAMESPACES and "deletionTimestamp" in metadata and event.type != "DELETED":
            yield "", metadata["name"]
        elif event.resource.namespaced and event.type != "MODIFIED" and self._context.is_ending(metadata["namespace"]):
            yield "", metadata["namespace"]

    def reconcile(self, key: Key) -> None:
        """Delete what is left in a namespace, or take its finalizer."""
        drain_namespace(self._context.store, key[1], self._registry())
