"""Whatever is killed at whatever moment: `down` leaves nothing, traffic goes on, and the next `up` takes over what runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

FOOTPRINT = (
    "find /run -not -path '/run/mount*'; ip -o link | cut -d ' ' -f 2; ip netns; { ps -eo args= | grep -vE '^(ps|bash|grep) ' || true; }; "
    "grep -o '/run/klab/faulty.*' /proc/self/mountinfo || true"
)
"""Files, links, named namespaces, processes and mounts of the machine."""

CONTROL = "/run/klab/faulty/control.pid"
RUNTIME = "/run/klab/faulty/runtime.pid"
BLOWS = {
    "control plane when it begins": (CONTROL, f"test -s {CONTROL}"),
    "control plane with its nodes": (CONTROL, "test -e /run/klab/faulty/netns/node2"),
    "control plane with the first pod": (CONTROL, "ls /run/klab/faulty/netns | grep -q ^default_"),
    "control plane with half of the pods": (CONTROL, "test $(pgrep -cx sleep) -ge 3"),
    "runtime when it begins": (RUNTIME, f"test -s {RUNTIME}"),
    "runtime with the first process": (RUNTIME, "pgrep -x sleep"),
    "runtime with half of the pods": (RUNTIME, "test $(pgrep -cx sleep) -ge 3"),
}
"""Who is killed, and what is there when the blow falls."""


def render_scenario(pods: int) -> str:
    lab = "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: faulty}\nspec: {nodes: [{name: node1}, {name: node2}]}\n"
    containers = "[{name: sleeper, image: busybox, command: [sleep, infinity]}, {name: echo, image: echoserver, ports: [{containerPort: 8080}]}]"
    pod = f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p%d}}\nspec: {{containers: {containers}}}\n"
    return lab + "".join(pod % number for number in range(pods))


def identify_containers(pods: list[Any]) -> list[tuple[str, int, bool]]:
    statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]
    return [(status["containerID"], status["restartCount"], status["ready"]) for status in statuses]


@pytest.fixture
def bare(shared_machine: Machine) -> Iterator[Machine]:
    """A machine without a lab, with a small scenario and one of 200 pods."""
    shared_machine.write("small.yaml", render_scenario(6))
    shared_machine.write("large.yaml", render_scenario(200))
    yield shared_machine
    shared_machine.run("klab down faulty")


@pytest.mark.parametrize(
    ("scenario", "seconds"), [*(("small.yaml", place / 10) for place in range(1, 12)), *(("large.yaml", seconds) for seconds in (0.8, 1.2, 1.6, 2.0))]
)
def test_up_is_killed(bare: Machine, scenario: str, seconds: float) -> None:
    before = bare.check(FOOTPRINT)
    killed = bare.run(f"timeout -s KILL {seconds} klab up {scenario}")
    assert killed.returncode in {-9, 0, 137}, killed.stderr
    bare.check("klab down faulty")
    assert bare.check(FOOTPRINT) == before


@pytest.mark.parametrize("blow", BLOWS)
def test_a_part_of_the_lab_is_killed_while_it_comes_up(bare: Machine, blow: str) -> None:
    """`up` may say that it failed, and it may recover: it ends in either case, and `down` leaves nothing."""
    before = bare.check(FOOTPRINT)
    victim, moment = BLOWS[blow]
    strike = f"until {moment} >/dev/null 2>&1 && test -s {victim}; do :; done; kill -9 $(cat {victim}); echo struck"
    result = bare.run(f"klab up small.yaml >/dev/null & up=$!; {strike}; wait $up", timeout=60)
    assert result.stdout == "struck\n"
    assert "Traceback" not in result.stderr
    assert result.returncode in {0, 1}
    bare.check("klab down faulty")
    assert bare.check(FOOTPRINT) == before


@pytest.mark.parametrize("pid", [CONTROL, RUNTIME], ids=["control plane", "runtime"])
def test_a_part_of_a_standing_lab_is_killed(bare: Machine, pid: str) -> None:
    before = bare.check(FOOTPRINT)
    bare.check(f"klab up small.yaml && kill -9 $(cat {pid}) && klab down faulty")
    assert bare.check(FOOTPRINT) == before


@pytest.mark.parametrize("victims", [CONTROL, f"{CONTROL} {RUNTIME}"], ids=["control plane", "both"])
def test_traffic_goes_on_and_the_next_up_adopts(bare: Machine, victims: str) -> None:
    bare.check("klab up small.yaml")
    sleepers, pods = bare.check("pgrep -x sleep"), bare.json("klab get pods -o json")["items"]
    target = pods[-1]["status"]["podIP"]
    bare.check(f"for victim in {victims}; do kill -9 $(cat $victim); done")
    assert bare.check("klab ls --no-headers").split()[:2] == ["faulty", "Stopped"]
    assert bare.run(f"klab exec p0 -- ping -c 1 -W 2 {target}").returncode == 0
    if RUNTIME not in victims:
        assert "client_address=" in bare.check(f"klab exec p0 -- curl -s --max-time 2 {target}:8080")
    assert "klab up" in bare.run("klab get pods").stderr
    assert "nothing to change" in bare.run("klab up small.yaml").stderr
    assert bare.check("pgrep -x sleep") == sleepers
    again = bare.json("klab get pods -o json")["items"]
    assert [pod["metadata"] | {"resourceVersion": ""} for pod in again] == [pod["metadata"] | {"resourceVersion": ""} for pod in pods]
    assert identify_containers(again) == identify_containers(pods)
    assert "client_address=" in bare.check(f"klab exec p0 -- curl -s --max-time 2 {target}:8080")
    bare.check("klab down faulty")


def test_down_can_be_killed_and_done_again(bare: Machine) -> None:
    before = bare.check(FOOTPRINT)
    for seconds in (0.15, 0.25):
        bare.check("klab up small.yaml")
        bare.run(f"timeout -s KILL {seconds} klab down faulty")
        bare.check("klab down faulty")
        assert bare.check(FOOTPRINT) == before


def test_down_twice_and_down_of_nothing_are_fine(bare: Machine) -> None:
    bare.check("klab up small.yaml")
    results = [bare.run("klab down"), bare.run("klab down"), bare.run("klab down faulty"), bare.run("klab down --all")]
    assert [result.returncode for result in results] == [0, 0, 0, 0]
    assert [result.stderr for result in results] == ["lab faulty is down\n", "no lab is up\n", "lab faulty is not up\n", "no lab is up\n"]
