"""How names come from the store to those who answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from klab.api import resources
from klab.api.lab import Lab
from klab.api.lab_parse import parse_lab
from klab.cluster.naming import FilePublisher, Naming, cluster_dns, node_resolver, plan_dns_objects
from klab.controlplane.store import Store
from klab.errors import KlabError
from klab.kernel.rundir import RunDir
from klab.kubelet.resolv import ClusterDns, ResolvConf

SERVICES = resources.of("v1", "Service")
PODS = resources.of("v1", "Pod")


class Recorder:
    """Keeps what it is told; refuses while `broken`."""

    def __init__(self) -> None:
        self.deltas: list[Mapping[str, Any]] = []
        self.broken = False

    async def publish(self, delta: Mapping[str, Any]) -> None:
        if self.broken:
            raise KlabError("nobody listens")
        self.deltas.append(delta)


def make_lab(**dns: Any) -> Lab:
    lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": {"dns": dns}})
    assert not faults
    return lab


def service(name: str, address: str, **meta: Any) -> dict[str, Any]:
    spec = {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default", **meta}, "spec": spec}


def told(recorder: Recorder) -> tuple[bool, list[str], list[str]]:
    """Give the last delta: whether it is whole, what it sets, what it deletes."""
    delta = recorder.deltas[-1]
    return delta["reset"], [obj["metadata"]["name"] for obj in delta["set"]], delta["delete"]


def test_everything_is_told_first_and_then_what_changed() -> None:
    store, recorder = Store(None), Recorder()
    store.create(SERVICES, service("old", "10.96.0.2"))
    naming = Naming(store, recorder)

    async def body() -> None:
        await naming.sync()
        assert told(recorder) == (True, ["old"], [])
        store.create(SERVICES, service("new", "10.96.0.3"))
        store.remove(SERVICES, "default", "old")
        await naming.sync()
        assert told(recorder) == (False, ["new"], ["Service/default/old"])

    asyncio.run(body())
    assert len(recorder.deltas) == 2


def test_nothing_is_told_of_what_names_do_not_depend_on() -> None:
    store, recorder = Store(None), Recorder()
    naming = Naming(store, recorder)

    async def body() -> None:
        await naming.sync()
        store.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {}})
        made = store.create(SERVICES, service("web", "10.96.0.2"))
        await naming.sync()
        store.update(SERVICES, {**made, "metadata": {**made["metadata"], "labels": {"app": "web"}}})
        await naming.sync()

    asyncio.run(body())
    assert [[obj["metadata"]["name"] for obj in delta["set"]] for delta in recorder.deltas] == [[], ["web"]]


@pytest.mark.parametrize("lost", ["the delta", "the publisher's memory"])
def test_everything_is_told_again_after_a_loss(lost: str) -> None:
    store, recorder = Store(None), Recorder()
    naming = Naming(store, recorder)

    async def body() -> None:
        await naming.sync()
        store.create(SERVICES, service("web", "10.96.0.2"))
        if lost == "the delta":
            recorder.broken = True
            with pytest.raises(KlabError, match="nobody listens"):
                await naming.sync()
            recorder.broken = False
        else:
            naming.restart()
        await naming.sync()
        assert told(recorder) == (True, ["web"], [])
        await naming.sync()

    asyncio.run(body())
    assert len(recorder.deltas) == 2


def test_a_stopped_naming_lets_names_grow_old() -> None:
    store, recorder = Store(None), Recorder()
    naming = Naming(store, recorder)

    async def body() -> None:
        await naming.sync()
        naming.stop()
        store.create(SERVICES, service("web", "10.96.0.2"))
        await naming.sync()

    asyncio.run(body())
    assert len(recorder.deltas) == 1


def test_corednss_files_are_written_at_once_and_large_ones_together(tmp_path: Path) -> None:
    store, publisher = Store(None), FilePublisher(tmp_path / "dns", make_lab(server="coredns"))
    naming = Naming(store, publisher)
    zone, corefile = tmp_path / "dns" / "cluster.local.zone", tmp_path / "dns" / "Corefile"

    async def body() -> None:
        await naming.sync()
        first, before = zone.read_text(), corefile.stat()
        store.create(SERVICES, service("web-1", "10.96.0.1"))
        await naming.sync()
        assert "web-1.default.svc.cluster.local. 5 IN A 10.96.0.1" in zone.read_text()
        publisher._took = 1.0  # as with ten thousand Services
        first = zone.read_text()
        for number in range(2, 5):
            store.create(SERVICES, service(f"web-{number}", f"10.96.0.{number}"))
            await naming.sync()
        assert zone.read_text() == first
        async with asyncio.timeout(5):
            while zone.read_text() == first:  # noqa: ASYNC110 (a file has no event)
                await asyncio.sleep(0)
        assert [f"web-{number}.default.svc.cluster.local. 5 IN A 10.96.0.{number}" in zone.read_text() for number in range(2, 5)] == [True] * 3
        assert serial(first) < serial(zone.read_text())
        assert corefile.stat().st_ino != before.st_ino  # the namespace of the Services is in it

    asyncio.run(body())
    assert sorted(path.name for path in (tmp_path / "dns").iterdir()) == ["Corefile", "cluster.local.zone", "in-addr.arpa.zone", "ip6.arpa.zone"]


def serial(zone: str) -> int:
    return int(zone.splitlines()[0].split(" SOA ")[1].split()[2])


def test_kubelets_and_nodes_know_their_servers() -> None:
    lab = make_lab(domain="lab.test", upstream=["192.0.2.53"])
    assert cluster_dns(lab) == ClusterDns(("10.96.0.10",), "lab.test")
    assert node_resolver(lab) == ResolvConf(("192.0.2.53",))
    assert cluster_dns(make_lab(server="none")) == ClusterDns((), "cluster.local")


def test_a_lab_without_dns_has_no_objects_of_it() -> None:
    assert plan_dns_objects(make_lab(server="none"), RunDir("unit")) == []
    kinds = [obj["kind"] for obj in plan_dns_objects(make_lab(), RunDir("unit"))]
    assert kinds == ["ServiceAccount", "ConfigMap", "Service", "Deployment"]
