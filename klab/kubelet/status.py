"""A pod's status as the kubelet reports it: phase, conditions, container states (kubelet_pods.go generateAPIPodStatus, getPhase)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from klab.api.pod import Container, Pod
from klab.kubelet.lifecycle import Attempt, Decision, latest, may_restart

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


def plan_status(pod: Pod, old: Mapping[str, Any], attempts: Sequence[Attempt], decision: Decision, facts: Facts, now: float) -> Status:
    """Give the new status; what it does not speak of is kept from the old one."""
    containers = [_container_status(pod, container, attempts, decision, facts, init=False) for container in pod.containers]
    inits = [_container_status(pod, container, attempts, decision, facts, init=True) for container in pod.init_containers]
    phase = _phase(pod, containers, decision)
    status: Status = dict(old)
    status["phase"] = phase
    status["startTime"] = old.get("startTime") or render_time(now)
    status["hostIP"] = facts.host_ip
    status["hostIPs"] = [{"ip": facts.host_ip}]
    if facts.pod_ips:
        status["podIP"] = facts.pod_ips[0]
        status["podIPs"] = [{"ip": address} for address in facts.pod_ips]
    status["containerStatuses"] = containers
    if inits:
        status["initContainerStatuses"] = inits
    status["conditions"] = _conditions(old.get("conditions") or (), containers, phase, decision, facts, now)
    return status


def render_time(seconds: float) -> str:
    """Write a time as the API does: 2026-11-21T09:16:00Z."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container_status(pod: Pod, container: Container, attempts: Sequence[Attempt], decision: Decision, facts: Facts, *, init: bool) -> Status:
    own = sorted((attempt for attempt in attempts if attempt.container == container.name), key=lambda attempt: attempt.number)
    current = own[-1] if own else None
    state, last = _state(pod, container, current, decision, facts, init=init), {}
    if len(own) > 1 and "waiting" not in state:
        last = _terminated(own[-2], pod)
    elif current and not current.running and "waiting" in state:
        last = _terminated(current, pod)
    running = "running" in state
    started = running and facts.started.get(container.name, True)
    done = init and "terminated" in state and current is not None and current.exit_code == 0
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


def _state(pod: Pod, container: Container, current: Attempt | None, decision: Decision, facts: Facts, *, init: bool) -> Status:
    if container.name in facts.errors:
        reason, message = facts.errors[container.name]
        return {"waiting": {"reason": reason, "message": message}}
    if current is None:
        waiting_for_init = pod.init_containers and not decision.initialized
        return {"waiting": {"reason": "PodInitializing" if waiting_for_init else "ContainerCreating"}}
    if current.running:
        return {"running": {"startedAt": render_time(current.started_at)}}
    policy = _policy(pod, container, init=init)
    restarting = may_restart(policy, current) and not pod.terminating and not (init and current.exit_code == 0 and container.restart_policy != "Always")
    if restarting and current.restart_at > current.finished_at:
        delay = _duration(int(current.restart_at - current.finished_at))
        message = f"back-off {delay} restarting failed container={container.name} pod={pod.name}_{pod.namespace}({pod.uid})"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return _terminated(current, pod)


def _policy(pod: Pod, container: Container, *, init: bool) -> str:
    if not init:
        return pod.restart_policy
    if container.restart_policy == "Always":
        return "Always"
    return "Never" if pod.restart_policy == "Never" else "OnFailure"


def _duration(seconds: int) -> str:
    """Write seconds as Go does: 10s, 2m40s, 5m0s."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"  # noqa: PLR2004 (seconds of a minute)


def _terminated(attempt: Attempt, pod: Pod) -> Status:
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


def _phase(pod: Pod, containers: Sequence[Status], decision: Decision) -> str:
    """Give the phase from the containers' states (kubelet getPhase)."""
    if pod.finished:
        return pod.phase
    if decision.failed:
        return "Failed"
    if not decision.initialized:
        return "Pending"
    running = stopped = succeeded = waiting = 0
    for status in containers:
        state, last = status["state"], status["lastState"]
        if "running" in state:
            running += 1
        elif "terminated" in state:
            stopped += 1
            succeeded += state["terminated"]["exitCode"] == 0
        elif "terminated" in last:
            stopped += 1
        else:
            waiting += 1
    if waiting:
        return "Pending"
    if running:
        return "Running"
    if pod.restart_policy == "Always" and not pod.terminating:
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if pod.restart_policy == "Never" or pod.terminating else "Running"


def _conditions(
    old: Sequence[Mapping[str, Any]], containers: Sequence[Status], phase: str, decision: Decision, facts: Facts, now: float
) -> list[Status]:
    ended = phase in {"Succeeded", "Failed"}
    unready = [status["name"] for status in containers if not status["ready"]]
    why = {}
    if phase == "Succeeded":
        why = {"reason": "PodCompleted"}
    elif phase == "Failed":
        why = {"reason": "PodFailed"}
    elif unready:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    ready = not unready and not ended
    told = [
        ("PodReadyToStartContainers", facts.sandbox and not ended, {}),
        ("Initialized", decision.initialized or phase == "Succeeded", {} if decision.initialized else {"reason": "ContainersNotInitialized"}),
        ("Ready", ready, {} if ready else why),
        ("ContainersReady", ready, {} if ready else why),
        ("PodScheduled", True, {}),
    ]
    before = {condition["type"]: condition for condition in old}
    return [_condition(kind, value, more, before.get(kind), now) for kind, value, more in told]


def _condition(kind: str, value: bool, more: Mapping[str, str], before: Mapping[str, Any] | None, now: float) -> Status:
    word = "True" if value else "False"
    unchanged = before is not None and before.get("status") == word
    since = before["lastTransitionTime"] if before is not None and unchanged else render_time(now)
    return {"type": kind, "status": word, "lastProbeTime": None, "lastTransitionTime": since, **more}
