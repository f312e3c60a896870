"""The kubelets of all nodes: carries the lifecycle's decisions to the container runtime, and what the runtime tells back into pod status."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from klab.api import resources
from klab.api.pod import Container, Pod
from klab.cluster.probing import Prober, ProbeTarget
from klab.cluster.sandboxes import NODES, Sandboxes, node_addresses
from klab.controlplane.events import Recorder
from klab.controlplane.store import Store
from klab.errors import KlabError, NotFoundError
from klab.kernel import rootfs
from klab.kernel.rundir import RunDir
from klab.kubelet.lifecycle import Attempt, Decision, decide, may_restart
from klab.kubelet.probes import render_killing
from klab.kubelet.resolv import Note
from klab.kubelet.sources import ConfigError
from klab.kubelet.status import Facts, Situation, calc_back_offs, plan_status
from klab.kubelet.volumes import MountError
from klab.runtime.client import RuntimeClient
from klab.runtime.protocol import RUNNING, ContainerSpec, ContainerStatus

PODS = resources.of("v1", "Pod")
SERVICES = resources.of("v1", "Service")

_KEPT_ATTEMPTS = 2  # of each container: the present one, and the one before for lastState and `logs -p`


@dataclass(slots=True)
class PodRecord:
    """What is remembered of a pod between two syncs: its containers' attempts by runtime id, what was reported."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    reported: str = ""  # the pod's revision with the last report
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    stopping: asyncio.Task[None] | None = None
    grace: float = 0.0  # seconds that `stopping` leaves the containers
    alarm: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Kubelets:
    """All pods that have a node; `touch` asks for another sync of a pod, by its uid."""

    store: Store
    rundir: RunDir
    runtime: RuntimeClient
    recorder: Recorder
    sandboxes: Sandboxes
    touch: Callable[[str], None]
    records: dict[str, PodRecord] = field(default_factory=dict)
    prober: Prober = field(init=False)

    def __post_init__(self) -> None:
        """Probe through the same runtime."""
        self.prober = Prober(self.runtime, lambda container: self.touch(_uid(container)), self._tell_probe)

    async def adopt(self, uids: Iterable[str]) -> None:
        """Take over the containers that run already; those of pods that nobody knows any more are stopped and removed."""
        known = set(uids)
        strays = []
        for status in await self.runtime.list():
            if _uid(status.id) in known:
                self._note(status)
            else:
                strays.append(status.id)
        await self.runtime.stop(strays, 0)
        await self.runtime.remove(strays)

    def heard(self, status: ContainerStatus) -> None:
        """Take note of what the runtime tells by itself: a container ended."""
        if _uid(status.id) in self.records:
            self._note(status)
            self._end_log(status)
            self.touch(_uid(status.id))

    async def sync(self, pods: Sequence[tuple[Mapping[str, Any], Pod]]) -> list[Pod]:
        """Bring pods (with a node and, unless on its network, an address) one step on; give those that are deleted and have no container left."""
        now = time.time()
        specs: list[ContainerSpec] = []
        streaks: dict[str, int] = {}
        for _obj, pod in pods:
            record = self.records.setdefault(pod.uid, PodRecord())
            record.errors.clear()
            for container, number, streak in decide(pod, tuple(record.attempts.values()), now).start:
                spec = self._spec(pod, record, container, number)
                if spec is not None:
                    specs.append(spec)
                    streaks[spec.id] = streak
        started = await self.runtime.start(specs) if specs else []
        for status in started:
            self._note(status, streaks[status.id])
        self._tell_started(started, {pod.uid: obj for obj, pod in pods})
        gone = []
        with self.store.batch():
            for obj, pod in pods:
                if self._conclude(pod, obj, time.time()):
                    gone.append(pod)
        return gone

    async def forget(self, uids: Sequence[str]) -> None:
        """Drop all that is left of pods that are gone: containers, mounts, files."""
        containers = [name for uid in uids if uid in self.records for name in self.records[uid].attempts]
        running = [name for uid in uids if uid in self.records for name, attempt in self.records[uid].attempts.items() if attempt.running]
        for uid in uids:
            record = self.records.pop(uid, None)
            if record and record.alarm:
                record.alarm.cancel()
        for name in containers:
            self.prober.forget(name)
        if running:
            await self.runtime.stop(running, 0)
        if containers:
            await self.runtime.remove(containers)
        for uid in uids:
            directory = self.rundir.pods / uid
            for container in directory.glob("containers/*"):
                rootfs.remove_rootfs(container)
            shutil.rmtree(directory, ignore_errors=False) if directory.exists() else None

    def is_running(self, container_id: str) -> bool:
        """Say whether a container runs, by its runtime id."""
        record = self.records.get(_uid(container_id))
        return record is not None and container_id in record.attempts and record.attempts[container_id].running

    def wrote(self, obj: Mapping[str, Any]) -> bool:
        """Say whether a pod is as it is by our own report of its status, which needs no other look at it."""
        record = self.records.get(obj["metadata"]["uid"])
        return record is not None and record.reported == obj["metadata"]["resourceVersion"]

    # inside

    def _end_log(self, status: ContainerStatus) -> None:
        """Wake those who follow the log of a container that ended."""
        uid, container, number = status.id.rsplit("/", 2)
        with suppress(FileNotFoundError):
            os.utime(self.sandboxes.log_path(uid, container, int(number)))

    def _conclude(self, pod: Pod, obj: Mapping[str, Any], now: float) -> bool:
        """Stop what has to be stopped, write the status, set the alarm; say whether a deleted pod is through."""
        record = self.records[pod.uid]
        attempts = tuple(record.attempts.values())
        decision = decide(pod, attempts, now)
        if decision.start and not record.errors:
            self.touch(pod.uid)  # what was just started makes way for the next one
        grace = float(obj["metadata"].get("deletionGracePeriodSeconds", pod.termination_grace_period_seconds))
        if decision.stop and (record.stopping is None or grace < record.grace):  # whoever deletes a pod once more may have less patience
            record.stopping = asyncio.create_task(self._stop(pod, obj, decision, grace))
            record.grace = grace
        self._probe(pod, obj, record)
        if record.alarm:
            record.alarm.cancel()
            record.alarm = None
        if decision.wake_at is not None:
            record.alarm = asyncio.get_running_loop().call_later(max(0.0, decision.wake_at - now), self.touch, pod.uid)
        node = self.store.get(NODES, None, pod.node_name)
        ready, started = self.prober.results({identity: attempt.container for identity, attempt in record.attempts.items() if attempt.running})
        facts = Facts(
            host_ip=node_addresses(node)[0],
            pod_ips=pod.pod_ips or (node_addresses(node) if pod.host_network else ()),
            errors=record.errors,
            ready=ready,
            started=started,
        )
        before = obj.get("status") or {}
        status = plan_status(Situation(pod, attempts, decision, facts, now), before)
        for name in calc_back_offs(before, status):
            text = f"Back-off restarting failed container {name} in pod {pod.name}_{pod.namespace}({pod.uid})"
            self.recorder.record(obj, "Warning", "BackOff", text, "kubelet", pod.node_name)
        try:
            stored = self.store.update(PODS, {**obj, "metadata": _identity(obj), "status": status}, "status")
        except NotFoundError:
            return False  # removed with --force meanwhile
        record.reported = stored["metadata"]["resourceVersion"]
        return pod.terminating and not any(attempt.running for attempt in attempts)

    def _probe(self, pod: Pod, obj: Mapping[str, Any], record: PodRecord) -> None:
        """Have the running containers probed, and kill one whose startup or liveness probe failed for good."""
        told = {status["name"]: status for status in (obj.get("status") or {}).get("containerStatuses") or ()}
        node = str(self.rundir.netns_path(pod.node_name))
        address = pod.pod_ips[0] if pod.pod_ips else node_addresses(self.store.get(NODES, None, pod.node_name))[0]
        containers = {container.name: container for container in (*pod.containers, *pod.init_containers)}
        for identity, attempt in record.attempts.items():
            status = told.get(attempt.container) or {}
            if not attempt.running or attempt.container not in containers:
                continue
            same = str(status.get("containerID", "")).endswith(f"/{attempt.number}") and "running" in status.get("state", {})
            self.prober.ensure(
                containers[attempt.container],
                ProbeTarget(identity, node, address),
                attempt.started_at,
                started=same and bool(status.get("started")),
                ready=same and bool(status.get("ready")),
            )
            failure = self.prober.failed(identity)
            if failure and record.stopping is None and not pod.terminating:
                restart = may_restart(pod.restart_policy, attempt)
                self.recorder.record(
                    obj, "Normal", "Killing", render_killing(attempt.container, failure[0], restart=restart), "kubelet", pod.node_name
                )
                grace = pod.termination_grace_period_seconds if failure[1] is None else failure[1]
                record.stopping = asyncio.create_task(self._end(pod, [identity], grace))

    def _tell_probe(self, container_id: str, note: Note) -> None:
        """Record what a probe has to say of a pod that is still there."""
        for obj in self.store.list(PODS):
            if obj["metadata"]["uid"] == _uid(container_id):
                self.recorder.record(obj, "Warning", note.reason, note.message, "kubelet", obj["spec"]["nodeName"])

    async def _stop(self, pod: Pod, obj: Mapping[str, Any], decision: Decision, grace: float) -> None:
        record = self.records[pod.uid]
        ids = [name for name, attempt in record.attempts.items() if attempt.running and attempt.container in decision.stop]
        for name in decision.stop:
            self.recorder.record(obj, "Normal", "Killing", f"Stopping container {name}", "kubelet", pod.node_name)
        for identity in ids:
            self.prober.spare(identity)
        await self._end(pod, ids, grace)

    async def renew(self, pods: Iterable[tuple[Mapping[str, Any], Pod]]) -> None:
        """End the containers of pods whose network namespace was made anew, which live on in one that is gone; what restarts lives in the new one."""
        endings = []
        for obj, pod in pods:
            record = self.records.get(pod.uid)
            running = [identity for identity, attempt in record.attempts.items() if attempt.running] if record else []
            if record and running and record.stopping is None:
                record.attempts |= {identity: replace(record.attempts[identity], streak=0) for identity in running}  # no fault of theirs: no back-off
                text = "Pod sandbox changed, it will be killed and re-created."
                self.recorder.record(obj, "Normal", "SandboxChanged", text, "kubelet", pod.node_name)
                record.stopping = asyncio.create_task(self._end(pod, running, pod.termination_grace_period_seconds))
                endings.append(record.stopping)
        await asyncio.gather(*endings)

    async def _end(self, pod: Pod, ids: Sequence[str], grace: float) -> None:
        """End containers and take note of how they did."""
        try:
            for status in await self.runtime.stop(ids, grace):
                self._note(status)
        finally:
            if record := self.records.get(pod.uid):
                record.stopping = None
            self.touch(pod.uid)

    def _note(self, status: ContainerStatus, streak: int | None = None) -> None:
        uid, container, number = status.id.rsplit("/", 2)
        record = self.records.setdefault(uid, PodRecord())
        if status.state != RUNNING:
            self.prober.forget(status.id)
        before = record.attempts.get(status.id)
        if streak is None:
            streak = before.streak if before else int(number)
        if before and not before.running and status.state == RUNNING:  # its end was heard before the answer to its start
            record.attempts[status.id] = replace(before, streak=streak)
            return
        record.attempts[status.id] = Attempt(
            container=container,
            number=int(number),
            running=status.state == RUNNING,
            exit_code=status.exit_code or 0,
            started_at=status.started_at,
            finished_at=status.finished_at,
            reason=status.reason,
            message=status.message,
            streak=streak,
        )

    def _spec(self, pod: Pod, record: PodRecord, container: Container, number: int) -> ContainerSpec | None:
        """Say how a container is started; None, with the reason in the record, where something it needs cannot be had."""
        try:
            return self.sandboxes.specify(pod, container, number)
        except ConfigError as error:
            record.errors[container.name] = ("CreateContainerConfigError", str(error))
        except MountError as error:
            for message in error.messages:
                self.recorder.record(self.store.get(PODS, pod.namespace, pod.name), "Warning", "FailedMount", message, "kubelet", pod.node_name)
            record.errors[container.name] = ("ContainerCreating", "")
        except KlabError as error:
            record.errors[container.name] = ("CreateContainerError", str(error))
        return None

    def _tell_started(self, started: Sequence[ContainerStatus], objects: Mapping[str, Mapping[str, Any]]) -> None:
        with self.store.batch():
            for status in started:
                uid, container, _number = status.id.rsplit("/", 2)
                obj, node = objects[uid], objects[uid]["spec"]["nodeName"]
                if status.state == RUNNING or not status.message:
                    self.recorder.record(obj, "Normal", "Started", f"Started container {container}", "kubelet", node)
                else:
                    self.recorder.record(obj, "Warning", "Failed", f"Error: container {container}: {status.message}", "kubelet", node)
                if status.unknown_image:
                    text = (
                        f'klab knows no behaviour of the image of container "{container}": it answers on its declared ports with the pod\'s identity'
                    )
                    self.recorder.record(obj, "Normal", "UnknownImage", text, "kubelet", node)


def _uid(container_id: str) -> str:
    return container_id.split("/", 1)[0]


def _identity(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Give the metadata that a status update is addressed with: no resourceVersion, as the status is the kubelet's alone."""
    return {key: obj["metadata"][key] for key in ("name", "namespace", "uid")}
