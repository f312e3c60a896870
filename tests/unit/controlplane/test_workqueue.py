"""The work queue keeps client-go's promises: one key once, never at two workers, retried later and later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from klab.controlplane.workqueue import WorkQueue


@dataclass
class FakeTimer:
    due: float
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeClock:
    now: float = 0.0
    timers: list[FakeTimer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., Any], /, *args: Any) -> FakeTimer:
        timer = FakeTimer(self.now + delay, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.due <= self.now]:
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.call()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue(clock)


def take(queue: WorkQueue[str]) -> str | None:
    return asyncio.run(asyncio.wait_for(queue.get(), 5))


def test_a_key_added_twice_is_taken_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert (take(queue), take(queue), len(queue)) == ("a", "b", 0)


def test_a_key_added_during_its_work_comes_back_after_done_only(queue: WorkQueue[str]) -> None:
    queue.add("a")
    take(queue)
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert take(queue) == "a"
    queue.done("a")
    assert len(queue) == 0


def test_a_waiting_worker_wakes_up(clock: FakeClock) -> None:
    async def work() -> str | None:
        queue: WorkQueue[str] = WorkQueue(clock)
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        return await asyncio.wait_for(worker, 5)

    assert asyncio.run(work()) == "a"


def test_pauses_double_up_to_the_limit_and_start_anew_after_forget(clock: FakeClock) -> None:
    queue: WorkQueue[str] = WorkQueue(clock, base_delay=1, max_delay=5)
    pauses = []
    for _ in range(4):
        start = clock.now
        queue.add_rate_limited("a")
        pauses.append(clock.timers[-1].due - start)
        clock.advance(pauses[-1])
        assert take(queue) == "a"
        queue.done("a")
    assert pauses == [1, 2, 4, 5]
    assert queue.failures("a") == 4
    queue.forget("a")
    assert queue.failures("a") == 0
    queue.add_rate_limited("a")
    assert clock.timers[-1].due == clock.now + 1


def test_a_thousand_failures_do_not_overflow(clock: FakeClock, queue: WorkQueue[str]) -> None:
    for _ in range(2000):
        queue.add_rate_limited("a")
        clock.timers[-1].due = 0
        clock.advance(0)
    queue.add_rate_limited("a")
    assert clock.timers[-1].due == 1000


def test_of_two_delays_the_earlier_counts(clock: FakeClock, queue: WorkQueue[str]) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 2)
    queue.add_after("a", 5)
    clock.advance(2)
    assert take(queue) == "a"
    queue.done("a")
    clock.advance(20)
    assert len(queue) == 0


def test_no_delay_is_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    assert take(queue) == "a"


def test_shut_down_lets_ready_keys_go_and_then_ends_the_workers(clock: FakeClock, queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add_after("b", 1)
    queue.shut_down()
    queue.add("c")
    clock.advance(10)
    assert (take(queue), take(queue)) == ("a", None)


def test_shut_down_wakes_a_waiting_worker(clock: FakeClock) -> None:
    async def work() -> str | None:
        queue: WorkQueue[str] = WorkQueue(clock)
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.shut_down()
        return await asyncio.wait_for(worker, 5)

    assert asyncio.run(work()) is None
