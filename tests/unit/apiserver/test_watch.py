"""Watches tell what happens, from where the client left off, until it has had enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver import watch
from klab.apiserver.client import Client
from klab.apiserver.target import ListOptions, Target
from klab.controlplane.store import Store
from klab.errors import KlabError

if TYPE_CHECKING:
    from .conftest import Server

CONFIGMAPS = BUILTIN.of("v1", "ConfigMap")
PATH = "/api/v1/namespaces/default/configmaps"

Add = Callable[..., dict[str, Any]]


@pytest.fixture
def add(server: Server) -> Add:
    def add(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
        return server.run(server.store.create, CONFIGMAPS, {"metadata": {"name": name, "namespace": namespace, "labels": labels}})

    return add


def change(server: Server, name: str, **labels: str) -> None:
    server.run(server.store.update, CONFIGMAPS, {"metadata": {"name": name, "labels": labels}})


def remove(server: Server, name: str) -> None:
    server.run(server.store.delete, CONFIGMAPS, "default", name)


def told(line: dict[str, Any]) -> str:
    return f"{line['type']} {line['object']['metadata'].get('name', '-')}"


def lines(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        yield json.loads(line)


def test_the_present_comes_first_then_the_changes(server: Server, add: Add) -> None:
    add("a")
    with server.open("GET", PATH + "?watch=true") as response:
        assert response.headers["Content-Type"] == "application/json"
        events = lines(response)
        assert told(next(events)) == "ADDED a"
        add("b")
        assert told(next(events)) == "ADDED b"
        change(server, "b", x="y")
        remove(server, "a")
        assert [told(next(events)), told(next(events))] == ["MODIFIED b", "DELETED a"]


def test_the_head_comes_before_anything_has_happened(server: Server) -> None:
    with server.open("GET", PATH + "?watch=true") as response:
        assert response.status == 200


def test_a_watch_goes_on_where_a_list_ended(server: Server, add: Add) -> None:
    add("a")
    version = server.send("GET", PATH).body["metadata"]["resourceVersion"]
    add("b")
    with server.open("GET", f"{PATH}?watch=true&resourceVersion={version}") as response:
        events = lines(response)
        assert told(next(events)) == "ADDED b"
        remove(server, "b")
        gone = next(events)
        assert told(gone) == "DELETED b"
        assert int(gone["object"]["metadata"]["resourceVersion"]) == server.run(lambda: server.store.revision)


def test_one_namespace_hears_nothing_of_another(server: Server, add: Add) -> None:
    with server.open("GET", PATH + "?watch=true") as mine, server.open("GET", "/api/v1/configmaps?watch=true") as everything:
        add("a", "other")
        add("b")
        assert told(next(lines(mine))) == "ADDED b"
        assert told(next(lines(everything))) == "ADDED a"


def test_what_starts_or_ceases_to_match_is_added_or_deleted(server: Server, add: Add) -> None:
    add("a", app="db")
    with server.open("GET", PATH + "?watch=true&labelSelector=app%3Dweb") as response:
        events = lines(response)
        change(server, "a", app="web")
        change(server, "a", app="web", tier="1")
        change(server, "a", app="db")
        change(server, "a", app="db", tier="2")
        remove(server, "a")
        add("b", app="web")
        found = [next(events) for _ in range(4)]
    assert [told(event) for event in found] == ["ADDED a", "MODIFIED a", "DELETED a", "ADDED b"]
    assert found[2]["object"]["metadata"]["labels"] == {"app": "web", "tier": "1"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in found]
    assert versions == sorted(versions)


def test_one_object_is_watched_by_its_name(server: Server, add: Add) -> None:
    with server.open("GET", PATH + "?watch=true&fieldSelector=metadata.name%3Db") as response:
        add("a")
        add("b")
        assert told(next(lines(response))) == "ADDED b"


def test_a_forgotten_past_is_a_410_in_the_stream(server: Server, add: Add) -> None:
    server.store._window._forgotten = 5
    for name in "abcdef":
        add(name)
    with server.open("GET", PATH + "?watch=true&resourceVersion=3") as response:
        assert response.status == 200
        (event,) = lines(response)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    with pytest.raises(KlabError, match=r"^too old resource version: 3 \(7\)$"):
        next(server.client.watch(CONFIGMAPS, resource_version="3"))


def test_a_watch_ends_after_its_time_with_a_bookmark(server: Server, add: Add) -> None:
    made = add("a")
    with server.open("GET", PATH + "?watch=true&timeoutSeconds=1&allowWatchBookmarks=true") as response:
        found = list(lines(response))
    assert [event["type"] for event in found] == ["ADDED", "BOOKMARK"]
    bookmark = found[1]["object"]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("ConfigMap", "v1")
    assert bookmark["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_bookmarks_come_now_and_then_to_those_who_want_them(server: Server, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BOOKMARK_SECONDS", 0.01)
    with server.open("GET", PATH + "?watch=true&allowWatchBookmarks=true&resourceVersion=1") as response:
        assert next(lines(response))["type"] == "BOOKMARK"
    with server.open("GET", PATH + "?watch=true&resourceVersion=1") as response:
        add("a")
        assert next(lines(response))["type"] == "ADDED"


def test_a_streamed_list_ends_with_a_bookmark(server: Server, add: Add) -> None:
    add("a")
    query = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with server.open("GET", PATH + query) as response:
        events = lines(response)
        assert told(next(events)) == "ADDED a"
        assert next(events)["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        add("b")
        assert told(next(events)) == "ADDED b"
    assert server.send("GET", PATH + "?watch=true&sendInitialEvents=true").code == 422


def test_no_initial_events_means_from_now_on(server: Server, add: Add) -> None:
    add("a")
    with server.open("GET", PATH + "?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan") as response:
        add("b")
        assert told(next(lines(response))) == "ADDED b"


def test_the_client_iterates_until_the_server_ends(server: Server, client: Client, add: Add) -> None:
    add("a")
    events = client.watch(CONFIGMAPS, "default")
    assert next(events)[0] == "ADDED"
    add("b")
    kind, obj = next(events)
    assert (kind, obj["metadata"]["name"]) == ("ADDED", "b")
    server.stop()
    assert list(events) == []


def test_a_client_that_goes_away_is_forgotten(server: Server) -> None:
    notifiers: list[watch.Notifier] = []
    server.run(lambda: notifiers.extend(callback.__self__ for callback in server.store._subscribers))  # type: ignore[attr-defined]
    (notifier,) = notifiers
    with server.open("GET", PATH + "?watch=true"):
        assert server.run(lambda: sum(map(len, notifier._waiting.values()))) == 1
    for _ in range(500):
        if server.run(lambda: sum(map(len, notifier._waiting.values()))) == 0:
            return
    raise AssertionError("the watcher is still there")


def test_select_gives_a_deleted_object_as_it_was_last() -> None:
    """A deletion that also took a finalizer tells the object without it, at the revision of the deletion."""
    store = Store()
    events: list[Any] = []
    store.create(CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["x.io/one"]}})
    store.delete(CONFIGMAPS, "default", "a")
    store.subscribe(events.extend)
    store.update(CONFIGMAPS, {"metadata": {"name": "a"}})
    target = Target(CONFIGMAPS, "default", None, None)
    options = ListOptions(None, None, True, False, None, None, 0, None, None, "")
    line = watch.select(events[0], target, options)
    assert line is not None
    assert line["type"] == "DELETED"
    assert "finalizers" not in line["object"]["metadata"]
    assert line["object"]["metadata"]["resourceVersion"] == "3"
