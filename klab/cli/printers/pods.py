"""The row of a pod: READY, STATUS and RESTARTS are computed from its containers' states (printers.go, printPod)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klab.cli.printers.table import Columns, Object, columns
from klab.cli.printers.values import NONE, age, conditions, dig, since

_TERMINAL_PHASES = ("Succeeded", "Failed")


@dataclass(slots=True)
class _Tally:
    """What is counted over the containers of a pod; `restarted` is the end of the latest terminated run, RFC 3339 in UTC."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    restarted: str = ""

    def count_restarts(self, status: Mapping[str, Any]) -> None:
        """Add the restarts of one container."""
        self.restarts += dig(status, "restartCount", default=0)
        self.restarted = max(self.restarted, dig(status, "lastState", "terminated", "finishedAt", default=""))


def _pod(pod: Object, now: datetime, wide: bool) -> Sequence[str]:
    del wide
    tally = _tally(pod)
    restarts = f"{tally.restarts} ({since(tally.restarted, now)} ago)" if tally.restarts and tally.restarted else str(tally.restarts)
    return (
        pod["metadata"].get("name", ""),
        f"{tally.ready}/{tally.total}",
        pod_status(pod),
        restarts,
        age(pod, now),
        dig(pod, "status", "podIPs", 0, "ip") or NONE,
        dig(pod, "spec", "nodeName") or NONE,
        dig(pod, "status", "nominatedNodeName") or NONE,
        _readiness_gates(pod),
    )


def pod_status(pod: Object) -> str:
    """Give the STATUS of a pod: `Running`, `Init:0/1`, `CrashLoopBackOff`, `Terminating`, ..."""
    if dig(pod, "metadata", "deletionTimestamp"):
        if dig(pod, "status", "reason") == "NodeLost":
            return "Unknown"
        if dig(pod, "status", "phase") not in _TERMINAL_PHASES:
            return "Terminating"
    return _tally(pod).reason


def _tally(pod: Object) -> _Tally:
    status = dig(pod, "status", default={})
    tally = _Tally(reason=dig(status, "reason") or dig(status, "phase", default=""), total=len(dig(pod, "spec", "containers", default=())))
    if any(one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated" for one in dig(status, "conditions", default=())):
        tally.reason = "SchedulingGated"
    sidecars = {one["name"] for one in dig(pod, "spec", "initContainers", default=()) if one.get("restartPolicy") == "Always"}
    tally.total += len(sidecars)
    initializing = _tally_init_containers(pod, sidecars, tally)
    if not initializing or conditions(pod).get("Initialized") == "True":
        _tally_containers(pod, sidecars, tally)
    return tally


def _tally_init_containers(pod: Object, sidecars: set[str], tally: _Tally) -> bool:
    """Count init containers up to the first that is not done; tell whether there is one."""
    for at, status in enumerate(dig(pod, "status", "initContainerStatuses", default=())):
        tally.count_restarts(status)
        if dig(status, "state", "terminated", "exitCode") == 0:
            continue
        if status["name"] in sidecars and status.get("started"):
            tally.ready += bool(status.get("ready"))
            continue
        tally.reason = "Init:" + (_init_reason(status) or f"{at}/{len(dig(pod, 'spec', 'initContainers', default=()))}")
        return True
    return False


def _init_reason(status: Mapping[str, Any]) -> str:
    if terminated := dig(status, "state", "terminated"):
        return _ended(terminated)
    reason: str = dig(status, "state", "waiting", "reason", default="")
    return "" if reason == "PodInitializing" else reason


def _ended(terminated: Mapping[str, Any]) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _tally_containers(pod: Object, sidecars: set[str], tally: _Tally) -> None:
    """Count the containers; the first one that is not running gives the reason."""
    tally.restarts, tally.restarted = 0, ""
    for status in dig(pod, "status", "initContainerStatuses", default=()):
        if status["name"] in sidecars:
            tally.count_restarts(status)
    running = False
    for status in reversed(dig(pod, "status", "containerStatuses", default=())):
        tally.count_restarts(status)
        if waiting := dig(status, "state", "waiting", "reason"):
            tally.reason = waiting
        elif (terminated := dig(status, "state", "terminated")) is not None:
            tally.reason = _ended(terminated)
        elif status.get("ready") and dig(status, "state", "running") is not None:
            running = True
            tally.ready += 1
    if tally.reason == "Completed" and running:
        tally.reason = "Running" if conditions(pod).get("Ready") == "True" else "NotReady"


def _readiness_gates(pod: Object) -> str:
    gates = dig(pod, "spec", "readinessGates", default=())
    if not gates:
        return NONE
    true = sum(conditions(pod).get(gate["conditionType"]) == "True" for gate in gates)
    return f"{true}/{len(gates)}"


TABLES: dict[str, Columns] = {
    "Pod": columns(
        "NAME  READY  STATUS  RESTARTS  AGE  IP  NODE  NOMINATED NODE  READINESS GATES", _pod, wide="IP  NODE  NOMINATED NODE  READINESS GATES"
    ),
}
