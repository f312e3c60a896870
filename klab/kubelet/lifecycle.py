"""What the kubelet does next for one pod: init containers in order, sidecars, restarts with back-off, the end.

A pure function of the pod, of what the container runtime tells and of the time (kubelet's computePodActions, kuberuntime_manager.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from klab.api.pod import Container, Pod

BACKOFF_BASE = 10.0
"""Seconds before the second restart; doubled at each one after (the first restart is immediate)."""
BACKOFF_MAX = 300.0
BACKOFF_RESET = 600.0
"""A container that ran this long starts again without waiting (kubelet: twice the maximal back-off)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a container: `number` counts from 0, `streak` how many restarts came before it without a long run between.

    Times are seconds since the epoch; an attempt that runs has no `finished_at`. `reason` and `message` are the runtime's.
    """

    container: str
    number: int
    running: bool
    exit_code: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    reason: str = ""
    message: str = ""
    streak: int = 0

    @property
    def restart_at(self) -> float:
        """Give the moment before which the next attempt must not start."""
        return self.finished_at + calc_backoff(self)

    @property
    def next_streak(self) -> int:
        """Give the streak of the next attempt."""
        return 0 if _ran_long(self) else self.streak + 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now: containers to start with their attempt's number and streak, names to stop, and when to look again (None: on the next event)."""

    start: tuple[tuple[Container, int, int], ...] = ()
    stop: tuple[str, ...] = ()
    wake_at: float | None = None
    initialized: bool = False
    failed: bool = False  # an init container ended badly and may not be restarted


def calc_backoff(attempt: Attempt) -> float:
    """Give the seconds between an attempt's end and the next start."""
    if attempt.streak == 0 or _ran_long(attempt):
        return 0.0
    return float(min(BACKOFF_BASE * 2.0 ** (attempt.streak - 1), BACKOFF_MAX))


def latest(attempts: Iterable[Attempt]) -> dict[str, Attempt]:
    """Give the last attempt of each container."""
    found: dict[str, Attempt] = {}
    for attempt in attempts:
        if attempt.container not in found or attempt.number > found[attempt.container].number:
            found[attempt.container] = attempt
    return found


def decide(pod: Pod, attempts: Sequence[Attempt], now: float) -> Decision:
    """Say what to start and stop; nothing is started for a pod that is being deleted or has ended."""
    last = latest(attempts)
    if pod.terminating or pod.finished:
        return Decision(stop=_running(last), initialized=True)
    starts = _Starts(pod.restart_policy, now)
    initialized, failed = _init(pod, last, starts)
    if failed:
        return Decision(stop=_running(last), failed=True)
    if initialized:
        for container in pod.containers:
            starts.consider(container, last.get(container.name), pod.restart_policy)
        if all(_ended(last.get(container.name), pod.restart_policy) for container in pod.containers):
            sidecars = {container.name for container in pod.init_containers if _is_sidecar(container)}
            return Decision(stop=tuple(name for name in _running(last) if name in sidecars), initialized=True)
    return Decision(tuple(starts.now_due), (), starts.wake_at, initialized)


def may_restart(policy: str, attempt: Attempt) -> bool:
    """Say whether a container that ended so is started again (spec.restartPolicy)."""
    return policy == "Always" or (policy == "OnFailure" and attempt.exit_code != 0)


class _Starts:
    """Collects what is due now and the next moment when something else will be."""

    def __init__(self, policy: str, now: float) -> None:
        self.policy = policy
        self.now = now
        self.now_due: list[tuple[Container, int, int]] = []
        self.wake_at: float | None = None

    def consider(self, container: Container, attempt: Attempt | None, policy: str) -> None:
        if attempt is None:
            self.now_due.append((container, 0, 0))
        elif not attempt.running and may_restart(policy, attempt):
            if attempt.restart_at <= self.now:
                self.now_due.append((container, attempt.number + 1, attempt.next_streak))
            else:
                self.wake_at = min(self.wake_at or attempt.restart_at, attempt.restart_at)


def _init(pod: Pod, last: Mapping[str, Attempt], starts: _Starts) -> tuple[bool, bool]:
    """Walk the init containers in order; give whether all are through, and whether one failed for good."""
    policy = "Never" if pod.restart_policy == "Never" else "OnFailure"
    for container in pod.init_containers:
        attempt = last.get(container.name)
        if _is_sidecar(container):
            starts.consider(container, attempt, "Always")
            if attempt is None or not attempt.running:
                return False, False
        elif attempt is None or attempt.running or attempt.exit_code != 0:
            starts.consider(container, attempt, policy)
            return False, attempt is not None and not attempt.running and not may_restart(policy, attempt)
    return True, False


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _ended(attempt: Attempt | None, policy: str) -> bool:
    return attempt is not None and not attempt.running and not may_restart(policy, attempt)


def _running(last: Mapping[str, Attempt]) -> tuple[str, ...]:
    return tuple(name for name, attempt in last.items() if attempt.running)


def _ran_long(attempt: Attempt) -> bool:
    return attempt.started_at > 0 and attempt.finished_at - attempt.started_at > BACKOFF_RESET  # 0: it could not be started at all
