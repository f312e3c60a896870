"""From files to a scenario: checks across documents, and all faults of all kinds at once."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from klab.api.check import Scenario, read
from klab.errors import InvalidManifestError

LAB = "{apiVersion: klab.dev/v1, kind: Lab, metadata: {name: test}, spec: {nodes: [{name: node1}, {name: node2}]}}"


def pod(name: str, node: str = "", ips: str = "", **spec: Any) -> str:
    extra = "".join(f", {key}: {value}" for key, value in spec.items()) + (f", nodeName: {node}" if node else "")
    annotations = f", annotations: {{cni.projectcalico.org/ipAddrs: '[\"{ips}\"]'}}" if ips else ""
    return f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}{annotations}}}, spec: {{containers: [{{name: c, image: x}}]{extra}}}}}"


def lab(plugin: str = "vxlan", **nodes: str) -> str:
    listed = ", ".join(f"{{name: {name}{', ' if rest else ''}{rest}}}" for name, rest in nodes.items())
    return f"{{apiVersion: klab.dev/v1, kind: Lab, metadata: {{name: test}}, spec: {{network: {{plugin: {plugin}}}, nodes: [{listed}]}}}}"


def read_text(*documents: str) -> Scenario:
    return read(["-"], io.StringIO("\n---\n".join(documents)))


def faults(*documents: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidManifestError) as caught:
        read_text(*documents)
    return [(fault.where.removeprefix("stdin, document "), fault.path, fault.message) for fault in caught.value.faults]


IPS = "metadata.annotations[cni.projectcalico.org/ipAddrs]"


def test_a_good_scenario() -> None:
    scenario = read_text(LAB, pod("a", "node1", "10.244.0.7"), pod("b", "node2"), pod("c"))
    assert scenario.lab.name == "test"
    assert [document.obj["metadata"]["name"] for document in scenario.documents] == ["a", "b", "c"]


def test_no_lab_document_is_fine() -> None:
    assert [node.name for node in read_text(pod("a", "node2")).lab.nodes] == ["node1", "node2"]


def test_a_second_lab() -> None:
    assert faults(LAB, LAB) == [("2 (Lab test)", "", "a second Lab; stdin, document 1 (Lab test) is one already")]


def test_the_same_object_twice() -> None:
    namespaced = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}"
    assert faults(pod("a"), pod("a"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", namespaced) == [
        ("2 (Pod default/a)", "metadata.name", 'Duplicate value: "a": stdin, document 1 (Pod default/a) is the same object')
    ]


def test_the_same_autoscaler_in_two_versions() -> None:
    spec = "{maxReplicas: 1, scaleTargetRef: {kind: Deployment, name: a}}"
    one = f"{{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {{name: a}}, spec: {spec}}}"
    assert [path for _, path, _ in faults(one, one.replace("v1", "v2"))] == ["metadata.name"]


def test_namespaces_must_be_there() -> None:
    inside = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}"
    assert faults(inside) == [("1 (ConfigMap shop/a)", "metadata.namespace", 'namespaces "shop" not found; add a Namespace document')]
    near = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-sytem}}"
    assert faults(near)[0][2] == 'namespaces "kube-sytem" not found; did you mean "kube-system"?'
    assert len(read_text(inside, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").documents) == 2


def test_the_node_must_be_there() -> None:
    assert faults(lab(alpha="", beta=""), pod("a", "alhpa")) == [
        ("2 (Pod default/a)", "spec.nodeName", 'Not found: "alhpa"; the lab has alpha, beta; did you mean "alpha"?')
    ]


@pytest.mark.parametrize(
    ("documents", "path", "message"),
    [
        ((LAB, pod("a", "node1", "10.244.1.7")), IPS, 'Invalid value: "10.244.1.7": is outside node1\'s block (10.244.0.0/24)'),
        ((LAB, pod("a", ips="10.9.0.1")), IPS, 'Invalid value: "10.9.0.1": is outside every node\'s block (10.244.0.0/24, 10.244.1.0/24)'),
        ((LAB, pod("a", "node1", "10.244.0.0")), IPS, 'Invalid value: "10.244.0.0": is an address of 10.244.0.0/24 that no pod gets'),
        ((LAB, pod("a", "node1", "10.244.0.255")), IPS, 'Invalid value: "10.244.0.255": is an address of 10.244.0.0/24 that no pod gets'),
        ((LAB, pod("a", ips="10.244.0.7"), pod("b", ips="10.244.0.7")), IPS, 'Duplicate value: "10.244.0.7": pod default/a asks for it too'),
        (
            (lab("ipip", a="podCIDR: 10.244.0.0/26"), pod("a", ips="10.244.0.0")),
            IPS,
            'Invalid value: "10.244.0.0": is an address of 10.244.0.0/26 that no pod gets',
        ),
    ],
)
def test_fixed_addresses(documents: tuple[str, ...], path: str, message: str) -> None:
    assert [(at, text) for _, at, text in faults(*documents)] == [(path, message)]


def test_calicos_blocks_have_no_broadcast_address() -> None:
    assert read_text(lab("ipip", a="podCIDR: 10.244.0.0/26"), pod("a", ips="10.244.0.63")).documents


def test_more_pods_than_a_node_takes() -> None:
    assert faults(lab(a="maxPods: 2", b=""), *(pod(f"p{index}", "a") for index in range(4))) == [
        ("4 (Pod default/p2)", "spec.nodeName", "a takes 2 pods, and this is one more; choose another node or raise its maxPods in the Lab")
    ]


def test_a_full_block() -> None:
    assert faults(lab(a="podCIDR: 10.244.0.0/29", b=""), *(pod(f"p{index}", "a") for index in range(7))) == [
        (
            "7 (Pod default/p5)",
            "spec.nodeName",
            "a with block 10.244.0.0/29 has 5 addresses (a bridge has 1023 ports) for pods, and this is one more; choose another node",
        )
    ]


def test_a_bridge_has_1023_ports() -> None:
    pods = [pod(f"p{index}", "a") for index in range(1024)]
    found = faults(lab(a="podCIDR: 10.244.0.0/20, maxPods: 5000", b=""), *pods)
    assert [(where, path) for where, path, _ in found] == [("1025 (Pod default/p1023)", "spec.nodeName")]
    assert read_text(lab("ipip", a="podCIDR: 10.244.0.0/20, maxPods: 5000"), *pods).documents


def test_more_pods_than_the_lab_takes() -> None:
    pods = [pod(f"p{index}") for index in range(6)]
    assert faults(lab(a="maxPods: 2", b="maxPods: 3"), *pods) == [
        ("7 (Pod default/p5)", "", "the lab's 2 nodes take 5 pods, and this is one more; add nodes, or raise maxPods and blocks")
    ]


def test_pods_in_the_nodes_network_need_no_address() -> None:
    assert read_text(lab(a="podCIDR: 10.244.0.0/30"), pod("p"), pod("h", "a", hostNetwork="true")).documents


def test_faults_of_every_kind_come_together_in_the_order_of_the_documents() -> None:
    found = faults(
        "{apiVersion: v1, kind: Pod, metadata: {name: Bad}, spec: {contianers: []}}",
        "a: [",
        "{apiVersion: klab.dev/v1, kind: Lab, metadata: {name: x}, spec: {nodes: [{name: a}, {name: a}], network: {plugin: vxlna}}}",
        pod("p", "zzz"),
    )
    assert [(where.partition(" ")[0], path) for where, path, _ in found] == [
        ("2", ""),
        ("1", "spec.contianers"),
        ("1", "spec.containers"),
        ("1", "metadata.name"),
        ("3", "spec.network.plugin"),
        ("3", "spec.nodes[1].name"),
        ("4", "spec.nodeName"),
    ]


def test_no_fault_is_told_twice() -> None:
    found = faults("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{}]}}")
    assert sorted(path for _, path, _ in found) == ["spec.containers[0].image", "spec.containers[0].name"]


def test_a_thousand_pods_are_read_in_no_time() -> None:
    nodes = ", ".join(f"{{name: n{index}}}" for index in range(10))
    documents = [
        f"{{apiVersion: klab.dev/v1, kind: Lab, metadata: {{name: big}}, spec: {{nodes: [{nodes}]}}}}",
        *(pod(f"p{i}", f"n{i % 10}") for i in range(1000)),
    ]
    start = time.process_time()
    assert len(read_text(*documents).documents) == 1000
    assert time.process_time() - start < 2  # 0.2 s where nothing else runs; ten times that means something is quadratic
