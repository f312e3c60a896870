"""The TTL-after-finished controller: deletes Jobs some time after their end (pkg/controller/ttlafterfinished)."""

from __future__ import annotations

from collections.abc import Iterable

from klab.controlplane.controllers.conditions import find_condition
from klab.controlplane.controllers.context import JOBS, Context, parse_time
from klab.controlplane.controllers.garbagecollector import FOREGROUND, delete
from klab.controlplane.controllers.jobplan import has_ended
from klab.controlplane.controllers.owners import key_of
from klab.controlplane.controllers.pods import is_going
from klab.controlplane.manager import Key
from klab.controlplane.store import Event


class TtlController:
    """Deletes each Job that has spec.ttlSecondsAfterFinished when that time has passed."""

    name = "ttl-after-finished-controller"

    def __init__(self, context: Context) -> None:
        """Watch all Jobs."""
        self._context = context

    def affected(self, event: Event) -> Iterable[Key]:
        """Give a Job that changed."""
        return [key_of(event.object)] if event.resource == JOBS else ()

    def reconcile(self, key: Key) -> float | None:
        """Delete a Job whose time is over, with its pods before it; give the seconds that another has left."""
        job = self._context.find(JOBS, key)
        if job is None or is_going(job) or not has_ended(job) or (seconds := job["spec"].get("ttlSecondsAfterFinished")) is None:
            return None
        ends = [found["lastTransitionTime"] for kind in ("Complete", "Failed") if (found := find_condition(job["status"], kind)) is not None]
        left: float = parse_time(ends[0]) + seconds - self._context.now()
        if left > 0:
            return left
        delete(self._context.store, JOBS, job, FOREGROUND)
        return None
