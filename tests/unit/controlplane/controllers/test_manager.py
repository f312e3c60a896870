"""When controllers run: on changes, at wished moments, after failures; and not when stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import pytest

from klab.api.resources import BUILTIN
from klab.controlplane.manager import MAX_STEPS, Key, Manager
from klab.controlplane.store import Event, Store
from klab.errors import KlabError, NotFoundError

CONFIGMAPS = BUILTIN.of("v1", "ConfigMap")


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Watcher:
    """A controller over ConfigMaps that notes what it is asked and does what it is told."""

    def __init__(self, name: str = "watcher", act: Callable[[Key], float | None] = lambda _: None) -> None:
        self.name = name
        self.seen: list[str] = []
        self.act = act

    def affected(self, event: Event) -> Iterable[Key]:
        if event.resource.kind == "ConfigMap":
            yield event.object["metadata"]["namespace"], event.object["metadata"]["name"]

    def reconcile(self, key: Key) -> float | None:
        self.seen.append(key[1])
        return self.act(key)


def put(store: Store, name: str, **data: str) -> None:
    obj = {"metadata": {"name": name, "namespace": "default"}, "data": data}
    try:
        store.update(CONFIGMAPS, obj)
    except NotFoundError:
        store.create(CONFIGMAPS, obj)


@pytest.fixture
def store() -> Store:
    store = Store()
    put(store, "a")
    return store


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_starts_with_all_there_is_and_then_runs_on_changes_alone(store: Store, clock: Clock) -> None:
    watcher = Watcher()
    manager = Manager(store, [watcher], clock)
    assert manager.run() is None
    assert watcher.seen == ["a"]
    manager.run()
    assert watcher.seen == ["a"]
    put(store, "b", x="1")
    put(store, "b", x="2")
    manager.run()
    assert watcher.seen == ["a", "b"]


def test_what_one_controller_writes_another_sees_in_the_same_run(store: Store, clock: Clock) -> None:
    def copy(key: Key) -> None:
        if key[1] == "a":
            put(store, "copy")

    first, second = Watcher("first", copy), Watcher("second")
    Manager(store, [second, first], clock).run()
    assert second.seen == ["a", "copy"]


def test_a_wish_is_kept_until_its_moment(store: Store, clock: Clock) -> None:
    watcher = Watcher(act=lambda _: 30.0)
    manager = Manager(store, [watcher], clock)
    assert manager.run() == 30
    clock.time += 10
    assert manager.run() == 20
    assert watcher.seen == ["a"]
    clock.time += 20
    assert manager.run() == 30
    assert watcher.seen == ["a", "a"]


def test_a_failure_is_undone_logged_and_tried_again_with_pauses(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    put(store, "b")

    def act(key: Key) -> None:
        if key[1] == "a":
            put(store, "half")
            raise KlabError("no")

    watcher = Watcher(act=act)
    manager = Manager(store, [watcher], clock)
    first = manager.run()
    assert watcher.seen == ["a", "b"]
    assert "half" not in [obj["metadata"]["name"] for obj in store.list(CONFIGMAPS)]
    assert "watcher failed on default/a" in caplog.text
    assert first is not None
    clock.time += first
    second = manager.run()
    assert watcher.seen == ["a", "b", "a"]
    assert second == pytest.approx(2 * first)
    watcher.act = lambda _: None
    clock.time += first * 2
    assert manager.run() is None


def test_an_object_that_never_rests_is_put_aside(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    turns = iter(range(10_000))
    watcher = Watcher(act=lambda _: put(store, "a", x=str(next(turns))))
    manager = Manager(store, [watcher], clock)
    with caplog.at_level(logging.ERROR):
        wish = manager.run()
    assert len(watcher.seen) == MAX_STEPS
    assert "finds no rest with default/a" in caplog.text
    assert wish is not None


def test_a_stopped_controller_does_nothing_and_catches_up(store: Store, clock: Clock) -> None:
    stopped, other = Watcher("stopped", lambda _: 5.0), Watcher("other")
    manager = Manager(store, [stopped, other], clock)
    manager.run()
    manager.stop("stopped")
    assert manager.stopped == {"stopped"}
    put(store, "b")
    clock.time += 60
    assert manager.run() is None
    assert (stopped.seen, other.seen) == (["a"], ["a", "b"])
    manager.start("stopped")
    manager.run()
    assert sorted(stopped.seen) == ["a", "a", "b"]
    assert manager.stopped == frozenset()


def test_an_unknown_controller(store: Store, clock: Clock) -> None:
    with pytest.raises(NotFoundError, match=r'controller "wacher" not found.*watcher'):
        Manager(store, [Watcher()], clock).stop("wacher")


def test_an_object_that_a_controller_cannot_read_hides_no_other(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    class Picky(Watcher):
        def affected(self, event: Event) -> Iterable[Key]:
            if event.object["metadata"]["name"] == "a":
                raise KeyError("spec")
            return super().affected(event)

    put(store, "b")
    watcher = Picky()
    Manager(store, [watcher], clock).run()
    assert watcher.seen == ["b"]
    assert "watcher cannot read configmap a" in caplog.text
