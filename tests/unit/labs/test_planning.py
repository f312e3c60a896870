"""What `up` would do, planned on a copy of the store: nothing is changed, no root is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from klab.api import resources
from klab.api.defaults import default
from klab.api.lab import Lab
from klab.api.lab_parse import parse_lab
from klab.cluster import settle
from klab.controlplane.store import Store
from klab.errors import NotFoundError
from klab.kernel import rundir as rundir_module
from klab.kernel.journal import FileJournal
from klab.kernel.rundir import RunDir
from klab.labs.planning import Step, explain, plan
from klab.labs.snapshot import open_snapshot

SPEC: dict[str, Any] = {"nodes": [{"name": f"node{n}", "podCIDR": f"10.244.{n}.0/24"} for n in (1, 2)], "dns": {"server": "none"}}
PODS, SERVICES, NODES = (resources.of("v1", kind) for kind in ("Pod", "Service", "Node"))


@dataclass(frozen=True, slots=True)
class Document:
    where: str
    obj: dict[str, Any]


def document(kind: str, name: str, *, api: str = "v1", **fields: Any) -> Document:
    return Document("f.yaml", default({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, **fields}))


def pods(image: str = "nginx") -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]}}


DEPLOYMENT = document("Deployment", "web", api="apps/v1", spec={"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pods()})
SERVICE = document("Service", "front", spec={"selector": {"app": "web"}, "clusterIP": "10.96.0.80", "ports": [{"port": 80}]})


def make_lab(**spec: Any) -> Lab:
    lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": SPEC | spec})
    assert not faults
    return lab


def lines(steps: list[Step]) -> list[str]:
    return [line for step in steps for line in step.lines]


@pytest.fixture(autouse=True)
def own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let labs be in a folder of the test's own."""
    monkeypatch.setattr(rundir_module, "ROOT", tmp_path / "klab")
    return tmp_path / "klab"


def make_stored(lab: Lab) -> Path:
    """Write the journal of a lab that is up; give its file."""
    rundir = RunDir("unit")
    rundir.path.mkdir(parents=True)
    journal = FileJournal(rundir.journal)
    store = Store(journal)
    settle.seed(store, lab, [])
    pod = document("Pod", "old", spec={**pods()["spec"], "nodeName": "node2"}).obj
    store.create(PODS, {**pod, "status": {"podIP": "10.244.2.7", "podIPs": [{"ip": "10.244.2.7"}]}})
    journal.close()
    return rundir.journal


def test_a_lab_is_planned_from_its_switch_to_its_services() -> None:
    steps = plan(make_lab(), [DEPLOYMENT, SERVICE])
    assert {step.verb for step in steps} == {"create"}
    assert all(step.why and step.lines for step in steps)
    listed = lines(steps)
    assert listed[0].startswith("ip netns add unit_")
    names = {line.split()[-1] for line in listed if line.startswith("ip netns add ")}
    assert {"unit_fabric", "unit_router", "unit_client", "unit_node1", "unit_node2"} < names
    assert len([name for name in names if name.startswith("unit_default_web-")]) == 2
    for node in (1, 2):
        rules = [line for line in listed if line.startswith(f"ip netns exec unit_node{node} iptables")]
        assert {part for line in rules for part in line.split() if part.endswith(":80")} == {"10.244.1.2:80", "10.244.2.2:80"}


def test_the_same_file_gives_the_same_networks() -> None:
    first, second = ({line for line in lines(plan(make_lab(), [SERVICE])) if "mac" not in line} for _ in range(2))
    assert first == second


def test_what_an_object_is_for_is_said() -> None:
    pod = document("Pod", "alone", spec=pods()["spec"])
    reasons = {step.why for step in plan(make_lab(), [pod]) if any("unit_default_alone" in line for line in step.lines)}
    assert reasons == {"pod/alone"}


def test_planning_leaves_no_trace(own_run: Path) -> None:
    plan(make_lab(), [DEPLOYMENT, SERVICE])
    assert not own_run.exists()


def test_a_lab_that_is_up_is_planned_on_without_being_touched(own_run: Path) -> None:
    journal = make_stored(make_lab())
    before = journal.read_bytes()
    listed = lines(plan(make_lab(), [DEPLOYMENT]))
    assert journal.read_bytes() == before
    assert [path.name for path in own_run.rglob("*") if path.is_file()] == ["journal"]
    assert "ip netns add unit_default_old" in listed  # nothing of it stands, so it would be made again
    assert any("unit_default_web-" in line and " addr add 10.244." in line for line in listed)
    assert not any("addr add 10.244.2.7/" in line and "unit_default_old" not in line for line in listed)


def test_a_torn_record_is_not_read() -> None:
    journal = make_stored(make_lab())
    count = len(open_snapshot(RunDir("unit")).list(PODS))
    with journal.open("ab") as file:
        file.write(b'{"torn":')
    assert len(open_snapshot(RunDir("unit")).list(PODS)) == count == 1


def test_a_snapshot_keeps_writes_to_itself() -> None:
    journal = make_stored(make_lab())
    before = journal.read_bytes()
    store = open_snapshot(RunDir("unit"))
    store.remove(PODS, "default", "old")
    assert store.list(PODS) == []
    assert journal.read_bytes() == before
    assert len(open_snapshot(RunDir("unit")).list(PODS)) == 1


def test_an_object_is_explained_by_what_stands_for_it() -> None:
    make_stored(make_lab())
    listed = lines(explain("unit", PODS, "default", "old"))
    assert listed[0] == "ip netns add unit_default_old"
    assert any("10.244.2.7" in line for line in listed)
    assert not any("unit_node1" in line for line in listed)
    assert "ip netns add unit_node2" in lines(explain("unit", NODES, None, "node2"))
    assert "ip netns add unit_fabric" in lines(explain("unit", settle.LABS, None, "unit"))
    kubernetes = lines(explain("unit", SERVICES, "default", "kubernetes"))
    assert {line.split()[3] for line in kubernetes} == {"unit_node1", "unit_node2"}
    assert any("10.96.0.1/32" in line for line in kubernetes)


def test_what_is_not_there_cannot_be_explained() -> None:
    make_stored(make_lab())
    with pytest.raises(NotFoundError, match='pods "never" not found'):
        explain("unit", PODS, "default", "never")
    with pytest.raises(NotFoundError, match='nothing stands in the kernel for namespace "default"'):
        explain("unit", settle.NAMESPACES, None, "default")
