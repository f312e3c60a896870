"""The commands on a standing lab, as a person would type them: tables, formats, selectors, plan, explain, several labs side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

SCENARIO = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {name: talk}
spec:
  network: {plugin: vxlan, podCIDR: 10.244.0.0/16}
  dns: {server: none}
  nodes:
  - {name: node1, address: 172.18.0.11, podCIDR: 10.244.1.0/24}
  - {name: node2, address: 172.18.0.12, podCIDR: 10.244.2.0/24}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {tier: web, app: shop}}
spec: {nodeName: node1, containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: worker, labels: {tier: worker, app: shop}}
spec: {nodeName: node2, containers: [{name: worker, image: busybox, command: [sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec: {nodeName: node2, containers: [{name: plain, image: busybox, command: [sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far, namespace: other, labels: {tier: web}}
spec: {nodeName: node2, containers: [{name: far, image: busybox, command: [sleep, infinity]}]}
"""

LOOK = r"""
for netns in $(ls /run/netns); do
    echo "## $netns"
    ip netns exec $netns sh -c '
        ip -o addr | sed -E "s/^[0-9]+: //; s/valid_lft.*//" | grep -v fe80: | sort
        ip -o link | sed -E "s/^[0-9]+: //; s/@\S+//; s/link-?netns.*//; s/NO-CARRIER,//; s/state \S+//; s/link\/ether ..:..:..:..:..:.. //" | sort
        ip route
        bridge fdb show | grep " dst " | sort
        ip neigh show nud permanent | sort
        iptables-save | sed -E "/^#/d; s/\[[0-9]+:[0-9]+\]//" | FILTER
        sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter' || true
done
"""
"""What klab builds in all namespaces, without numbers that the kernel gives out."""


@pytest.fixture(scope="module")
def lab(shared_machine: Machine) -> Iterator[Machine]:
    shared_machine.write("talk.yaml", SCENARIO)
    shared_machine.check("klab up talk.yaml")
    yield shared_machine
    shared_machine.check("klab down --all")


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("get pods", ["plain", "web", "worker"]),
        ("get po", ["plain", "web", "worker"]),
        ("get pods -n other", ["far"]),
        ("-n other get pods", ["far"]),
        ("get pods -l tier=web", ["web"]),
        ("get pods -l tier==web,app=shop", ["web"]),
        ("get pods -l 'tier in (web,worker)'", ["web", "worker"]),
        ("get pods -l 'tier notin (web,worker)'", ["plain"]),
        ("get pods -l tier!=web", ["plain", "worker"]),
        ("get pods -l tier", ["web", "worker"]),
        ("get pods -l '!tier'", ["plain"]),
        ("get pods -l tier=nothing", []),
        ("get pod web worker", ["web", "worker"]),
        ("get nodes", ["node1", "node2"]),
    ],
)
def test_names_in_tables(lab: Machine, command: str, names: list[str]) -> None:
    assert [line.split()[0] for line in lab.check(f"klab {command} --no-headers").splitlines()] == names


@pytest.mark.parametrize(
    ("command", "header"),
    [
        ("get pods", "NAME READY STATUS RESTARTS AGE"),
        ("get pods -o wide", "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"),
        ("get pods -A", "NAMESPACE NAME READY STATUS RESTARTS AGE"),
        ("get nodes", "NAME STATUS ROLES AGE VERSION"),
        ("get nodes -o wide", "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME"),
        ("ls", "NAME STATUS NODES PODS"),
        ("doctor", "CHECK STATUS FOUND"),
    ],
)
def test_headers(lab: Machine, command: str, header: str) -> None:
    assert " ".join(lab.run(f"klab {command}").stdout.splitlines()[0].split()) == header


def test_get_pods_of_all_namespaces_wide(lab: Machine) -> None:
    rows = [line.split() for line in lab.check("klab get pods -A -o wide --no-headers").splitlines()]
    assert [[row[0], row[1], row[2], row[3], row[7]] for row in rows] == [
        ["default", "plain", "1/1", "Running", "node2"],
        ["default", "web", "1/1", "Running", "node1"],
        ["default", "worker", "1/1", "Running", "node2"],
        ["other", "far", "1/1", "Running", "node2"],
    ]


def test_data_formats_tell_the_same(lab: Machine) -> None:
    data = lab.json("klab get pods -o json")
    assert (data["kind"], data["apiVersion"]) == ("List", "v1")
    assert yaml.safe_load(lab.check("klab get pods -o yaml")) == data
    assert lab.check("klab get pods -o name") == "pod/plain\npod/web\npod/worker\n"
    one = lab.json("klab get pod web -o json")
    assert one["kind"] == "Pod"
    assert one["status"]["podIP"] == lab.check("klab get pod web -o jsonpath={.status.podIP}")
    assert lab.json("klab ls -o json") == [{"name": "talk", "nodes": 2, "path": "/run/klab/talk", "pods": 4, "status": "Running"}]


def test_get_all_has_pods(lab: Machine) -> None:
    assert {"pod/plain", "pod/web", "pod/worker"} <= set(lab.check("klab get all -o name").split())


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("klab get pod nothing", 1, 'pods "nothing" not found'),
        ("klab get podz", 1, "podz"),
        ("klab get pods -l 'tier in web'", 2, "unable to parse requirement: found 'web' expected: '('"),
        ("klab get pods -o tabel", 2, "tabel"),
        ("klab get pods -n nowhere", 0, "No resources found in nowhere namespace."),
        ("klab --lab wrong get pods", 1, "talk"),
        ("klab explain pod/nothing", 1, 'pods "nothing" not found'),
        ("klab delete pod nothing", 1, 'pods "nothing" not found'),
    ],
)
def test_what_is_not_there_is_told(lab: Machine, command: str, code: int, said: str) -> None:
    result = lab.run(command)
    assert said in result.stderr
    assert result.returncode == code


def test_describe_tells_containers_and_events(lab: Machine) -> None:
    told = lab.check("klab describe pod worker")
    for words in (
        "Name:             worker",
        "Node:             node2/172.18.0.12",
        "Labels:           app=shop",
        "State:          Running",
        "Started container",
    ):
        assert words in told
    assert "10.244.1.0/24" in lab.check("klab describe node node1")


def test_nothing_is_coloured_where_nobody_looks(lab: Machine) -> None:
    result = lab.run("klab up talk.yaml; klab get pods; klab describe pod web; klab doctor")
    assert "\x1b" not in result.stdout + result.stderr


def test_plan_needs_no_lab_and_is_a_script_that_builds_the_same(lab: Machine, machine: Machine) -> None:
    machine.write("talk.yaml", SCENARIO)
    machine.check("klab plan talk.yaml > plan.sh && sh -e plan.sh")
    look = LOOK.replace("FILTER", "sort")
    assert machine.check(look) == lab.check(look)


def test_explain_is_a_script_that_builds_the_same(lab: Machine, machine: Machine) -> None:
    """All but the rules for Services, which are the Services' own."""
    objects = "lab/talk node/node1 node/node2 pod/web pod/worker pod/plain"
    script = lab.check(f"klab explain {objects} --script") + lab.check("klab explain -n other pod/far --script")
    machine.write("built.sh", script)
    machine.check("sh built.sh")
    look = LOOK.replace("FILTER", "grep FLANNEL | sort")
    assert machine.check(look) == lab.check(look)


def test_explain_gives_commands_with_their_reasons(lab: Machine) -> None:
    explained = lab.check("klab explain pod/web").splitlines()
    assert explained[0] == "# pod/web"
    assert explained[1] == "ip netns add talk_default_web"
    assert explained[-1] == "ip -n talk_default_web route replace default via 10.244.1.1 dev eth0"
    assert lab.json("klab explain pod/web -o json")[0]["why"] == "pod/web"


def test_objects_come_and_go(lab: Machine) -> None:
    lab.write("more.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: more}\nspec: {containers: [{name: more, image: nginx}]}\n")
    assert lab.check("klab apply more.yaml; klab apply more.yaml") == "pod/more created\npod/more unchanged\n"
    assert lab.check("until klab exec more -- true 2>/dev/null; do :; done; klab delete pod more") == 'pod "more" deleted\n'
    assert lab.run("klab get pod more").returncode == 1
    assert "default_more" not in lab.check("ls /run/klab/talk/netns /run/netns")
    assert lab.check("grep -c default_more /proc/self/mountinfo || true") == "0\n"


def test_labs_stand_side_by_side(lab: Machine) -> None:
    """The same addresses and names in two labs; each command says which one is meant."""
    lab.check("klab up talk.yaml --lab twin")
    assert lab.check("klab ls -o name").split() == ["talk", "twin"]
    several = lab.run("klab get pods")
    assert (several.returncode, "several labs are up: talk, twin; say which with --lab NAME" in several.stderr) == (2, True)
    inodes = lab.check("klab --lab talk exec web -- readlink /proc/self/ns/net; klab --lab twin exec web -- readlink /proc/self/ns/net").split()
    assert len(set(inodes)) == 2
    lab.check("klab --lab twin exec worker -- curl -s -m 2 10.244.1.2")
    lab.check("klab down twin && klab exec worker -- curl -s -m 2 10.244.1.2")
    assert lab.check("klab ls -o name").split() == ["talk"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(lab: Machine, shell: str) -> None:
    assert "klab" in lab.check(f"klab completion {shell}")


def test_completion_knows_the_pods(lab: Machine) -> None:
    function = '$(complete -p klab | sed -E "s/.*-F ([^ ]+) .*/\\1/")'
    lab.write("complete.sh", f'source <(klab completion bash)\nCOMP_WORDS=(klab exec w)\nCOMP_CWORD=2\n{function} klab\necho "${{COMPREPLY[@]}}"\n')
    assert lab.check("bash complete.sh").split() == ["web", "worker"]


def test_version_and_doctor(lab: Machine) -> None:
    told = lab.json("klab version -o json")
    assert told["serverVersion"]["gitVersion"].startswith("v1.")
    checks = {check["name"]: check for check in lab.json("klab doctor -o json")}
    assert checks["root"]["ok"]
    assert all(check["remedy"] for check in checks.values() if not check["ok"])


def test_up_as_data(lab: Machine) -> None:
    told = lab.json("klab up talk.yaml -o json")
    assert told.pop("seconds") < 30
    assert told == {"lab": "talk", "nodes": 2, "pods": 4, "ready": 4, "changed": 0, "repaired": []}


@pytest.mark.parametrize("path", ["scenarios/hello", "scenarios/hello/hello.yaml", "- < scenarios/hello/hello.yaml"])
def test_up_takes_folders_files_and_stdin(lab: Machine, path: str) -> None:
    assert "ip netns add hello_node1" in lab.check(f"klab plan {path}")


def test_every_scenario_is_documented() -> None:
    scenarios = Path(__file__).parents[2] / "scenarios"
    folders = {file.parent for file in scenarios.rglob("*.yaml") if file.parent.name != "hello"}
    assert {folder for folder in folders if not (folder / "README.md").exists()} == set()
