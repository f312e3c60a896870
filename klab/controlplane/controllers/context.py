"""What every controller is given, and the few steps that all of them take: reading an object, writing its status, telling the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from klab.api import resources
from klab.api.resources import Resource
from klab.controlplane.controllers.owners import Children
from klab.controlplane.events import Recorder
from klab.controlplane.manager import Key
from klab.controlplane.store import Store, render_time
from klab.errors import NotFoundError

Object = dict[str, Any]

PODS = resources.of("v1", "Pod")
REPLICASETS = resources.of("apps/v1", "ReplicaSet")
NAMESPACES = resources.of("v1", "Namespace")
JOBS = resources.of("batch/v1", "Job")
REVISIONS = resources.of("apps/v1", "ControllerRevision")


@dataclass(frozen=True, slots=True)
class Context:
    """The store, where events go, the time in seconds since 1970, and the index of what is controlled by others."""

    store: Store
    recorder: Recorder
    now: Callable[[], float]
    children: Children

    @classmethod
    def of(cls, store: Store, recorder: Recorder, now: Callable[[], float]) -> Context:
        """Join them, with an index of all kinds that controllers make."""
        return cls(store, recorder, now, Children(store, (PODS, REPLICASETS, JOBS, REVISIONS)))

    def find(self, resource: Resource, key: Key) -> Object | None:
        """Give an object, None where it is gone."""
        try:
            return self.store.get(resource, *key)
        except NotFoundError:
            return None

    def is_ending(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, so that nothing new may be made in it."""
        found = self.find(NAMESPACES, ("", namespace))
        return found is not None and "deletionTimestamp" in found["metadata"]

    def stamp(self) -> str:
        """Give the time as timestamps have it."""
        return render_time(datetime.fromtimestamp(self.now(), UTC))

    def write_status(self, resource: Resource, obj: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        """Give an object another status; nothing is written where it has that one."""
        metadata = {key: obj["metadata"][key] for key in ("namespace", "name", "uid") if key in obj["metadata"]}
        return self.store.update(resource, {"metadata": metadata, "status": dict(status)}, "status")


def parse_time(text: str) -> float:
    """Give the seconds since 1970 of an RFC 3339 timestamp."""
    return datetime.fromisoformat(text).timestamp()


def without_zeros(**counts: int) -> dict[str, int]:
    """Give the counts that are not 0: Kubernetes leaves the others out."""
    return {name: count for name, count in counts.items() if count}
