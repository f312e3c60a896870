"""The CLI's client: objects, bulk apply, errors as they were at the server; and it loads fast."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver.bulk import LAST_APPLIED, render_go_json
from klab.apiserver.client import Client
from klab.errors import AlreadyExistsError, ConflictError, InvalidManifestError, KlabError, NotFoundError, UsageError

if TYPE_CHECKING:
    from .conftest import Server

PODS = BUILTIN.of("v1", "Pod")
CONFIGMAPS = BUILTIN.of("v1", "ConfigMap")
NAMESPACES = BUILTIN.of("v1", "Namespace")
DEPLOYMENTS = BUILTIN.of("apps/v1", "Deployment")


@dataclass
class Document:
    where: str
    obj: dict[str, Any]


def configmap(name: str = "a", namespace: str | None = None, **data: str) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def apply(client: Client, *objects: dict[str, Any]) -> list[str]:
    return [result for result, _ in client.apply([Document(f"f.yaml, document {number}", obj) for number, obj in enumerate(objects, 1)])]


def test_objects_come_and_go(client: Client) -> None:
    made = client.create(CONFIGMAPS, configmap(k="v"))
    assert client.get(CONFIGMAPS, "default", "a") == made
    updated = client.update(CONFIGMAPS, {**made, "data": {"k": "w"}})
    assert client.list(CONFIGMAPS)["items"] == [updated]
    patched = client.patch(CONFIGMAPS, "default", "a", {"metadata": {"labels": {"x": "y"}}})
    assert client.list(CONFIGMAPS, "default", "x=y")["items"] == [patched]
    assert client.list(CONFIGMAPS, "default", "", "metadata.name=b")["items"] == []
    assert client.delete(CONFIGMAPS, "default", "a")["status"] == "Success"
    assert json.loads(client.raw("/api/v1/configmaps"))["items"] == []


def test_cluster_scoped_objects_have_no_namespace(client: Client) -> None:
    client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    assert client.get(NAMESPACES, None, "shop")["status"] == {"phase": "Active"}


def test_refusals_are_the_errors_that_they_were(client: Client) -> None:
    made = client.create(CONFIGMAPS, configmap())
    with pytest.raises(AlreadyExistsError, match=r'^configmaps "a" already exists$'):
        client.create(CONFIGMAPS, configmap())
    with pytest.raises(NotFoundError, match=r'^configmaps "b" not found$'):
        client.get(CONFIGMAPS, "default", "b")
    client.update(CONFIGMAPS, {**made, "data": {"k": "v"}})
    with pytest.raises(ConflictError, match="the object has been modified"):
        client.update(CONFIGMAPS, made)
    with pytest.raises(UsageError):
        client.list(CONFIGMAPS, selector="==")
    with pytest.raises(InvalidManifestError) as caught:
        client.create(PODS, {"metadata": {"name": "web"}, "spec": {"contianers": [], "containers": [{"image": "x"}]}})
    assert [(fault.path, fault.message) for fault in caught.value.faults] == [
        ("spec.contianers", 'unknown field "contianers"; did you mean "containers"?')
    ]
    with pytest.raises(InvalidManifestError) as caught:
        client.create(PODS, {"metadata": {"name": "web"}, "spec": {"containers": [{"image": "x"}]}})
    assert str(caught.value) == 'Pod "web": spec.containers[0].name: Required value'


def test_a_name_with_odd_letters_does_not_leave_its_path(client: Client) -> None:
    with pytest.raises(NotFoundError, match=r'^configmaps "a/\.\./b\?x=1" not found$'):
        client.get(CONFIGMAPS, "default", "a/../b?x=1")


# apply


def test_apply_creates_configures_and_leaves_alone(client: Client) -> None:
    assert apply(client, configmap(k="v", l="m")) == ["created"]
    assert apply(client, configmap(k="v", l="m")) == ["unchanged"]
    assert apply(client, configmap(k="w")) == ["configured"]
    assert client.get(CONFIGMAPS, "default", "a")["data"] == {"k": "w"}


def test_apply_keeps_what_others_have_set(client: Client) -> None:
    apply(client, configmap(k="v"))
    client.patch(CONFIGMAPS, "default", "a", {"data": {"other": "1"}, "metadata": {"labels": {"x": "y"}}})
    assert apply(client, configmap(k="v")) == ["unchanged"]
    assert apply(client, configmap(k="w")) == ["configured"]
    found = client.get(CONFIGMAPS, "default", "a")
    assert (found["data"], found["metadata"]["labels"]) == ({"k": "w", "other": "1"}, {"x": "y"})


def test_apply_takes_back_what_was_changed_by_hand(client: Client) -> None:
    apply(client, configmap(k="v"))
    client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "other"}})
    assert apply(client, configmap(k="v")) == ["configured"]
    assert client.get(CONFIGMAPS, "default", "a")["data"] == {"k": "v"}


def test_apply_notes_the_manifest_as_kubectl_does(client: Client) -> None:
    apply(client, {**configmap(k="<v>"), "metadata": {"name": "a", "annotations": {"mine": "1"}}})
    annotations = client.get(CONFIGMAPS, "default", "a")["metadata"]["annotations"]
    assert annotations["mine"] == "1"
    assert annotations[LAST_APPLIED] == (
        '{"apiVersion":"v1","data":{"k":"\\u003cv\\u003e"},"kind":"ConfigMap",'
        '"metadata":{"annotations":{"mine":"1"},"name":"a","namespace":"default"}}\n'
    )


def test_apply_gives_the_objects_or_their_names(client: Client) -> None:
    ((result, obj),) = client.apply([Document("f", configmap(k="v"))])
    assert (result, obj["data"]) == ("created", {"k": "v"})
    (summary,) = client.apply_all([("f", configmap(k="v"))])
    assert {key: summary[key] for key in ("result", "kind", "namespace", "name")} == {
        "result": "unchanged",
        "kind": "ConfigMap",
        "namespace": "default",
        "name": "a",
    }


def test_a_namespace_may_stand_after_what_is_in_it(client: Client) -> None:
    results = apply(client, configmap("a", "shop"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    assert results == ["created", "created"]


def test_one_wrong_manifest_stops_all_and_every_fault_is_told(client: Client) -> None:
    apply(client, configmap("old", k="v"))
    with pytest.raises(InvalidManifestError) as caught:
        apply(
            client,
            configmap("old", k="w"),
            configmap("new"),
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x", "imge": 1}]}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"image": "x"}]}},
            {"apiVersion": "v1", "kind": "Pood", "metadata": {"name": "p"}},
            configmap("b", "nowhere"),
            {"apiVersion": "v1", "kind": "Pod", "metadata": {}},
        )
    assert str(caught.value).splitlines() == [
        'f.yaml, document 3: spec.containers[0].imge: unknown field "imge"; did you mean "image"?',
        "f.yaml, document 4: spec.containers[0].name: Required value",
        'f.yaml, document 5: no matches for kind "Pood" in version "v1"; did you mean "Pod"?',
        'f.yaml, document 6: namespaces "nowhere" not found',
        "f.yaml, document 7: metadata.name: Required value: name is required to apply",
    ]
    assert [obj["metadata"]["name"] for obj in client.list(CONFIGMAPS)["items"]] == ["old"]
    assert client.get(CONFIGMAPS, "default", "old")["data"] == {"k": "v"}


def test_one_refusal_alone_keeps_its_class(client: Client) -> None:
    with pytest.raises(NotFoundError, match=r'^namespaces "nowhere" not found$'):
        apply(client, configmap("b", "nowhere"))


def test_a_change_that_is_not_allowed_is_a_conflict(client: Client) -> None:
    def deployment(label: str) -> dict[str, Any]:
        template = {"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        spec = {"selector": {"matchLabels": {"app": label}}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    apply(client, deployment("a"))
    with pytest.raises(ConflictError, match=r"spec\.selector: Invalid value: .*: field is immutable"):
        apply(client, deployment("b"))


def test_a_dry_run_of_apply_says_what_it_would_do(client: Client) -> None:
    assert [result for result, _ in client.apply([Document("f", configmap())], dry_run=True)] == ["created"]
    assert client.list(CONFIGMAPS)["items"] == []


def test_a_broken_bulk_request_is_refused(server: Server) -> None:
    for body in ({}, {"items": {}}, {"items": [1]}, {"items": [{"where": "x"}]}, []):
        assert server.send("POST", "/klab/v1/apply", body).code == 400


def test_go_json_is_sorted_and_safe() -> None:
    assert render_go_json({"b": "ä<&>\u2028", "a": [1, 1.5, True, None]}) == '{"a":[1,1.5,true,null],"b":"ä\\u003c\\u0026\\u003e\\u2028"}\n'


# nobody there, or somebody strange


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Answer one connection with these bytes, and hang up."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


def test_nobody_there_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(KlabError, match=r"the lab's control plane does not answer on .*api\.sock .*`klab up FILE` starts it again"):
        Client(tmp_path / "api.sock").version()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "does not answer"),
        (b"SSH-2.0-OpenSSH\r\n", "does not answer"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\noops\n", "the lab answered 502: oops"),
    ],
)
def test_a_strange_answer_is_an_error(tmp_path: Path, answer: bytes, message: str) -> None:
    with answering(tmp_path / "api.sock", answer), pytest.raises(KlabError, match=message):
        Client(tmp_path / "api.sock").version()


def test_an_answer_cut_short_is_an_error(tmp_path: Path) -> None:
    with answering(tmp_path / "api.sock", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), pytest.raises(KlabError, match="does not answer"):
        Client(tmp_path / "api.sock").version()


def test_a_watch_cut_short_is_an_error_after_what_was_heard(tmp_path: Path) -> None:
    whole = b'{"type":"ADDED","object":{}}\n'
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s" % (len(whole), whole, len(whole), whole[:9])
    with answering(tmp_path / "api.sock", answer):
        events = Client(tmp_path / "api.sock").watch(PODS)
        assert next(events) == ("ADDED", {})
        with pytest.raises(KlabError, match="does not answer"):
            next(events)


def test_the_client_loads_nothing_heavy() -> None:
    code = "import sys, klab.apiserver.client; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"aiohttp", "asyncio", "yaml", "klab.api", "klab.controlplane", "http.client", "ssl", "typer", "rich", "pyroute2"}
    assert heavy.isdisjoint(loaded)
