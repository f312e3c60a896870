"""Which pods `up` waits for."""

from __future__ import annotations

from typing import Any

import pytest

from klab.labs.waiting import is_coming

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
STARTED = "2027-01-15T07:59:59Z"
RUNNING = {"running": {"startedAt": STARTED}}


def make_pod(
    *states: dict[str, Any], ready: str = "False", phase: str = "Pending", started: str = STARTED, init: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    return {
        "status": {
            "phase": phase,
            "startTime": started,
            "conditions": [{"type": "Ready", "status": ready}],
            "initContainerStatuses": [{"state": state} for state in init],
            "containerStatuses": [{"state": state} for state in states],
        }
    }


@pytest.mark.parametrize(
    ("pod", "coming"),
    [
        (make_pod({"waiting": {"reason": "PodInitializing"}}, init=(RUNNING,)), True),
        (make_pod({"waiting": {"reason": "PodInitializing"}}, init=({"terminated": {"exitCode": 0}}, RUNNING)), True),
        (make_pod(RUNNING, phase="Running"), True),
        (make_pod(RUNNING, phase="Running", ready="True"), False),
        (make_pod(RUNNING, phase="Running", started="2027-01-15T07:59:50Z"), False),
        (make_pod({"waiting": {"reason": "CrashLoopBackOff"}}, phase="Running"), False),
        (make_pod({"waiting": {"reason": "CreateContainerConfigError"}}), False),
        (make_pod({"waiting": {"reason": "PodInitializing"}}, init=({"terminated": {"exitCode": 3}},)), False),
        (make_pod({"terminated": {"exitCode": 0}}, phase="Succeeded"), False),
        ({"status": {"phase": "Pending"}}, False),
    ],
)
def test_a_pod_is_coming_until_it_is_ready_or_fails_or_takes_long(pod: dict[str, Any], coming: bool) -> None:
    assert is_coming(pod, NOW) is coming
