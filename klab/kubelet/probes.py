"""Probes of a container: what a manifest asks for, when each is due, and what its results mean for the container.

After pkg/kubelet/prober (worker.go, prober.go, prober_manager.go) and pkg/probe of Kubernetes. The time is handed in; the probe itself is done by
others, who tell the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from klab.api.pod import Container
from klab.kubelet.environment import expand_static
from klab.kubelet.resolv import Note

Type = Literal["Startup", "Liveness", "Readiness"]
Result = Literal["success", "warning", "failure", "unknown"]

_OK, _REDIRECT, _BAD = 200, 300, 400  # the first statuses of HTTP's classes
_MAX_PORT = 65535
_MAX_OUTPUT = 10 * 1024
_SERVING = 1
_GRPC_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe; times in seconds. `host` "" means the pod's address; `fault` says why it cannot be done at all, "" for a sound one."""

    kind: str  # httpGet, tcpSocket, exec or grpc
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period: int | None = None
    host: str = ""
    port: int = 0
    path: str = ""
    scheme: str = "http"
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    service: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe found. With `errored` the probe itself could not be done: its result is thrown away, only an event tells of it."""

    result: Result
    text: str = ""
    errored: bool = False


def parse_probe(container: Container, raw: Mapping[str, Any]) -> Probe:
    """Read a probe of `container`, with the API server's defaults and its port's name resolved."""
    kind = next((kind for kind in ("httpGet", "tcpSocket", "exec", "grpc") if raw.get(kind) is not None), "")
    action: Mapping[str, Any] = raw.get(kind) or {}
    port, fault = (0, "") if kind == "exec" else _resolve_port(container, action.get("port"))
    return Probe(
        kind=kind,
        initial_delay=raw.get("initialDelaySeconds") or 0,
        period=raw.get("periodSeconds") or 10,
        timeout=raw.get("timeoutSeconds") or 1,
        success_threshold=raw.get("successThreshold") or 1,
        failure_threshold=raw.get("failureThreshold") or 3,
        termination_grace_period=raw.get("terminationGracePeriodSeconds"),
        host=action.get("host") or "",
        port=port,
        path=(action.get("path") or "/") if kind == "httpGet" else "",
        scheme=(action.get("scheme") or "HTTP").lower(),
        headers=tuple((header.get("name", ""), header.get("value") or "") for header in action.get("httpHeaders") or ()),
        command=expand_static(action.get("command") or (), container),
        service=action.get("service") or "",
        fault=fault if kind else f"missing probe handler for {container.name}",
    )


def _resolve_port(container: Container, port: int | str | None) -> tuple[int, str]:
    """Give the port's number and what is wrong with it (probe.ResolveContainerPort)."""
    named = next((declared.container_port for declared in container.ports if declared.name and declared.name == port), None)
    if named is None:
        try:
            named = int(port or 0)
        except ValueError:
            return 0, f'strconv.Atoi: parsing "{port}": invalid syntax'
    return (named, "") if 0 < named <= _MAX_PORT else (0, f"invalid port number: {named}")


def render_url(probe: Probe, pod_ip: str) -> str:
    """Give the URL that an HTTP probe asks for."""
    host = probe.host or pod_ip
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    return f"{probe.scheme}://{f'[{host}]' if ':' in host else host}:{probe.port}{path}"


def judge_http(status: int, body: str = "", error: str = "", *, errored: bool = False) -> Outcome:
    """Judge an HTTP probe: its answer, or the `error` that came instead; `errored` if it came in the middle of the body."""
    if error:
        return Outcome("failure", error, errored)
    if _OK <= status < _REDIRECT:
        return Outcome("success", body)
    if _REDIRECT <= status < _BAD:
        return Outcome("warning", f"Probe terminated redirects, Response body: {body}")
    return Outcome("failure", f"HTTP probe failed with statuscode: {status}")


def judge_tcp(error: str) -> Outcome:
    """Judge a TCP probe: "" for a connection that came about."""
    return Outcome("failure", error) if error else Outcome("success")


def judge_exec(probe: Probe, code: int, output: str, *, timed_out: bool) -> Outcome:
    """Judge an exec probe by its program's exit code."""
    if timed_out:
        return Outcome("failure", f'command timed out: "{" ".join(probe.command)}" timed out after {_render_duration(probe.timeout)}')
    return Outcome("success" if code == 0 else "failure", output[:_MAX_OUTPUT])


def judge_grpc(status: int | None, error: str = "") -> Outcome:
    """Judge a gRPC probe by grpc.health.v1.HealthCheckResponse.status."""
    if error or status is None:
        return Outcome("failure", error)
    if status == _SERVING:
        return Outcome("success", "service healthy")
    return Outcome("failure", f'service unhealthy (responded with "{_GRPC_STATUS.get(status, str(status))}")')


def judge_fault(probe: Probe) -> Outcome:
    """Judge a probe that cannot be done."""
    return Outcome("unknown", probe.fault, errored=True)


def render_killing(container: str, failed: Type, *, restart: bool) -> str:
    """Give the message of the Killing event of a container whose probe failed for good."""
    return f"Container {container} failed {failed.lower()} probe" + (", will be restarted" if restart else "")


def _render_duration(seconds: int) -> str:
    """Write seconds as Go's time.Duration does: 1s, 1m30s, 1h0m5s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


class _Worker:
    """One probe of one run of a container: when it is due, and the result that stands."""

    def __init__(self, probe: Probe, next_time: float | None, *, holds: bool) -> None:
        self.probe = probe
        self.next_time = next_time  # None: not until something else happens
        self.holds = holds  # the result that stands; it changes only once a threshold is reached
        self.stopped = False
        self._last: bool | None = None
        self._run = 0

    def record(self, *, success: bool) -> bool:
        """Take a result in; tell whether it (still) reaches its threshold and so stands now."""
        self._run = self._run + 1 if self._last is success else 1
        self._last = success
        if self._run < (self.probe.success_threshold if success else self.probe.failure_threshold):
            return False
        self.holds = success
        return True


class ContainerProbes:
    """The probes of one run of a container, from its start to its end.

    Ask `next_time`, take what is `due`, do it, and `observe` each outcome. Liveness and readiness wait until the startup probe succeeded.
    """

    def __init__(self, container: Container, started_at: float, *, started: bool = False, ready: bool = False) -> None:
        """Begin at `started_at`; `started` and `ready` are what the pod's status says of a container that ran before this process did."""
        raws: Mapping[Type, Mapping[str, Any] | None] = {
            "Startup": container.startup_probe,
            "Liveness": container.liveness_probe,
            "Readiness": container.readiness_probe,
        }
        self._started_at = started_at
        self._workers: dict[Type, _Worker] = {}
        waits = container.startup_probe is not None and not started
        for kind, raw in raws.items():
            if raw is None:
                continue
            probe = parse_probe(container, raw)
            begins = waits if kind == "Startup" else not waits
            holds = {"Startup": not waits, "Liveness": True, "Readiness": ready}[kind]
            self._workers[kind] = _Worker(probe, started_at + probe.initial_delay if begins else None, holds=holds)
        self.failed: Type | None = None
        """The probe for which the container has to be killed: Startup or Liveness."""

    @property
    def started(self) -> bool:
        """Tell whether the container has started, as status.containerStatuses[].started says it."""
        return "Startup" not in self._workers or self._workers["Startup"].holds

    @property
    def ready(self) -> bool:
        """Tell whether the container is ready: it has started, and its readiness probe, if there is one, succeeds."""
        return self.started and ("Readiness" not in self._workers or self._workers["Readiness"].holds)

    @property
    def next_time(self) -> float | None:
        """Give the moment at which a probe is due next; None where there is none before something else happens."""
        return min((worker.next_time for worker in self._workers.values() if worker.next_time is not None), default=None)

    def stop_liveness_and_startup(self) -> None:
        """Probe these no longer, and count them as fine: the pod is being deleted."""
        for kind in ("Startup", "Liveness"):
            if kind in self._workers:
                worker = self._workers[kind]
                worker.stopped, worker.holds, worker.next_time = True, True, None
        self.failed = None

    def grace_period(self, failed: Type) -> int | None:
        """Give the probe's own terminationGracePeriodSeconds, None where the pod's holds."""
        return self._workers[failed].probe.termination_grace_period

    def due(self, now: float) -> tuple[tuple[Type, Probe], ...]:
        """Take the probes to do now; none of them is due again before its outcome was observed."""
        taken = []
        for kind, worker in self._workers.items():
            if worker.next_time is not None and worker.next_time <= now:
                worker.next_time = None
                taken.append((kind, worker.probe))
        return tuple(taken)

    def observe(self, kind: Type, outcome: Outcome, began: float, now: float) -> Note | None:
        """Take in the outcome of a probe that began at `began`; give the event that the kubelet records, if any."""
        worker = self._workers[kind]
        if worker.stopped:
            return None
        worker.next_time = max(began + worker.probe.period, now)
        if outcome.errored:
            return Note("Unhealthy", f"{kind} probe errored and resulted in {outcome.result} state: {outcome.text}")
        success = outcome.result in {"success", "warning"}
        if worker.record(success=success):
            self._settle(kind, now, success=success)
        match outcome.result:
            case "failure":
                return Note("Unhealthy", f"{kind} probe failed: {outcome.text}")
            case "warning":
                return Note("ProbeWarning", f"{kind} probe warning: {outcome.text}")
        return None

    def _settle(self, kind: Type, now: float, *, success: bool) -> None:
        """Follow from a result that stands now: startup lets the others begin and is done; the failure of startup or liveness ends the run."""
        worker = self._workers[kind]
        if kind == "Startup":
            worker.stopped, worker.next_time = True, None
        if kind == "Startup" and success:
            for other in self._workers.values():
                if other is not worker:
                    other.next_time = max(self._started_at + other.probe.initial_delay, now)
        elif kind != "Readiness" and not success:
            worker.stopped, worker.next_time = True, None
            self.failed = kind
