"""READY, STATUS and RESTARTS of pods: cases of Kubernetes' printers_test.go (TestPrintPod and its kin)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from klab.cli.printers.pods import TABLES

NOW = datetime(2024, 1, 1, 0, 10, tzinfo=UTC)
RUNNING: dict[str, Any] = {"running": {}}


def container(name: str = "c", *, ready: bool = False, restarts: int = 0, state: Any = None, ended: str = "", **more: Any) -> dict[str, Any]:
    last = {"terminated": {"finishedAt": ended}} if ended else {}
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state or {}, "lastState": last, **more}


def pod(count: int, status: dict[str, Any], *, init: list[dict[str, Any]] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "creationTimestamp": "2024-01-01T00:00:00Z", **metadata},
        "spec": {"containers": [{"name": f"c{at}"} for at in range(count)], "initContainers": init or []},
        "status": status,
    }


def cells(obj: dict[str, Any]) -> tuple[str, str, str]:
    """Give READY, STATUS and RESTARTS."""
    _, ready, status, restarts, *_ = TABLES["Pod"].row(obj, NOW, False)
    return str(ready), str(status), str(restarts)


CASES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "no status of a container yet": (pod(2, {"phase": "Pending"}), ("0/2", "Pending", "0")),
    "one of two containers runs": (
        pod(2, {"phase": "Running", "containerStatuses": [container(ready=True, restarts=3, state=RUNNING), container(restarts=3)]}),
        ("1/2", "Running", "6"),
    ),
    "the first container that waits gives the reason": (
        pod(
            2,
            {
                "phase": "Running",
                "containerStatuses": [
                    container(restarts=3, state={"waiting": {"reason": "ContainerWaitingReason"}}),
                    container(ready=True, state=RUNNING),
                ],
            },
        ),
        ("1/2", "ContainerWaitingReason", "3"),
    ),
    "the pod's own reason goes before the phase": (pod(1, {"phase": "Failed", "reason": "Evicted"}), ("0/1", "Evicted", "0")),
    "a terminated container without a reason shows its exit code": (
        pod(1, {"phase": "Running", "containerStatuses": [container(state={"terminated": {"exitCode": 2}})]}),
        ("0/1", "ExitCode:2", "0"),
    ),
    "or its signal": (
        pod(1, {"phase": "Running", "containerStatuses": [container(state={"terminated": {"exitCode": 137, "signal": 9}})]}),
        ("0/1", "Signal:9", "0"),
    ),
    "or its reason": (
        pod(1, {"phase": "Running", "containerStatuses": [container(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})]}),
        ("0/1", "OOMKilled", "0"),
    ),
    "completed": (
        pod(1, {"phase": "Succeeded", "containerStatuses": [container(state={"terminated": {"exitCode": 0, "reason": "Completed"}})]}),
        ("0/1", "Completed", "0"),
    ),
    "one completed, one running and ready": (
        pod(
            2,
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [container(state={"terminated": {"reason": "Completed"}}), container(ready=True, state=RUNNING)],
            },
        ),
        ("1/2", "Running", "0"),
    ),
    "one completed, one running, the pod not ready": (
        pod(
            2,
            {
                "phase": "Running",
                "containerStatuses": [container(state={"terminated": {"reason": "Completed"}}), container(ready=True, state=RUNNING)],
            },
        ),
        ("1/2", "NotReady", "0"),
    ),
    "the time of the last restart": (
        pod(
            2,
            {
                "phase": "Running",
                "containerStatuses": [
                    container(ready=True, restarts=3, state=RUNNING, ended="2024-01-01T00:09:50Z"),
                    container(ready=True, restarts=3, state=RUNNING, ended="2024-01-01T00:09:40Z"),
                ],
            },
        ),
        ("2/2", "Running", "6 (10s ago)"),
    ),
    "an init container is running": (
        pod(
            1,
            {"phase": "Pending", "initContainerStatuses": [container("i0", state=RUNNING), container("i1")]},
            init=[{"name": "i0"}, {"name": "i1"}],
        ),
        ("0/1", "Init:0/2", "0"),
    ),
    "the second init container waits": (
        pod(
            1,
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    container("i0", restarts=3, state={"terminated": {"exitCode": 0}}),
                    container("i1", state={"waiting": {"reason": "ImagePullBackOff"}}),
                ],
            },
            init=[{"name": "i0"}, {"name": "i1"}],
        ),
        ("0/1", "Init:ImagePullBackOff", "3"),
    ),
    "an init container waits for its turn": (
        pod(
            1,
            {"phase": "Pending", "initContainerStatuses": [container("i0", state={"waiting": {"reason": "PodInitializing"}})]},
            init=[{"name": "i0"}],
        ),
        ("0/1", "Init:0/1", "0"),
    ),
    "an init container failed": (
        pod(1, {"phase": "Pending", "initContainerStatuses": [container("i0", state={"terminated": {"exitCode": 7}})]}, init=[{"name": "i0"}]),
        ("0/1", "Init:ExitCode:7", "0"),
    ),
    "init containers are done: their restarts no longer count": (
        pod(
            1,
            {
                "phase": "Running",
                "initContainerStatuses": [container("i0", restarts=3, state={"terminated": {"exitCode": 0}})],
                "containerStatuses": [container(ready=True, restarts=1, state=RUNNING)],
            },
            init=[{"name": "i0"}],
        ),
        ("1/1", "Running", "1"),
    ),
    "a sidecar is a container too": (
        pod(
            1,
            {
                "phase": "Running",
                "initContainerStatuses": [container("s", ready=True, restarts=2, state=RUNNING, started=True)],
                "containerStatuses": [container(ready=True, restarts=1, state=RUNNING)],
            },
            init=[{"name": "s", "restartPolicy": "Always"}],
        ),
        ("2/2", "Running", "3"),
    ),
    "scheduling gated": (
        pod(1, {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
        ("0/1", "SchedulingGated", "0"),
    ),
    "terminating": (pod(1, {"phase": "Running"}, deletionTimestamp="2024-01-01T00:09:00Z"), ("0/1", "Terminating", "0")),
    "on a lost node": (pod(1, {"phase": "Running", "reason": "NodeLost"}, deletionTimestamp="2024-01-01T00:09:00Z"), ("0/1", "Unknown", "0")),
    "failed pods do not terminate": (pod(1, {"phase": "Failed"}, deletionTimestamp="2024-01-01T00:09:00Z"), ("0/1", "Failed", "0")),
}


@pytest.mark.parametrize("case", CASES)
def test_ready_status_and_restarts(case: str) -> None:
    obj, expected = CASES[case]
    assert cells(obj) == expected


def test_the_wide_columns() -> None:
    obj = pod(
        1,
        {
            "phase": "Running",
            "podIPs": [{"ip": "10.244.0.5"}, {"ip": "fd00::5"}],
            "nominatedNodeName": "node2",
            "conditions": [{"type": "a", "status": "True"}],
        },
    )
    obj["spec"] |= {"nodeName": "node1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    assert tuple(TABLES["Pod"].row(obj, NOW, True))[4:] == ("10m", "10.244.0.5", "node1", "node2", "1/2")
    assert tuple(TABLES["Pod"].row(pod(1, {}), NOW, True))[5:] == ("<none>",) * 4
