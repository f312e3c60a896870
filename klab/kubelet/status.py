"""A pod's status as the kubelet reports it: phase, conditions, container states (kubelet_pods.go generateAPIPodStatus, getPhase)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from klab.api.pod import Container, Pod
from klab.kubelet.lifecycle import Attempt, Decision, may_restart

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status tells beside the containers: the node's address, the pod's own, errors that keep a container from being made.

    `errors` maps a container's name to (reason, message), e.g. CreateContainerConfigError; `ready` and `started` hold what probes found, a container
    without an entry counts as ready and started when it runs.
    """

    host_ip: str
    pod_ips: tuple[str, ...]
    errors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ready: Mapping[str, bool] = field(default_factory=dict)
    started: Mapping[str, bool] = field(default_factory=dict)
    sandbox: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a status is made of: the pod, its containers' attempts, what the lifecycle decided, facts, the time (seconds since the epoch)."""

    pod: Pod
    attempts: Sequence[Attempt]
    decision: Decision
    facts: Facts
    now: float


def plan_status(situation: Situation, old: Mapping[str, Any]) -> Status:
    """Give the new status; what it does not speak of is kept from the old one."""
    pod, facts = situation.pod, situation.facts
    containers = [_container_status(situation, container, pod.restart_policy) for container in pod.containers]
    inits = [_container_status(situation, container, _init_policy(pod, container), init=True) for container in pod.init_containers]
    phase = _phase(situation, containers)
    status: Status = dict(old)
    status["phase"] = phase
    status["startTime"] = old.get("startTime") or render_time(situation.now)
    status["hostIP"] = facts.host_ip
    status["hostIPs"] = [{"ip": facts.host_ip}]
    if facts.pod_ips:
        status["podIP"] = facts.pod_ips[0]
        status["podIPs"] = [{"ip": address} for address in facts.pod_ips]
    status["containerStatuses"] = containers
    if inits:
        status["initContainerStatuses"] = inits
    status["conditions"] = _conditions(situation, old.get("conditions") or (), containers, phase)
    return status


def calc_back_offs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the containers that wait in back-off in the new status and did not in the old one."""
    return sorted(_in_back_off(new) - _in_back_off(old))


def _in_back_off(status: Mapping[str, Any]) -> set[str]:
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {told["name"] for told in containers if told["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"}


def render_time(seconds: float) -> str:
    """Write a time as the API does: 2026-11-21T09:16:00Z."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container_status(situation: Situation, container: Container, policy: str, *, init: bool = False) -> Status:
    pod, facts = situation.pod, situation.facts
    own = sorted((attempt for attempt in situation.attempts if attempt.container == container.name), key=lambda attempt: attempt.number)
    current = own[-1] if own else None
    done = init and policy != "Always" and current is not None and not current.running and current.exit_code == 0
    state = _terminated(pod, current) if current and done else _state(situation, container, current, policy)
    last: Status = {}
    if len(own) > 1 and "waiting" not in state:
        last = _terminated(pod, own[-2])
    elif current and not current.running and "waiting" in state:
        last = _terminated(pod, current)
    started = "running" in state and facts.started.get(container.name, True)
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": f"klab://{pod.uid}/{container.name}/{current.number}" if current else "",
        "ready": done or (started and facts.ready.get(container.name, True)),
        "started": started,
        "restartCount": current.number if current else 0,
        "state": state,
        "lastState": last,
    }


def _state(situation: Situation, container: Container, current: Attempt | None, policy: str) -> Status:
    pod = situation.pod
    if container.name in situation.facts.errors:
        reason, message = situation.facts.errors[container.name]
        return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}
    if current is None:
        waits_for_init = pod.init_containers and not situation.decision.initialized
        return {"waiting": {"reason": "PodInitializing" if waits_for_init else "ContainerCreating"}}
    if current.running:
        return {"running": {"startedAt": render_time(current.started_at)}}
    if may_restart(policy, current) and not pod.terminating and current.restart_at > current.finished_at:
        delay = _duration(int(current.restart_at - current.finished_at))
        message = f"back-off {delay} restarting failed container={container.name} pod={pod.name}_{pod.namespace}({pod.uid})"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return _terminated(pod, current)


def _init_policy(pod: Pod, container: Container) -> str:
    """Give the restart policy of an init container: a sidecar's is its own, the others' follows the pod's."""
    if container.restart_policy == "Always":
        return "Always"
    return "Never" if pod.restart_policy == "Never" else "OnFailure"


def _duration(seconds: int) -> str:
    """Write seconds as Go does: 10s, 2m40s, 5m0s."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"  # noqa: PLR2004 (seconds of a minute)


def _terminated(pod: Pod, attempt: Attempt) -> Status:
    told: Status = {
        "exitCode": attempt.exit_code,
        "reason": attempt.reason or ("Completed" if attempt.exit_code == 0 else "Error"),
        "startedAt": render_time(attempt.started_at),
        "finishedAt": render_time(attempt.finished_at),
        "containerID": f"klab://{pod.uid}/{attempt.container}/{attempt.number}",
    }
    if attempt.message:
        told["message"] = attempt.message
    return {"terminated": told}


def _phase(situation: Situation, containers: Sequence[Status]) -> str:
    """Give the phase from the containers' states (kubelet getPhase)."""
    pod, decision = situation.pod, situation.decision
    if pod.finished:
        return pod.phase
    if decision.failed or not decision.initialized:
        return "Failed" if decision.failed else "Pending"
    kinds = [_kind(status) for status in containers]
    if "waiting" in kinds:
        return "Pending"
    if "running" in kinds or (pod.restart_policy == "Always" and not pod.terminating):
        return "Running"
    if "failed" not in kinds:
        return "Succeeded"
    return "Failed" if pod.restart_policy == "Never" or pod.terminating else "Running"


def _kind(status: Status) -> str:
    """Sort a container into running, succeeded, failed (also one that waits for its restart) or waiting."""
    state = status["state"]
    if "terminated" in state:
        return "succeeded" if state["terminated"]["exitCode"] == 0 else "failed"
    if "running" in state:
        return "running"
    return "failed" if "terminated" in status["lastState"] else "waiting"


def _conditions(situation: Situation, old: Sequence[Mapping[str, Any]], containers: Sequence[Status], phase: str) -> list[Status]:
    decision = situation.decision
    ended = phase in {"Succeeded", "Failed"}
    unready = [status["name"] for status in containers if not status["ready"]]
    why = {}
    if ended:
        why = {"reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    elif unready:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    ready = not unready and not ended
    told = [
        ("PodReadyToStartContainers", situation.facts.sandbox and not ended, {}),
        ("Initialized", decision.initialized or phase == "Succeeded", {} if decision.initialized else {"reason": "ContainersNotInitialized"}),
        ("Ready", ready, why),
        ("ContainersReady", ready, why),
        ("PodScheduled", True, {}),
    ]
    before = {condition["type"]: condition for condition in old}
    return [_condition(kind, more, before.get(kind), situation.now, holds=holds) for kind, holds, more in told]


def _condition(kind: str, more: Mapping[str, str], before: Mapping[str, Any] | None, now: float, *, holds: bool) -> Status:
    word = "True" if holds else "False"
    since = before["lastTransitionTime"] if before is not None and before.get("status") == word else render_time(now)
    return {"type": kind, "status": word, "lastProbeTime": None, "lastTransitionTime": since, **more}
