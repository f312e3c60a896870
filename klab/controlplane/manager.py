"""Runs the controllers, as kube-controller-manager does: changes of the store become keys in queues, and the queues are worked off to a fixpoint.

Nothing runs when nothing changed: a controller that waits for a moment (a CronJob's next run) says so, and `run` gives the earliest such wish.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from klab.api.nearest import did_you_mean
from klab.api.resources import BUILTIN, Registry
from klab.controlplane.store import Event, Store
from klab.controlplane.workqueue import BASE_DELAY, MAX_DELAY
from klab.errors import NotFoundError

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name of an object; the namespace of cluster-scoped ones is ""."""

MAX_STEPS = 100
"""A key that is worked on so often in one run is put aside: something writes the same object to and fro."""


class Controller(Protocol):
    """One control loop, over the objects of one kind."""

    @property
    def name(self) -> str:
        """Give its name as kube-controller-manager's `--controllers` has it, and as `klab stop` takes it."""

    def affected(self, event: Event) -> Iterable[Key]:
        """Give the keys of those of its objects that a change concerns, by the object itself, its owners, or selectors."""

    def reconcile(self, key: Key) -> float | None:
        """Bring one object, if it is there, one step nearer to its wish; give in how many seconds to look again (None: with the next change)."""


class Manager:
    """All controllers and what each still has to look at."""

    def __init__(
        self, store: Store, controllers: Sequence[Controller], now: Callable[[], float], registry: Callable[[], Registry] = lambda: BUILTIN
    ) -> None:
        """Follow `store` from here on and queue all that is in it; `now` gives seconds, `registry` the kinds there are at that moment."""
        self._store = store
        self._now = now
        self._registry = registry
        self._controllers = {controller.name: controller for controller in controllers}
        self._queues: dict[str, dict[Key, None]] = {name: {} for name in self._controllers}
        self._due: dict[tuple[str, Key], float] = {}
        self._failures: Counter[tuple[str, Key]] = Counter()
        self._stopped: set[str] = set()
        store.subscribe(self._hear)
        self._resync(self._controllers.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of all controllers."""
        return tuple(self._controllers)

    @property
    def stopped(self) -> frozenset[str]:
        """Give the names of those that do nothing at present."""
        return frozenset(self._stopped)

    def stop(self, name: str) -> None:
        """Let a controller do nothing until it is started again; NotFoundError for an unknown one."""
        self._stopped.add(self._find(name).name)

    def start(self, name: str) -> None:
        """Let a controller work again, beginning with a look at everything; one that works is let alone."""
        controller = self._find(name)
        if name in self._stopped:
            self._stopped.remove(name)
            self._resync([controller])

    def run(self) -> float | None:
        """Work until no queue has anything left; give the seconds until a controller wants to look again, None if none does.

        Each step is one transaction, so this is not to be called inside a batch nor by a subscriber of the store: their events come too late.
        """
        self._mature()
        steps: Counter[tuple[str, Key]] = Counter()
        while waiting := [name for name, queue in self._queues.items() if queue and name not in self._stopped]:
            for name in waiting:
                queue = self._queues[name]
                while queue:
                    key = next(iter(queue))
                    del queue[key]
                    steps[name, key] += 1
                    if steps[name, key] > MAX_STEPS:
                        logger.error("%s finds no rest with %s: looked %d times; put aside", name, _render(key), MAX_STEPS)
                        self._retry(name, key)
                    else:
                        self._step(name, key)
        moments = [due for (name, _key), due in self._due.items() if name not in self._stopped]
        return max(0.0, min(moments) - self._now()) if moments else None

    def _find(self, name: str) -> Controller:
        if name not in self._controllers:
            raise NotFoundError(f'controller "{name}" not found{did_you_mean(name, self._controllers)}')
        return self._controllers[name]

    def _hear(self, events: Sequence[Event]) -> None:
        for controller in self._controllers.values():
            self._queue(controller, events)

    def _queue(self, controller: Controller, events: Iterable[Event]) -> None:
        queue = self._queues[controller.name]
        for event in events:
            try:
                queue.update(dict.fromkeys(controller.affected(event)))
            except Exception:  # one strange object must not hide the changes of all others
                metadata = event.object["metadata"]
                logger.exception("%s cannot read %s %s", controller.name, event.resource.singular, metadata["name"])

    def _resync(self, controllers: Iterable[Controller]) -> None:
        """Tell controllers of all that is in the store, as of new objects."""
        tables = {(resource.group, resource.plural): resource for resource in self._registry()}
        events = [Event("ADDED", resource, obj, None) for resource in tables.values() for obj in self._store.list(resource)]
        for controller in controllers:
            self._queue(controller, events)

    def _mature(self) -> None:
        """Queue the keys whose moment has come."""
        now = self._now()
        for name, key in [wish for wish, due in self._due.items() if due <= now]:
            if name not in self._stopped:
                del self._due[name, key]
                self._queues[name][key] = None

    def _step(self, name: str, key: Key) -> None:
        try:
            with self._store.batch():
                wish = self._controllers[name].reconcile(key)
        except Exception:  # whatever goes wrong with one object, the others go on
            logger.exception("%s failed on %s; it is tried again", name, _render(key))
            self._retry(name, key)
            return
        del self._failures[name, key]
        if wish is None:
            self._due.pop((name, key), None)
        else:
            self._due[name, key] = self._now() + wish

    def _retry(self, name: str, key: Key) -> None:
        """Look at a key again after a pause that doubles with each failure."""
        delay = min(BASE_DELAY * 2 ** min(self._failures[name, key], 64), MAX_DELAY)
        self._failures[name, key] += 1
        self._due[name, key] = self._now() + delay


def _render(key: Key) -> str:
    return "/".join(part for part in key if part)
