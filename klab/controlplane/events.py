"""Events: what happened to an object, as `kubectl describe` lists it; the same thing again only counts up (client-go tools/record)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha1
from typing import Any

from klab.api import resources
from klab.controlplane.store import Store, render_time
from klab.errors import NotFoundError

EVENTS = resources.of("v1", "Event")


class Recorder:
    """Writes events into the store."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        """Write into `store` with the times of `now`."""
        self._store = store
        self._now = now

    def record(  # noqa: PLR0913, PLR0917 (the fields of an event)
        self, about: Mapping[str, Any], kind: str, reason: str, message: str, component: str, host: str = ""
    ) -> None:
        """Record that something happened; `kind` is Normal or Warning, `component` who saw it (kubelet, default-scheduler …), `host` its node."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        identity = "/".join((about["kind"], meta.get("uid", ""), kind, reason, message, component))
        name = f"{meta['name']}.{sha1(identity.encode(), usedforsecurity=False).hexdigest()[:16]}"
        stamp = render_time(self._now())
        with suppress(NotFoundError):  # also one that a former control plane recorded
            known = self._store.get(EVENTS, namespace, name)
            self._store.update(EVENTS, {**known, "count": known["count"] + 1, "lastTimestamp": stamp})
            return
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        self._store.create(
            EVENTS,
            {
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {key: value for key, value in involved.items() if value},
                "type": kind,
                "reason": reason,
                "message": message,
                "source": {"component": component, **({"host": host} if host else {})},
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
                "reportingComponent": component,
                "reportingInstance": host,
            },
        )
