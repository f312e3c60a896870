"""Lists, then watches, until the time is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from klab.api.resources import by_word
from klab.cli.following import Deadline, follow, follow_one


def pod(name: str, phase: str = "Pending") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "status": {"phase": phase}}


def test_after_the_end_of_a_watch_it_looks_again(backend: Any) -> None:
    class Forgetful(type(backend.server)):  # type: ignore[misc]
        """A server that ends each watch at once; meanwhile a pod comes."""

        def watch(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, dict[str, Any]]]:
            self.objects.append(pod(f"web-{len(self.objects)}"))
            return iter(())

    snapshots = follow(Forgetful(), by_word("pods"), "default", "", "", Deadline(None))
    assert [[name for _, name in next(snapshots)] for _ in range(3)] == [[], ["web-0"], ["web-0", "web-1"]]


def test_each_change_is_seen(backend: Any) -> None:
    backend.server.objects = [pod("a")]
    backend.server.events = [("ADDED", pod("b")), ("MODIFIED", pod("a", "Running")), ("DELETED", pod("b"))]
    snapshots = follow(backend.server, by_word("pods"), "default", "", "", Deadline(None))
    seen = [{name: obj["status"]["phase"] for (_, name), obj in next(snapshots).items()} for _ in range(4)]
    assert seen == [{"a": "Pending"}, {"a": "Pending", "b": "Pending"}, {"a": "Running", "b": "Pending"}, {"a": "Running"}]


def test_without_time_it_looks_once(backend: Any) -> None:
    api = backend.server
    api.objects = [pod("a")]
    assert list(follow_one(api, by_word("pods"), "default", "a", Deadline(0))) == [pod("a")]
    assert list(follow_one(api, by_word("pods"), "default", "b", Deadline(0))) == [None]
    assert api.calls == []


def test_deadlines() -> None:
    assert Deadline(None).seconds_left() is None
    assert not Deadline(None).is_over()
    assert Deadline(90.5).seconds_left() == 91
    assert Deadline(0).is_over()
    assert Deadline(90).within(5).seconds_left() == 5
    assert Deadline(2).within(5).seconds_left() == 2
    assert Deadline(None).within(5).seconds_left() == 5
