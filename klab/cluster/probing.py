"""Does the probes that are due, from the pod's node into the pod, and hands their outcomes to the state machine of klab.kubelet.probes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from klab.api.pod import Container
from klab.kernel.grpc_probe import grpc_check
from klab.kernel.probe import http_get, tcp_connect
from klab.kubelet import probes
from klab.kubelet.resolv import Note
from klab.runtime.client import RuntimeClient


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A running container: its runtime id, the path of its node's network namespace, the address it is probed at."""

    container_id: str
    node_netns: str
    address: str


@dataclass(slots=True)
class Prober:
    """The probes of all running containers that have any; `changed` is told of a container whose readiness or life changed, `tell` of events."""

    runtime: RuntimeClient
    changed: Callable[[str], None]
    tell: Callable[[str, Note], None]
    _states: dict[str, probes.ContainerProbes] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def ensure(self, container: Container, target: ProbeTarget, started_at: float, *, started: bool, ready: bool) -> None:
        """Probe a container that runs, if it wants to be and is not yet; `started` and `ready` are what its status says already."""
        if target.container_id in self._states or not (container.startup_probe or container.liveness_probe or container.readiness_probe):
            return
        state = probes.ContainerProbes(container, started_at, started=started, ready=ready)
        self._states[target.container_id] = state
        self._tasks[target.container_id] = asyncio.get_running_loop().create_task(self._follow(target, state))

    def forget(self, container_id: str) -> None:
        """Stop probing a container that ended."""
        self._states.pop(container_id, None)
        if task := self._tasks.pop(container_id, None):
            task.cancel()

    def spare(self, container_id: str) -> None:
        """Probe only the readiness of a container that is being stopped."""
        if state := self._states.get(container_id):
            state.stop_liveness_and_startup()

    def results(self, names: Mapping[str, str]) -> tuple[dict[str, bool], dict[str, bool]]:
        """Give ready and started by container name, for those that are probed; `names` maps runtime ids to container names."""
        known = {name: self._states[identity] for identity, name in names.items() if identity in self._states}
        return {name: state.ready for name, state in known.items()}, {name: state.started for name, state in known.items()}

    def failed(self, container_id: str) -> tuple[probes.Type, int | None] | None:
        """Give the probe for which a container has to be killed, with that probe's own grace period."""
        state = self._states.get(container_id)
        return (state.failed, state.grace_period(state.failed)) if state and state.failed else None

    async def _follow(self, target: ProbeTarget, state: probes.ContainerProbes) -> None:
        while (due := state.next_time) is not None:
            await asyncio.sleep(max(0.0, due - time.time()))
            began = time.time()
            taken = state.due(began)
            outcomes = await asyncio.gather(*(self._do(probe, target) for _kind, probe in taken))
            before = (state.started, state.ready, state.failed)
            for (kind, _probe), outcome in zip(taken, outcomes, strict=True):
                if note := state.observe(kind, outcome, began, time.time()):
                    self.tell(target.container_id, note)
            if (state.started, state.ready, state.failed) != before:
                self.changed(target.container_id)

    async def _do(self, probe: probes.Probe, target: ProbeTarget) -> probes.Outcome:
        if probe.fault:
            return probes.judge_fault(probe)
        host = probe.host or target.address
        match probe.kind:
            case "httpGet":
                answer = await http_get(target.node_netns, probes.render_url(probe, target.address), probe.headers, probe.timeout)
                return probes.judge_http(answer.status, answer.body, answer.error, errored=answer.errored)
            case "tcpSocket":
                return probes.judge_tcp(await tcp_connect(target.node_netns, host, probe.port, probe.timeout))
            case "grpc":
                found = await grpc_check(target.node_netns, host, probe.port, probe.service, probe.timeout)
                return probes.judge_grpc(found.status, found.error)
            case _:
                ran = await self.runtime.exec(target.container_id, probe.command, probe.timeout)
                return probes.judge_exec(probe, ran.code, ran.output, timed_out=ran.timed_out)
