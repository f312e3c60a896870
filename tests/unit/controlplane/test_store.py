"""The store keeps the promises of Kubernetes' API: revisions, optimistic locks, finalizers, watches; and loses nothing that it acknowledged."""

from __future__ import annotations

import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from klab.api.resources import BUILTIN
from klab.api.selectors import parse_field_selector, parse_selector
from klab.controlplane.store import Event, Store
from klab.errors import AlreadyExistsError, ConflictError, InvalidManifestError, KlabError, NotFoundError
from klab.kernel.journal import FileJournal

PODS = BUILTIN.of("v1", "Pod")
NODES = BUILTIN.of("v1", "Node")
NAMESPACES = BUILTIN.of("v1", "Namespace")
CONFIGMAPS = BUILTIN.of("v1", "ConfigMap")
DEPLOYMENTS = BUILTIN.of("apps/v1", "Deployment")


def pod(name: str = "web", namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


def bound(store: Store, **metadata: Any) -> dict[str, Any]:
    """Store a pod that sits on a node."""
    return store.create(PODS, {**pod(**metadata), "spec": {"nodeName": "node1", "containers": []}})


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


@pytest.fixture
def store() -> Store:
    return Store(now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


class Log:
    """A subscriber that notes what it hears, transaction by transaction."""

    def __init__(self, store: Store) -> None:
        self.batches: list[list[Event]] = []
        self.stop = store.subscribe(self.batches.append)

    @property
    def lines(self) -> list[str]:
        return [f"{event.type} {event.object['metadata']['name']}" for batch in self.batches for event in batch]


# create


def test_create_fills_what_belongs_to_the_server(store: Store) -> None:
    made = store.create(PODS, pod(uid="mine", resourceVersion="77", creationTimestamp="1999", generation=9))
    metadata = made["metadata"]
    assert metadata["resourceVersion"] == "1"
    assert metadata["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert metadata["generation"] == 1
    assert len(metadata["uid"]) == 36
    assert store.get(PODS, "default", "web") is made


def test_create_does_not_change_what_it_was_given(store: Store) -> None:
    given = pod()
    store.create(PODS, given)
    assert given == pod()


def test_create_without_a_namespace_means_default_and_cluster_scoped_objects_have_none(store: Store) -> None:
    assert store.create(PODS, {"metadata": {"name": "a"}})["metadata"]["namespace"] == "default"
    assert "namespace" not in store.create(NODES, {"metadata": {"name": "node1", "namespace": "x"}})["metadata"]


def test_create_names_its_kind(store: Store) -> None:
    made = store.create(DEPLOYMENTS, {"metadata": {"name": "a"}})
    assert (made["apiVersion"], made["kind"]) == ("apps/v1", "Deployment")


def test_a_taken_name_is_refused_in_kubernetes_words(store: Store) -> None:
    store.create(PODS, pod())
    store.create(PODS, pod(namespace="other"))
    with pytest.raises(AlreadyExistsError, match=r'^pods "web" already exists$'):
        store.create(PODS, pod())


def test_a_generated_name_is_free_and_short_enough() -> None:
    suffixes = iter(["aaaaa", "aaaaa", "bbbbb", "ccccc"])
    store = Store(new_suffix=lambda: next(suffixes))
    base = {"metadata": {"generateName": "web-"}}
    assert names([store.create(PODS, base), store.create(PODS, base)]) == ["web-aaaaa", "web-bbbbb"]
    assert store.create(PODS, {"metadata": {"generateName": "x" * 80}})["metadata"]["name"] == "x" * 58 + "ccccc"


def test_generated_suffixes_have_kubernetes_letters(store: Store) -> None:
    suffix = store.create(PODS, {"metadata": {"generateName": "web-"}})["metadata"]["name"].removeprefix("web-")
    assert len(suffix) == 5
    assert set(suffix) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_an_object_without_any_name_is_refused(store: Store) -> None:
    with pytest.raises(InvalidManifestError, match=r"metadata\.name: Required value: name or generateName is required"):
        store.create(PODS, {"metadata": {}})


def test_kinds_without_generation_have_none(store: Store) -> None:
    assert "generation" not in store.create(CONFIGMAPS, {"metadata": {"name": "a"}})["metadata"]


# get, list


def test_a_missing_object_is_told_in_kubernetes_words(store: Store) -> None:
    with pytest.raises(NotFoundError, match=r'^pods "web" not found$'):
        store.get(PODS, "default", "web")
    with pytest.raises(NotFoundError, match=r'^deployments\.apps "web" not found$'):
        store.get(DEPLOYMENTS, "default", "web")


def test_lists_are_sorted_by_namespace_and_name(store: Store) -> None:
    for namespace, name in [("b", "x"), ("a", "z"), ("a", "y")]:
        store.create(PODS, pod(name, namespace))
    assert names(store.list(PODS)) == ["y", "z", "x"]
    assert names(store.list(PODS, "a")) == ["y", "z"]
    assert store.list(PODS, "nowhere") == []
    assert store.list(NODES) == []


def test_lists_filter_by_labels_and_fields(store: Store) -> None:
    store.create(PODS, pod("a", labels={"app": "web"}))
    store.create(PODS, pod("b", labels={"app": "db"}))
    store.create(PODS, pod("c"))

    assert names(store.list(PODS, selector=parse_selector("app!=web"))) == ["b", "c"]
    assert names(store.list(PODS, selector=parse_selector("app"), fields=parse_field_selector("metadata.name=b"))) == ["b"]


def test_versions_of_a_kind_are_one_table(store: Store) -> None:
    store.create(BUILTIN.of("autoscaling/v2", "HorizontalPodAutoscaler"), {"metadata": {"name": "a"}})
    assert names(store.list(BUILTIN.of("autoscaling/v1", "HorizontalPodAutoscaler"))) == ["a"]


# update


def test_update_with_an_old_resource_version_is_a_conflict(store: Store) -> None:
    old = store.create(PODS, pod())
    store.update(PODS, {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}})
    with pytest.raises(ConflictError, match=r'^Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes'):
        store.update(PODS, old)
    with pytest.raises(ConflictError):
        store.update(PODS, {**old, "status": {"phase": "Running"}}, "status")


def test_update_without_a_resource_version_wins(store: Store) -> None:
    store.create(PODS, pod())
    assert store.update(PODS, pod(labels={"a": "b"}))["metadata"]["labels"] == {"a": "b"}


def test_update_of_another_uid_is_a_conflict(store: Store) -> None:
    store.create(PODS, pod())
    with pytest.raises(ConflictError, match="Precondition failed: UID in precondition: other, UID in object meta: "):
        store.update(PODS, pod(uid="other"))


def test_update_of_a_missing_object_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError):
        store.update(PODS, pod())


def test_generation_counts_changes_of_the_spec_alone(store: Store) -> None:
    made = store.create(DEPLOYMENTS, {"metadata": {"name": "a"}, "spec": {"replicas": 1}})
    labelled = store.update(DEPLOYMENTS, {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}})
    scaled = store.update(DEPLOYMENTS, {**labelled, "spec": {"replicas": 2}})
    running = store.update(DEPLOYMENTS, {**scaled, "status": {"replicas": 2}}, "status")
    assert [obj["metadata"]["generation"] for obj in (made, labelled, scaled, running)] == [1, 1, 2, 2]
    assert [obj["metadata"]["resourceVersion"] for obj in (made, labelled, scaled, running)] == ["1", "2", "3", "4"]


def test_update_keeps_status_and_server_fields(store: Store) -> None:
    made = store.create(PODS, pod())
    store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
    updated = store.update(PODS, {**pod(labels={"a": "b"}, creationTimestamp="1999", generation=7), "status": {"phase": "Failed"}})
    assert updated["status"] == {"phase": "Running"}
    assert updated["metadata"]["uid"] == made["metadata"]["uid"]
    assert updated["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert updated["metadata"]["generation"] == 1


def test_status_update_changes_the_status_only(store: Store) -> None:
    made = store.create(PODS, pod())
    updated = store.update(PODS, {**pod(labels={"a": "b"}), "spec": {}, "status": {"phase": "Running"}}, "status")
    assert updated["spec"] == made["spec"]
    assert "labels" not in updated["metadata"]
    assert updated["status"] == {"phase": "Running"}


def test_a_write_that_changes_nothing_is_no_write(store: Store) -> None:
    made = store.create(PODS, pod())
    running = store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
    log = Log(store)
    assert store.update(PODS, pod()) is running
    assert store.update(PODS, running) is running
    assert store.update(PODS, {**pod(), "status": {"phase": "Running"}}, "status") is running
    assert (log.lines, store.revision) == ([], 2)


def test_what_was_read_never_changes(store: Store) -> None:
    made = store.create(PODS, pod())
    before = repr(made)
    store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
    store.update(PODS, pod(labels={"a": "b"}))
    store.delete(PODS, "default", "web")
    assert repr(made) == before


# delete


def test_delete_takes_an_object_at_once_and_tells_its_last_state_at_a_new_revision(store: Store) -> None:
    store.create(CONFIGMAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    log = Log(store)
    gone = store.delete(CONFIGMAPS, "default", "a")
    assert gone["data"] == {"k": "v"}
    assert store.list(CONFIGMAPS) == []
    [[event]] = log.batches
    assert (event.type, event.object["metadata"]["resourceVersion"], event.revision) == ("DELETED", "2", 2)
    with pytest.raises(NotFoundError):
        store.delete(CONFIGMAPS, "default", "a")


def test_delete_of_a_pod_on_a_node_waits_for_its_kubelet(store: Store) -> None:
    bound(store)
    log = Log(store)
    dying = store.delete(PODS, "default", "web")
    assert dying["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:35Z"
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 30
    assert dying["metadata"]["generation"] == 2
    assert store.delete(PODS, "default", "web") is dying
    store.delete(PODS, "default", "web", grace=0)
    assert log.lines == ["MODIFIED web", "DELETED web"]


def test_a_deletion_can_be_hastened_but_not_slowed_down(store: Store) -> None:
    bound(store)
    store.delete(PODS, "default", "web", grace=20)
    hastened = store.delete(PODS, "default", "web", grace=5)
    assert hastened["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:10Z"
    assert store.delete(PODS, "default", "web", grace=60) is hastened


@pytest.mark.parametrize(
    "state", [{"spec": {}}, {"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}}, {"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}}]
)
def test_delete_of_a_pod_that_runs_nowhere_is_at_once(store: Store, state: dict[str, Any]) -> None:
    store.create(PODS, {**pod(), **state})
    store.delete(PODS, "default", "web", grace=30)
    assert store.list(PODS) == []


def test_finalizers_hold_an_object_until_the_last_one_is_taken(store: Store) -> None:
    store.create(CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["x.io/one", "x.io/two"]}})
    log = Log(store)
    dying = store.delete(CONFIGMAPS, "default", "a")
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 0
    assert store.delete(CONFIGMAPS, "default", "a") is dying
    one = store.update(CONFIGMAPS, {**dying, "metadata": {**dying["metadata"], "finalizers": ["x.io/two"]}})
    assert one["metadata"]["deletionTimestamp"] == dying["metadata"]["deletionTimestamp"]
    store.update(CONFIGMAPS, {**one, "metadata": {**one["metadata"], "finalizers": []}})
    assert store.list(CONFIGMAPS) == []
    assert log.lines == ["MODIFIED a", "MODIFIED a", "DELETED a"]


def test_finalizers_hold_a_pod_whose_grace_is_over(store: Store) -> None:
    bound(store, finalizers=["x.io/one"])
    store.delete(PODS, "default", "web")
    dead = store.delete(PODS, "default", "web", grace=0)
    assert dead["metadata"]["deletionGracePeriodSeconds"] == 0
    store.update(PODS, {**dead, "metadata": {**dead["metadata"], "finalizers": []}})
    assert store.list(PODS) == []


def test_a_pod_in_its_grace_period_stays_when_its_finalizer_goes(store: Store) -> None:
    bound(store, finalizers=["x.io/one"])
    dying = store.delete(PODS, "default", "web")
    store.update(PODS, {**dying, "metadata": {**dying["metadata"], "finalizers": []}})
    assert names(store.list(PODS)) == ["web"]


def test_a_namespace_is_held_by_its_spec_finalizers(store: Store) -> None:
    store.create(NAMESPACES, {"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    dying = store.delete(NAMESPACES, None, "a")
    assert dying["status"] == {"phase": "Terminating"}
    store.update(NAMESPACES, {**dying, "spec": {}})
    assert store.list(NAMESPACES) == []


def test_delete_checks_preconditions(store: Store) -> None:
    made = store.create(PODS, pod())
    with pytest.raises(ConflictError):
        store.delete(PODS, "default", "web", uid="other")
    with pytest.raises(ConflictError):
        store.delete(PODS, "default", "web", resource_version="99")
    store.delete(PODS, "default", "web", uid=made["metadata"]["uid"], resource_version="1")


def test_remove_does_not_ask(store: Store) -> None:
    bound(store, finalizers=["x.io/one"])
    store.remove(PODS, "default", "web")
    store.remove(PODS, "default", "web")
    assert store.list(PODS) == []


# batch


def test_a_batch_is_heard_of_once_and_afterwards(store: Store) -> None:
    log = Log(store)
    with store.batch():
        store.create(PODS, pod("a"))
        made = store.create(PODS, pod("b"))
        store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
        assert names(store.list(PODS)) == ["a", "b"]
        assert log.batches == []
    assert log.lines == ["ADDED a", "ADDED b", "MODIFIED b"]
    assert len(log.batches) == 1


def test_a_failed_batch_leaves_nothing(store: Store) -> None:
    kept = store.create(PODS, pod("kept"))
    log = Log(store)
    with pytest.raises(AlreadyExistsError), store.batch():  # noqa: PT012  # the batch is the statement
        store.create(PODS, pod("a"))
        store.update(PODS, {**kept, "status": {"phase": "Running"}}, "status")
        store.delete(PODS, "default", "kept")
        store.create(PODS, pod("a"))
    assert store.list(PODS) == [kept]
    assert (log.lines, store.revision) == ([], 1)


def test_an_inner_batch_takes_back_its_own_writes_only(store: Store) -> None:
    log = Log(store)
    with store.batch():
        store.create(PODS, pod("a"))
        with pytest.raises(AlreadyExistsError), store.batch():  # noqa: PT012  # the batch is the statement
            store.create(PODS, pod("b"))
            store.create(PODS, pod("a"))
        store.create(PODS, pod("c"))
    assert log.lines == ["ADDED a", "ADDED c"]
    assert store.get(PODS, "default", "c")["metadata"]["resourceVersion"] == "2"


def test_a_dry_run_shows_and_forgets(store: Store, tmp_path: Path) -> None:
    store = Store(FileJournal(tmp_path / "journal"))
    log = Log(store)
    with store.batch(dry_run=True):
        assert store.create(PODS, pod("a"))["metadata"]["resourceVersion"] == "1"
    assert (store.list(PODS), log.lines, store.revision) == ([], [], 0)
    assert (tmp_path / "journal").read_bytes() == b""


# watch


def test_a_subscriber_hears_old_and_new_until_it_stops(store: Store) -> None:
    log = Log(store)
    made = store.create(PODS, pod())
    updated = store.update(PODS, pod(labels={"a": "b"}))
    log.stop()
    log.stop()
    store.delete(PODS, "default", "web")
    assert log.batches == [[Event("ADDED", PODS, made, None)], [Event("MODIFIED", PODS, updated, made)]]


def test_a_subscriber_that_writes_keeps_the_order_for_all(store: Store) -> None:
    def bind(events: list[Event]) -> None:
        for event in events:
            if event.type == "ADDED":
                store.update(PODS, {**event.object, "spec": {"nodeName": "node1"}})

    store.subscribe(bind)
    log = Log(store)
    store.create(PODS, pod("a"))
    assert log.lines == ["ADDED a", "MODIFIED a"]


def test_a_broken_subscriber_stops_neither_writer_nor_others(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def fail(events: list[Event]) -> None:
        raise ValueError("broken")

    store.subscribe(fail)
    log = Log(store)
    store.create(PODS, pod("a"))
    assert log.lines == ["ADDED a"]
    assert "a subscriber of the store failed at revision 1" in caplog.text


def test_past_events_can_be_asked_for_until_they_expire() -> None:
    store = Store(window=3)
    for name in "abcd":
        store.create(PODS, pod(name))
    store.create(NODES, {"metadata": {"name": "node1"}})
    assert [event.object["metadata"]["name"] for event in store.events_since(PODS, 2) or ()] == ["c", "d"]
    assert store.events_since(PODS, 5) == []
    assert store.events_since(PODS, 99) == []
    assert store.events_since(PODS, 1) is None


def test_a_batch_larger_than_the_window_expires_its_own_start() -> None:
    store = Store(window=2)
    with store.batch():
        for name in "abcde":
            store.create(PODS, pod(name))
    assert store.events_since(PODS, 2) is None
    assert [event.revision for event in store.events_since(PODS, 3) or ()] == [4, 5]


# journal


def test_what_was_acknowledged_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    store = Store(FileJournal(path))
    made = store.create(PODS, pod("a"))
    store.create(NODES, {"metadata": {"name": "node1"}})
    store.create(PODS, pod("b"))
    store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
    store.delete(PODS, "default", "b")
    again = Store(FileJournal(path))
    assert (again.list(PODS), again.list(NODES), again.revision) == (store.list(PODS), store.list(NODES), 5)
    assert again.create(PODS, pod("c"))["metadata"]["resourceVersion"] == "6"
    third = Store(FileJournal(path))
    assert third.list(PODS) == again.list(PODS)
    assert third.revision == 6


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """The writer tells each name after its write; it is killed in the midst of its work, again and again."""
    code = """
import sys, pathlib
from klab.api.resources import BUILTIN
from klab.controlplane.store import Store
from klab.kernel.journal import FileJournal
store = Store(FileJournal(pathlib.Path(sys.argv[1])))
while True:
    made = store.create(BUILTIN.of("v1", "ConfigMap"), {"metadata": {"generateName": "a-"}, "data": {"k": "v" * 5000}})
    print(made["metadata"]["name"], flush=True)
"""
    path = tmp_path / "journal"
    told: set[str] = set()
    for lines in (1, 50, 300):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told |= {writer.stdout.readline().strip() for _ in range(lines)}
            writer.kill()
            told |= set(writer.stdout.read().split("\n")[:-1])
        kept = set(names(Store(FileJournal(path)).list(CONFIGMAPS)))
        assert told <= kept
        assert len(kept - told) <= 3  # at most one a writer was written and not yet told


def test_events_from_before_the_start_have_expired(tmp_path: Path) -> None:
    Store(FileJournal(tmp_path / "journal")).create(PODS, pod("a"))
    again = Store(FileJournal(tmp_path / "journal"))
    assert again.events_since(PODS, 0) is None
    assert again.events_since(PODS, 1) == []


def test_a_torn_last_line_is_ignored_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    store = Store(FileJournal(path))
    store.create(PODS, pod("a"))
    whole = len(path.read_bytes())
    store.create(PODS, pod("b"))
    content = path.read_bytes()
    for length in range(whole, len(content)):
        path.write_bytes(content[:length])
        torn = Store(FileJournal(path))
        assert names(torn.list(PODS)) == ["a"]
        torn.create(PODS, pod("c"))
        assert names(Store(FileJournal(path)).list(PODS)) == ["a", "c"]


def test_a_batch_is_one_record_and_so_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    store = Store(FileJournal(path))
    with store.batch():
        made = store.create(PODS, pod("a"))
        store.update(PODS, {**made, "status": {"phase": "Running"}}, "status")
        store.create(PODS, pod("b"))
        store.delete(PODS, "default", "b")
    assert path.read_bytes().count(b"\n") == 1
    assert Store(FileJournal(path)).list(PODS) == store.list(PODS)
    path.write_bytes(path.read_bytes()[:-1])
    assert Store(FileJournal(path)).list(PODS) == []


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"revision":1,"changes":[]}\n\xff\n')
    with pytest.raises(KlabError, match="record 2 is unreadable"):
        Store(FileJournal(path))


def test_a_journal_that_takes_nothing_makes_no_write(tmp_path: Path) -> None:
    """A limit of the file's size stands for a full disk: half of the record is written, taken back, and the store is as before."""
    path = tmp_path / "journal"
    store = Store(FileJournal(path))
    kept = store.create(PODS, pod("a"))
    log = Log(store)
    content = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 20, limits[1]))
    try:
        with pytest.raises(KlabError, match=r"cannot write the lab's journal .*: only 20 of \d+ bytes were written; make room there"):
            store.create(PODS, pod("b"))
        with pytest.raises(KlabError, match="cannot write the lab's journal"):
            FileJournal(path).replace([b"x" * 10_000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (store.list(PODS), log.lines, store.revision) == ([kept], [], 1)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["journal"]


def test_a_long_journal_is_compacted_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("klab.controlplane.store.COMPACT_BYTES", 5000)
    path = tmp_path / "journal"
    store = Store(FileJournal(path))
    made = store.create(PODS, pod("a"))
    for count in range(200):
        made = store.update(PODS, {**made, "status": {"count": count}}, "status")
    assert path.stat().st_size < 10_000
    again = Store(FileJournal(path))
    assert (again.list(PODS), again.revision) == ([made], 201)


def test_the_journal_is_private(tmp_path: Path) -> None:
    store = Store(FileJournal(tmp_path / "journal"))
    store.create(PODS, pod("a"))
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
