"""The lines that `plan` and `explain` print build what klab builds: a whole lab, typed in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from klab.api import resources
from klab.api.defaults import default
from klab.api.lab_parse import parse_lab
from klab.cluster import settle
from klab.cluster.desired import plan_everything
from klab.cluster.proxies import Proxies
from klab.controlplane.events import Recorder
from klab.controlplane.store import Store
from klab.controlplane.views import PodViews
from klab.kernel.observe import observe
from klab.kernel.rundir import RunDir
from klab.linux.diff import diff
from klab.linux.names import qualified
from klab.linux.objects import KernelObject, Key

pytestmark = [pytest.mark.root, pytest.mark.needs("br_netfilter", "iptables")]

PODS = [
    {
        "metadata": {"name": f"web-{number}", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}], "nodeName": f"node{number}"},
    }
    for number in (1, 2)
]
SERVICE = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "web"},
        "clusterIP": "10.96.0.80",
        "clusterIPs": ["10.96.0.80"],
        "sessionAffinity": "ClientIP",
        "externalTrafficPolicy": "Local",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080, "targetPort": 80}],
    },
}
SLICE = {
    "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    "endpoints": [{"addresses": [f"10.244.{number}.2"], "nodeName": f"node{number}", "conditions": {"ready": True}} for number in (1, 2)],
}


class Shell(Protocol):
    """What the fixture gives (see conftest.py)."""

    netns: Path

    def type(self, lines: Iterable[str]) -> None: ...


def plan_lab(rundir: RunDir, spec: Mapping[str, Any]) -> list[KernelObject]:
    """Plan a lab of two nodes with a pod each and one Service in front of them."""
    lab, faults = parse_lab({"metadata": {"name": "lab"}, "spec": spec})
    assert not faults
    store, views = Store(None), PodViews()
    settle.seed(store, lab, [])
    for version, kind, objects in (("v1", "Pod", PODS), ("v1", "Service", [SERVICE]), ("discovery.k8s.io/v1", "EndpointSlice", [SLICE])):
        for obj in objects:
            store.create(resources.of(version, kind), default({"apiVersion": version, "kind": kind, **obj}))
    topology = settle.topology_of(store, lab, rundir)
    settle.schedule(store, views, Recorder(store, lambda: datetime.now(UTC)))
    assert settle.give_addresses(store, views, topology) == {}
    return [item for owned in plan_everything(store, topology, Proxies(store, lab), views).values() for item in owned]


@pytest.mark.parametrize(
    ("plugin", "proxy"),
    [
        ("vxlan", "iptables"),
        pytest.param("hostgw", "nftables", marks=pytest.mark.needs("nft")),
        pytest.param("ipip", "ipvs", marks=pytest.mark.needs("ipip", "ip_vs", "dummy", "ipset", "ipvsadm")),
    ],
)
def test_a_typed_lab_stands(rundir: RunDir, shell: Shell, plugin: str, proxy: str) -> None:
    wanted = plan_lab(rundir, {"network": {"plugin": plugin, "podCIDR": "10.244.0.0/16"}, "services": {"proxy": proxy}})

    def look() -> dict[Key, KernelObject]:
        return observe({name: shell.netns / qualified("lab", name) for name in {item.netns for item in wanted}}, wanted)

    steps = diff(wanted, {})
    shell.type(line for step in steps for line in step.lines(lambda name: qualified("lab", name)))
    assert diff(wanted, look()) == []

    rules = [item for item in wanted if item.rank > 8]  # links, addresses and routes go with their namespaces
    shell.type(line for step in diff([], look(), stale=rules) for line in step.lines(lambda name: qualified("lab", name)))
    assert not look().keys() & {item.key for item in rules}
