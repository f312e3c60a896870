"""Cluster IPs and node ports at admission: the allocator of klab.controlplane kept in step with the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from klab.api import resources
from klab.api.lab import Lab
from klab.controlplane.allocators import ServiceAllocator
from klab.controlplane.store import Event, Store
from klab.errors import NotFoundError

SERVICES = resources.of("v1", "Service")


class Review(Protocol):
    """What the API server tells of a write (klab.apiserver.admission.Review)."""

    @property
    def resource(self) -> resources.Resource: ...  # noqa: D102
    @property
    def old(self) -> dict[str, Any] | None: ...  # noqa: D102
    @property
    def subresource(self) -> str | None: ...  # noqa: D102


class ServiceAllocation:
    """A mutating admission step; what it reserved for a write that was taken back, it lets go before the next one."""

    def __init__(self, store: Store, lab: Lab) -> None:
        """Begin with what the stored Services hold, and follow them."""
        self._store = store
        self._allocator = ServiceAllocator(lab.services.cidrs, lab.services.node_ports)
        self._unconfirmed: dict[tuple[str, str], Mapping[str, Any]] = {}
        for obj in store.list(SERVICES):
            self._allocator.settle(obj)
        store.subscribe(self._hear)

    def __call__(self, review: Review, obj: dict[str, Any]) -> dict[str, Any]:
        """Give a Service with its addresses and ports; anything else as it is."""
        if review.resource.kind != "Service" or review.subresource:
            return obj
        self._let_go()
        admitted = self._allocator.admit(obj, review.old)
        self._unconfirmed[_place(obj)] = admitted
        return admitted

    def _let_go(self) -> None:
        """Compare what was reserved with what the store shows by now (an open transaction included)."""
        for place, admitted in list(self._unconfirmed.items()):
            try:
                self._allocator.settle(self._store.get(SERVICES, *place))
            except NotFoundError:
                self._allocator.release(admitted)
        self._unconfirmed.clear()

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.resource.kind == "Service":
                self._unconfirmed.pop(_place(event.object), None)
                if event.type == "DELETED":
                    self._allocator.release(event.object)
                else:
                    self._allocator.settle(event.object)


def _place(obj: Mapping[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "default", obj["metadata"]["name"]
