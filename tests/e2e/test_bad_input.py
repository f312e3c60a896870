"""Bad files: exit 3, every fault with file, document and field path, and nothing built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root


def render_pod(name: str, spec: str = "containers: [{name: a, image: busybox}]", meta: str = "") -> str:
    return f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}{meta}}}\nspec: {{{spec}}}\n"


def render_lab(spec: str) -> str:
    return f"---\napiVersion: klab.dev/v1\nkind: Lab\nmetadata: {{name: bad}}\nspec: {{{spec}}}\n"


def render_pinned(name: str, address: str) -> str:
    return render_pod(name, meta=f", annotations: {{cni.projectcalico.org/ipAddrs: '[\"{address}\"]'}}")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))

CASES: dict[str, tuple[str, list[str]]] = {
    "misspelt field": (
        render_pod("a", "contaners: [], containers: [{name: a, imgae: busybox, image: busybox}]"),
        [
            'bad.yaml, document 1 (Pod default/a): spec.contaners: unknown field "contaners"; did you mean "containers"?',
            'bad.yaml, document 1 (Pod default/a): spec.containers[0].imgae: unknown field "imgae"; did you mean "image"?',
        ],
    ),
    "misspelt field of Lab": (render_lab("netwrok: {plugin: vxlan}"), ["document 1 (Lab bad): spec.netwrok", 'did you mean "network"?']),
    "wrong types": (
        render_pod("a", "containers: [{name: a, image: busybox, ports: [{containerPort: many}], env: {A: b}}]"),
        [
            'bad.yaml, document 1 (Pod default/a): spec.containers[0].ports[0].containerPort: must be an integer, not the string "many"',
            "bad.yaml, document 1 (Pod default/a): spec.containers[0].env: must be a list, not an object",
        ],
    ),
    "unknown kind": (
        render_pod("a").replace("Pod", "Pood"),
        ['document 1 (Pood a): kind: no matches for kind "Pood" in version "v1"; did you mean "Pod"?'],
    ),
    "no apiVersion": ("kind: Pod\nmetadata: {name: a}\n", ["bad.yaml, document 1: apiVersion: Required value"]),
    "duplicate name": (
        render_pod("a") + render_pod("b") + render_pod("a"),
        ['bad.yaml, document 3 (Pod default/a): metadata.name: Duplicate value: "a"', "document 1 (Pod default/a)"],
    ),
    "duplicate container": (
        render_pod("a", "containers: [{name: a, image: busybox}, {name: a, image: busybox}]"),
        ['document 1 (Pod default/a): spec.containers[1].name: Duplicate value: "a"'],
    ),
    "overlapping CIDRs": (
        render_lab("network: {podCIDR: 10.96.0.0/16}, services: {cidr: 10.96.0.0/12}"),
        ["document 1 (Lab bad): spec.services.cidr", "overlaps spec.network.podCIDR 10.96.0.0/16"],
    ),
    "overlapping blocks": (
        render_lab("nodes: [{name: n1, podCIDR: 10.244.1.0/24}, {name: n2, podCIDR: 10.244.1.128/25}]"),
        ["spec.nodes[1].podCIDR", "overlaps 10.244.1.0/24 of n1"],
    ),
    "node outside of the underlay": (render_lab("nodes: [{name: n1, address: 10.1.1.1}]"), ["spec.nodes[0].address", "outside the underlay"]),
    "pod outside of its block": (
        render_lab("nodes: [{name: n1, podCIDR: 10.244.1.0/24}]") + render_pinned("a", "10.9.9.9"),
        ["document 2 (Pod default/a): metadata.annotations[cni.projectcalico.org/ipAddrs]", "10.9.9.9"],
    ),
    "two pods with one address": (
        render_lab("nodes: [{name: n1, podCIDR: 10.244.1.0/24}]") + render_pinned("a", "10.244.1.9") + render_pinned("b", "10.244.1.9"),
        ["document 3 (Pod default/b): metadata.annotations[cni.projectcalico.org/ipAddrs]", "10.244.1.9"],
    ),
    "full block": (
        render_lab("nodes: [{name: n1, podCIDR: 10.244.1.0/29}]") + "".join(render_pod(f"p{number}") for number in range(6)),
        ["document 7 (Pod default/p5)", "take 5 pods"],
    ),
    "more pods than the node takes": (
        render_lab("nodes: [{name: n1, maxPods: 3}]") + "".join(render_pod(f"p{number}") for number in range(4)),
        ["document 5 (Pod default/p3)", "take 3 pods"],
    ),
    "more pods than a bridge has ports": (
        render_lab("network: {plugin: hostgw, nodeMask: 20}, nodes: [{name: n1, maxPods: 2000}]")
        + "".join(render_pod(f"p{number}", "nodeName: n1, containers: [{name: a, image: busybox}]") for number in range(1024)),
        ["document 1025 (Pod default/p1023): spec.nodeName", "1023"],
    ),
    "unknown node": (render_pod("a", "nodeName: node9, containers: [{name: a, image: b}]"), ['spec.nodeName: Not found: "node9"', "node1, node2"]),
    "unknown plugin": (render_lab("network: {plugin: vxlam}"), ['spec.network.plugin: Unsupported value: "vxlam"', '"vxlan"']),
    "two labs": (render_lab("") + render_lab(""), ["document 2 (Lab bad)"]),
    "empty file": ("", ["bad.yaml"]),
    "comments alone": ("# nothing\n---\n# nothing\n", ["bad.yaml"]),
    "no mapping": ("just words\n", ["bad.yaml, document 1: an object is a mapping"]),
    "broken YAML": (render_pod("a") + "---\nkind: [\n", ["bad.yaml, document 2: error parsing YAML: line 8"]),
    "a key twice": ("kind: Pod\nkind: Pod\n", ['bad.yaml, document 1: error parsing YAML: line 2, column 1: key "kind" already set in map']),
    "YAML bomb": (BOMB, ["bad.yaml, document 1", "bomb"]),
    "all faults of all documents": (
        render_lab("network: {plugin: none}") + render_pod("a", "containers: []") + render_pod("UPPER") + "---\nkind: [\n",
        [
            "document 1 (Lab bad): spec.network.plugin",
            "document 2 (Pod default/a): spec.containers",
            "document 3 (Pod default/UPPER): metadata.name",
            "document 4",
        ],
    ),
}


def check_nothing_was_built(machine: Machine) -> None:
    assert machine.check("find /run -mindepth 1 -not -path '/run/mount*'; ip netns; ip -o link | wc -l") == "1\n"


@pytest.mark.parametrize("case", CASES)
def test_faults_are_told_and_nothing_is_built(shared_machine: Machine, case: str) -> None:
    text, said = CASES[case]
    shared_machine.write("bad.yaml", text)
    result = shared_machine.run("klab up bad.yaml")
    for words in said:
        assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert (result.returncode, result.stdout) == (3, "")
    check_nothing_was_built(shared_machine)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("klab up missing.yaml", 3, "missing.yaml: the path does not exist"),
        ("klab up missing.yaml other.yaml", 3, "other.yaml"),
        ("head -c 4096 /bin/ls > binary.yaml; klab up binary.yaml", 3, "binary.yaml: a binary file"),
        ("mkdir -p folder; klab up folder", 3, "folder: no *.yaml"),
        ("klab up - < /dev/null", 3, "stdin"),
        ("klab up", 2, "no manifest is named"),
        ("klab plan missing.yaml", 3, "missing.yaml"),
        ("klab upp", 2, "upp"),
        ("klab up --kep x.yaml", 2, "--keep"),
        ("klab get pods", 1, "no lab is up"),
        ("klab --lab nothing get pods", 1, "nothing"),
    ],
)
def test_what_is_not_there(shared_machine: Machine, command: str, code: int, said: str) -> None:
    result = shared_machine.run(command)
    assert said in result.stderr
    assert result.returncode == code
    check_nothing_was_built(shared_machine)


def test_a_file_without_faults_beside_one_with_faults_is_not_built(shared_machine: Machine) -> None:
    shared_machine.write("good.yaml", render_pod("good"))
    shared_machine.write("bad.yaml", render_pod("bad", "contaners: []"))
    result = shared_machine.run("klab up good.yaml bad.yaml")
    assert result.returncode == 3
    assert "bad.yaml, document 1 (Pod default/bad)" in result.stderr
    assert "good.yaml" not in result.stderr
    check_nothing_was_built(shared_machine)
