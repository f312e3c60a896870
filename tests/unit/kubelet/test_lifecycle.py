"""What the kubelet starts and stops next, and what it tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.pod import Pod
from klab.kubelet.lifecycle import Attempt, calc_backoff, decide
from klab.kubelet.status import Facts, Situation, plan_status

NOW = 1_000_000.0
FACTS = Facts("172.18.0.2", ("10.244.0.2",))


def pod(policy: str = "Always", init: tuple[dict[str, Any], ...] = (), names: tuple[str, ...] = ("web",), **meta: Any) -> Pod:
    containers = [{"name": name, "image": "x"} for name in names]
    spec = {"restartPolicy": policy, "containers": containers, "initContainers": list(init), "nodeName": "node1"}
    return Pod.of({"metadata": {"name": "p", "namespace": "default", "uid": "u", **meta}, "spec": spec})


def started(what: Pod, attempts: list[Attempt], now: float = NOW) -> list[tuple[str, int]]:
    return [(container.name, number) for container, number, _streak in decide(what, attempts, now).start]


def ended(name: str, code: int, number: int = 0, streak: int = 0, ran: float = 1.0) -> Attempt:
    return Attempt(name, number, running=False, exit_code=code, started_at=NOW - ran, finished_at=NOW, streak=streak)


def running(name: str, number: int = 0) -> Attempt:
    return Attempt(name, number, running=True, started_at=NOW)


INIT = ({"name": "one", "image": "x"}, {"name": "two", "image": "x"})
SIDECAR = ({"name": "side", "image": "x", "restartPolicy": "Always"},)


def test_init_containers_run_one_after_another_before_the_others() -> None:
    what = pod(init=INIT)
    assert started(what, []) == [("one", 0)]
    assert started(what, [running("one")]) == []
    assert started(what, [ended("one", 0)]) == [("two", 0)]
    assert started(what, [ended("one", 0), ended("two", 0)]) == [("web", 0)]


def test_a_failing_init_container_is_tried_again_unless_never() -> None:
    assert started(pod(init=INIT), [ended("one", 1)]) == [("one", 1)]
    decision = decide(pod("Never", init=INIT), [ended("one", 1)], NOW)
    assert decision.failed
    assert not decision.start


def test_a_sidecar_goes_on_beside_the_others_and_ends_after_them() -> None:
    what = pod("Never", init=SIDECAR)
    assert started(what, []) == [("side", 0)]
    assert started(what, [running("side")]) == [("web", 0)]
    assert decide(what, [running("side"), ended("web", 0)], NOW).stop == ("side",)


@pytest.mark.parametrize(
    ("policy", "code", "again"), [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)]
)
def test_the_restart_policy_decides_whether_an_ended_container_starts_again(policy: str, code: int, again: bool) -> None:
    assert started(pod(policy), [ended("web", code)]) == ([("web", 1)] if again else [])


def test_restarts_wait_ten_seconds_then_twice_as_long_and_five_minutes_at_most() -> None:
    assert [calc_backoff(ended("web", 1, streak=streak)) for streak in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    last = ended("web", 1, number=1, streak=1)
    decision = decide(pod(), [last], NOW + 9)
    assert (decision.start, decision.wake_at) == ((), NOW + 10)
    assert started(pod(), [last], NOW + 10) == [("web", 2)]


def test_a_container_that_ran_long_starts_at_once_and_from_the_beginning() -> None:
    last = ended("web", 1, number=7, streak=7, ran=601)
    ((_container, number, streak),) = decide(pod(), [last], NOW).start
    assert (number, streak) == (8, 0)


def test_a_deleted_pod_starts_nothing_and_stops_all() -> None:
    what = pod(names=("a", "b"), deletionTimestamp="2026-01-01T00:00:00Z")
    decision = decide(what, [running("a")], NOW)
    assert (decision.start, decision.stop) == ((), ("a",))


def status(what: Pod, attempts: list[Attempt], old: dict[str, Any] | None = None, facts: Facts = FACTS) -> dict[str, Any]:
    return plan_status(Situation(what, attempts, decide(what, attempts, NOW), facts, NOW), old or {})


def condition(told: dict[str, Any], kind: str) -> str:
    return next(entry["status"] for entry in told["conditions"] if entry["type"] == kind)


def test_a_running_pod_is_ready_and_has_its_addresses() -> None:
    told = status(pod(), [running("web")])
    assert (told["phase"], told["podIP"], told["hostIP"]) == ("Running", "10.244.0.2", "172.18.0.2")
    assert told["containerStatuses"][0]["ready"]
    assert condition(told, "Ready") == "True"


@pytest.mark.parametrize(
    ("policy", "attempts", "phase"),
    [
        ("Always", [], "Pending"),
        ("Never", [ended("web", 0)], "Succeeded"),
        ("Never", [ended("web", 1)], "Failed"),
        ("OnFailure", [ended("web", 0)], "Succeeded"),
        ("OnFailure", [ended("web", 1, number=1, streak=1)], "Running"),
        ("Always", [ended("web", 0, number=2, streak=2)], "Running"),
    ],
)
def test_the_phase_follows_from_containers_and_policy(policy: str, attempts: list[Attempt], phase: str) -> None:
    assert status(pod(policy), attempts)["phase"] == phase


def test_a_container_that_waits_for_its_restart_says_so_and_what_happened() -> None:
    crash = Attempt("web", 1, running=False, exit_code=1, started_at=NOW - 1, finished_at=NOW, reason="Error", message="bind: in use", streak=1)
    (container,) = status(pod(), [crash])["containerStatuses"]
    assert container["state"]["waiting"] == {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=web pod=p_default(u)"}
    assert container["lastState"]["terminated"]["message"] == "bind: in use"
    assert container["restartCount"] == 1


def test_a_missing_config_map_is_told_as_the_kubelet_does() -> None:
    facts = Facts("172.18.0.2", ("10.244.0.2",), errors={"web": ("CreateContainerConfigError", 'configmap "c" not found')})
    (container,) = status(pod(), [], facts=facts)["containerStatuses"]
    assert container["state"]["waiting"]["reason"] == "CreateContainerConfigError"


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    before = status(pod(), [running("web")])
    old = {**before, "conditions": [{**entry, "lastTransitionTime": "2020-01-01T00:00:00Z"} for entry in before["conditions"]]}
    after = status(pod(), [ended("web", 1, number=1, streak=1)], old)
    times = {entry["type"]: entry["lastTransitionTime"] for entry in after["conditions"]}
    assert times["PodScheduled"] == "2020-01-01T00:00:00Z"
    assert times["Ready"] != "2020-01-01T00:00:00Z"


def test_a_container_that_could_not_be_started_waits_as_long_as_any_other() -> None:
    never_ran = Attempt("web", 1, running=False, exit_code=128, started_at=0.0, finished_at=NOW, reason="StartError", streak=1)
    assert calc_backoff(never_ran) == 10.0
