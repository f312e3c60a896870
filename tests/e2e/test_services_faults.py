"""Services that cannot be: what Kubernetes says of them, and what klab says of a way to serve them that is unknown or missing here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Machine

pytestmark = pytest.mark.root

LAB = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {{name: faults}}
spec: {{dns: {{server: none}}, services: {{proxy: {proxy}}}, nodes: [{{name: node1}}]}}
"""


def service(name: str = "bad", **spec: Any) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}})


@pytest.fixture(scope="module")
def lab(shared_machine: Machine) -> Iterator[Machine]:
    taken = service("taken", type="NodePort", clusterIP="10.96.0.77", ports=[{"port": 80, "nodePort": 30077}])
    text = LAB.format(proxy="iptables") + "---\n" + taken
    shared_machine.check(f"klab up {shared_machine.write('faults.yaml', text)}")
    yield shared_machine
    shared_machine.check("klab down faults")


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({"ports": [{"port": 0}]}, ["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
        (
            {"ports": [{"name": "a", "port": 99999}, {"name": "a", "port": 81, "targetPort": 70000}]},
            [
                "spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive",
                'spec.ports[1].name: Duplicate value: "a"',
                "spec.ports[1].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        ({"ports": [{"port": 80}, {"port": 81}]}, ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            ["spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"],
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30077}]},
            ["spec.ports[0].nodePort: Invalid value: 30077: provided port is already allocated"],
        ),
        ({"ports": [{"port": 80, "nodePort": 30078}]}, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
        (
            {"clusterIP": "10.200.0.1"},
            [
                'spec.clusterIPs: Invalid value: ["10.200.0.1"]: failed to allocate IP 10.200.0.1: the provided IP (10.200.0.1) is not in the',
                "is not in the valid range. The range of valid IPs is 10.96.0.0/12",
            ],
        ),
        (
            {"clusterIP": "10.96.0.77"},
            ['spec.clusterIPs: Invalid value: ["10.96.0.77"]: failed to allocate IP 10.96.0.77: provided IP is already allocated'],
        ),
        ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"],
        ),
        ({"trafficDistribution": "Anywhere"}, ['spec.trafficDistribution: Unsupported value: "Anywhere"']),
        ({"type": "Node"}, ['spec.type: Unsupported value: "Node"']),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[0].split(":")[0],
)
def test_a_service_that_cannot_be(lab: Machine, spec: dict[str, Any], faults: list[str]) -> None:
    result = lab.run(f"klab apply {lab.write('bad.yaml', service(**spec))}")
    assert result.returncode == 3, result.stderr
    for fault in faults:
        assert fault in result.stderr, result.stderr
    assert result.stderr.startswith("error: bad.yaml, document 1 (Service default/bad): ")
    assert lab.run("klab get service bad").returncode == 1


def test_what_was_deleted_can_be_had_again(lab: Machine) -> None:
    holder, heir = (service(name, type="NodePort", clusterIP="10.96.0.78", ports=[{"port": 80, "nodePort": 30079}]) for name in ("holder", "heir"))
    lab.check(f"klab apply {lab.write('holder.yaml', holder)}")
    lab.write("heir.yaml", heir)
    assert lab.run("klab apply heir.yaml").returncode == 3
    lab.check("klab delete service holder && klab apply heir.yaml && klab delete service heir")


def test_an_unknown_proxy_mode(machine: Machine) -> None:
    result = machine.run(f"klab up {machine.write('lab.yaml', LAB.format(proxy='ipvz'))}")
    assert result.returncode == 3
    assert 'spec.services.proxy: Unsupported value: "ipvz"' in result.stderr
    assert '"ipvs"' in result.stderr


def test_a_mode_that_this_kernel_lacks(machine: Machine) -> None:
    """Where IPVS is there, the lab comes up; where it is not, klab says what is missing and builds nothing."""
    result = machine.run(f"klab up {machine.write('lab.yaml', LAB.format(proxy='ipvs'))}")
    if machine.run("unshare -n ipvsadm -L").returncode == 0:
        assert result.returncode == 0, result.stderr
        return
    assert result.returncode == 4
    assert "ip_vs" in result.stderr
    assert machine.check("ls /run/netns 2>/dev/null || true") == ""
