"""What a pod is: its names and files, its containers, their order, their ends; seen from inside and in what klab tells."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root


STATUS = {
    "plain": ("Running", "2/2 Running 0"),
    "conflict": ("Running", "1/2 CrashLoopBackOff 1"),
    "ordered": ("Running", "1/1 Running 0"),
    "failing-init": ("Failed", "0/1 Init:Error 0"),
    "crashing": ("Running", "0/1 CrashLoopBackOff 1"),
    "never-good": ("Succeeded", "0/1 Completed 0"),
    "never-bad": ("Failed", "0/1 Error 0"),
    "on-failure": ("Succeeded", "0/1 Completed 1"),
    "no-program": ("Running", "0/1 CrashLoopBackOff 1"),
    "host": ("Running", "1/1 Running 0"),
}
"""Phase, and the columns READY, STATUS and RESTARTS, that each pod comes to before its second restart."""


@pytest.fixture(scope="module")
def lab(shared_machine: Machine) -> Machine:
    shared_machine.write("pods.yaml", (Path(__file__).parent / "pods.yaml").read_text())
    shared_machine.check("klab up pods.yaml")
    return shared_machine


@pytest.fixture(scope="module")
def pods(lab: Machine) -> dict[str, Any]:
    """The pods past their first restarts; those in CrashLoopBackOff start again after ten seconds."""
    while True:
        found = {pod["metadata"]["name"]: pod for pod in lab.json("klab get pods -o json")["items"]}
        if all(found[name]["status"]["phase"] == phase for name, (phase, _) in STATUS.items()):
            return found


@pytest.mark.parametrize(
    ("pod", "command", "shown"),
    [
        ("plain", "hostname", "myhost"),
        ("plain", "hostname -f", "myhost.sub.default.svc.cluster.local"),
        ("plain", "cat /etc/hostname", "myhost"),
        ("plain", "ip -4 -br addr show eth0 | tr -s ' ' | cut -d ' ' -f 3", "10.244.1.77/24"),
        ("plain", "getent hosts bar.example", "192.0.2.7       foo.example bar.example"),
        ("plain", "getent ahostsv4 myhost | head -1", "10.244.1.77     STREAM myhost.sub.default.svc.cluster.local"),
        ("plain", "cat /etc/resolv.conf", "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5"),
        ("plain -c two", "curl -s localhost:8080 | sed -n 2p", "client_address=127.0.0.1"),
        ("plain -c one", "curl -s -o /dev/null -w '%{http_code}' localhost", "200"),
        ("plain -c two", "hostname", "myhost"),
        ("ordered", "hostname", "ordered"),
        ("ordered", 'echo "$NODE $NAMESPACE $GREETING $HOSTNAME"', "node2 default hello worker $(TIER) ordered"),
        ("host", "hostname", "node1"),
        ("host", "ip -4 -br addr show eth0 | tr -s ' ' | cut -d ' ' -f 3", "172.18.0.11/24"),
        ("host", "getent ahostsv4 node1 | head -1", "172.18.0.11     STREAM node1"),
        ("node/node1", "hostname", "node1"),
        ("client", "hostname", "client"),
    ],
)
def test_inside(lab: Machine, pod: str, command: str, shown: str) -> None:
    lab.write("command.sh", command)
    assert lab.check(f'klab exec {pod} -- sh -c "$(cat command.sh)"').strip() == shown


@pytest.mark.parametrize("pod", STATUS)
def test_status(lab: Machine, pods: dict[str, Any], pod: str) -> None:
    phase, shown = STATUS[pod]
    assert pods[pod]["status"]["phase"] == phase
    ready, status, restarts, *_ = lab.check(f"klab get pod {pod} --no-headers").split()[1:]
    expected = re.escape(shown).replace(r"CrashLoopBackOff\ 1", r"(CrashLoopBackOff|Error|StartError)\ [1-9]")
    assert re.fullmatch(expected, f"{ready} {status} {restarts}")


def test_init_containers_run_in_order_before_the_others(lab: Machine) -> None:
    first, second, main = (lab.check(f"klab logs ordered -c {name}").splitlines() for name in ("first", "second", "main"))
    assert [first[0], second[0]] == ["first", "second"]
    assert main[0].startswith("hello worker $(TIER) from 10.244.2.")
    assert main[0].endswith(" on node2 in default worker")
    assert int(first[1]) < int(second[1]) < int(main[1])


def test_the_second_container_on_a_port_says_so(lab: Machine, pods: dict[str, Any]) -> None:
    second = next(status for status in pods["conflict"]["status"]["containerStatuses"] if status["name"] == "second")
    assert "Address already in use" in second["lastState"]["terminated"]["message"]
    assert "Address already in use" in lab.check("klab describe pod conflict")
    assert "Address already in use" in lab.check("klab logs conflict -c second")


def test_a_failed_init_container_keeps_the_others_from_starting(pods: dict[str, Any]) -> None:
    status = pods["failing-init"]["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_program_that_is_not_there_is_named(lab: Machine) -> None:
    assert 'exec: "no-such-program": executable file not found in $PATH' in lab.check("klab describe pod no-program")


def test_a_crashing_container_backs_off_and_says_so(lab: Machine, pods: dict[str, Any]) -> None:
    (status,) = pods["crashing"]["status"]["containerStatuses"]
    assert re.match(r"back-off [124]0s restarting failed container=main pod=crashing_default\(", status["state"]["waiting"]["message"])
    assert status["lastState"]["terminated"]["exitCode"] == 7
    described = lab.check("klab describe pod crashing")
    assert "Started container main" in described
    assert "Back-off restarting failed container main in pod crashing_default(" in described


def test_logs_of_this_attempt_and_the_one_before(lab: Machine) -> None:
    now, before = lab.check("klab logs crashing"), lab.check("klab logs crashing --previous")
    assert len(now) == len(before) == 37
    assert now != before


@pytest.mark.parametrize(
    ("options", "shown"), [("", "1\n2\n3\n4\n5\n"), ("--tail 2", "4\n5\n"), ("--tail=0", ""), ("--tail=9 -c main", "1\n2\n3\n4\n5\n")]
)
def test_logs(lab: Machine, options: str, shown: str) -> None:
    assert lab.check(f"klab logs -n other plain {options}") == shown


def test_logs_follow_until_the_container_ends(lab: Machine) -> None:
    manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: talker}\nspec:\n  restartPolicy: Never\n"
    script = "mkfifo /dev/shm/go; echo begin; read -r word < /dev/shm/go; echo $word"
    lab.write("talker.yaml", f"{manifest}  containers: [{{name: main, image: busybox, command: [sh, -c, '{script}']}}]\n")
    tell = "klab exec talker -- sh -c 'echo end > /dev/shm/go'"
    assert lab.check(
        f"klab apply talker.yaml; exec 3< <(klab logs -f talker); read -r line <&3; echo $line; {tell}; cat <&3; klab delete pod talker"
    ) == ('pod/talker created\nbegin\nend\npod "talker" deleted\n')


@pytest.mark.parametrize(
    ("command", "code", "shown"),
    [
        ("klab exec ordered -- sh -c 'exit 42'", 42, ""),
        ("klab exec ordered -- true", 0, ""),
        ("klab exec ordered -- sh -c 'kill -9 $$' || exit $?", 137, ""),
        ("echo piped | klab exec ordered -- cat", 0, "piped\n"),
        ("echo piped | klab exec -i ordered -- wc -c", 0, "6\n"),
        ("klab exec plain -c two -- sh -c 'echo out; echo err >&2'", 0, "out\n"),
        ("klab exec node/node2 -- sh -c 'exit 3'", 3, ""),
        ("klab exec -n other plain -- hostname", 0, "plain\n"),
        ("klab exec ordered -- seq 100000 | tail -1", 0, "100000\n"),
    ],
)
def test_exec(lab: Machine, command: str, code: int, shown: str) -> None:
    result = lab.run(command)
    assert (result.returncode, result.stdout) == (code, shown)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("klab exec nothing -- true", 1, 'pods "nothing" not found'),
        ("klab exec node/node9 -- true", 1, 'nodes "node9" not found'),
        ("klab exec plain -c three -- true", 2, "three"),
        ("klab exec plain -- no-such-program", 1, 'exec: "no-such-program": executable file not found in $PATH'),
        ("klab exec never-good -- true", 1, "completed pod; current phase is Succeeded"),
        ("klab exec crashing -- true", 1, "not running"),
        ("klab exec plain", 2, "command"),
        ("klab logs nothing", 1, 'pods "nothing" not found'),
        ("klab logs ordered -c fourth", 2, "fourth"),
        ("klab logs failing-init -c main", 2, "waiting to start: PodInitializing"),
        ("klab logs --previous plain -c one", 2, "not found"),
    ],
)
def test_what_cannot_be_done_is_told(lab: Machine, command: str, code: int, said: str) -> None:
    result = lab.run(command)
    assert said in result.stderr
    assert result.returncode == code


def test_exec_on_a_terminal(lab: Machine) -> None:
    """What is typed is echoed by the pod's shell, whose terminal has the caller's size."""
    ours, theirs = pty.openpty()
    enter = ["nsenter", f"--target={lab.pid}", "--mount", "--net", "--pid", "--uts", "setsid", "--ctty", "klab", "exec", "-it", "ordered", "--", "sh"]
    with subprocess.Popen(enter, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, b"tty; echo it is $(hostname)\n")
        told = b""
        while b"it is ordered" not in told:
            assert select.select([ours], [], [], 20)[0], told
            told += os.read(ours, 4096)
        assert b"not a tty" not in told
        os.write(ours, b"exit 6\n")
        while True:
            try:
                told += os.read(ours, 4096)
            except OSError:  # EIO: nobody has the other end any more
                break
        assert process.wait(20) == 6, told
    os.close(ours)
