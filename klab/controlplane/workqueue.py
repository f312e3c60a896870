"""The queue between watches and a controller (client-go's util/workqueue): keys, each at most once, tried again with growing pauses.

A key that is added while a worker has it comes back after `done`, so no two workers ever hold one key, and no change is missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Key = TypeVar("Key", bound="Hashable")

BASE_DELAY = 0.005
"""Seconds before the first retry; it doubles with each failure (ItemExponentialFailureRateLimiter)."""

MAX_DELAY = 1000.0
"""Seconds between retries at most."""


class Timer(Protocol):
    """A call that is still to come, as asyncio.TimerHandle."""

    def cancel(self) -> None:
        """Make the call not happen."""


class Clock(Protocol):
    """What the queue needs of time; an asyncio event loop is one."""

    def time(self) -> float:
        """Give the monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[..., Any], /, *args: Any) -> Timer:
        """Call back after `delay` seconds."""


class WorkQueue(Generic[Key]):
    """Keys to work on; use it from one event loop."""

    def __init__(self, clock: Clock | None = None, *, base_delay: float = BASE_DELAY, max_delay: float = MAX_DELAY) -> None:
        """Make an empty queue; the clock is the running event loop where none is given."""
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._ready: deque[Key] = deque()
        self._dirty: set[Key] = set()  # to be worked on, whether waiting in `_ready` or for the worker that has an older state of it
        self._processing: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._delayed: dict[Key, tuple[float, Timer]] = {}
        self._closed = False
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Give the number of keys that a worker could take now."""
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Ask for work on a key, once however often it is asked."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: Key, delay: float) -> None:
        """Add a key in `delay` seconds; of several such wishes the earliest counts."""
        if delay <= 0:
            self.add(key)
        if self._closed or delay <= 0:
            return
        due = self._clock.time() + delay
        if key in self._delayed:
            earlier, timer = self._delayed[key]
            if earlier <= due:
                return
            timer.cancel()
        self._delayed[key] = (due, self._clock.call_later(delay, self._mature, key))

    def add_rate_limited(self, key: Key) -> None:
        """Add a key whose work failed, after a pause that doubles with each failure since the last `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(self._base_delay * 2 ** min(failures, 64), self._max_delay))

    def forget(self, key: Key) -> None:
        """Start the key's pauses anew: its work went well."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Give how often the key failed since the last `forget`."""
        return self._failures.get(key, 0)

    async def get(self) -> Key | None:
        """Wait for a key and take it; call `done` afterwards. None: the queue is shut down and empty."""
        while not self._ready:
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        return key

    def done(self, key: Key) -> None:
        """Give a key back; it is ready again where it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def shut_down(self) -> None:
        """Take no more keys, drop the delayed ones, and let the workers finish what is ready."""
        self._closed = True
        for _, timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        self._wake.set()

    def _push(self, key: Key) -> None:
        self._ready.append(key)
        self._wake.set()

    def _mature(self, key: Key) -> None:
        self._delayed.pop(key, None)
        self.add(key)
