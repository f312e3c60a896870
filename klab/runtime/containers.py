"""One container: a built-in image, whose sockets the runtime holds, or a program."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kernel.process import process_environment, start_time
from klab.kernel.sandbox import Program
from klab.kubelet.images.behaviour import Address, Behaviour
from klab.runtime.effects import ContainerEffects, append_log
from klab.runtime.nameservers import NameServers
from klab.runtime.processes import Reaper, signal_session, watch_stranger
from klab.runtime.protocol import CREATED, EXITED, RUNNING, ContainerSpec, ContainerStatus
from klab.runtime.serving import Service
from klab.runtime.sockets import BindError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

START_FAILED = 128  # containerd's exit code of a container that could not be started
UNKNOWN = 255  # and of one whose end nobody saw
KILLED = 128 + signal.SIGKILL
_NOBODY_SAW = "the container runtime was started anew while the program ran, so nobody saw how it ended"


class Container:
    """A container between its start and its removal; `on_end` is told once, when it has ended."""

    def __init__(self, spec: ContainerSpec, reaper: Reaper, owner: str, on_end: Callable[[ContainerStatus], None]) -> None:
        """Know the container; nothing runs yet."""
        self.spec = spec
        self.status = ContainerStatus(spec.id, CREATED)
        self.settled = asyncio.Event()  # started, or ended at once
        self.ended = asyncio.Event()
        self._reaper = reaper
        self._owner = owner
        self._on_end = on_end

    def run(self, pid: int | None = None, started_at: float | None = None) -> None:
        """Note that it runs."""
        self.status = replace(self.status, state=RUNNING, pid=pid, started_at=time.time() if started_at is None else started_at)
        self.settled.set()

    def end(self, code: int, reason: str = "", message: str = "") -> None:
        """Note that it ended; only the first time counts."""
        if self.status.state == EXITED:
            return
        reason = reason or ("Error" if code else "Completed")
        self.status = replace(self.status, state=EXITED, pid=None, exit_code=code, finished_at=time.time(), reason=reason, message=message)
        self.settled.set()
        self.ended.set()
        self._on_end(self.status)

    def restore(self, status: ContainerStatus) -> None:
        """Take over the end that a former runtime saw."""
        self.status = status
        self.settled.set()
        self.ended.set()

    async def stop(self, grace_seconds: float) -> None:
        """End it, politely at first; it has ended when this returns."""
        raise NotImplementedError


class BuiltinContainer(Container):
    """An image that klab knows, or at least serves."""

    def __init__(self, spec: ContainerSpec, reaper: Reaper, owner: str, on_end: Callable[[ContainerStatus], None], name_servers: NameServers) -> None:
        """Know the container; its behaviour is set before it serves."""
        super().__init__(spec, reaper, owner, on_end)
        self._name_servers = name_servers
        self.behaviour = Behaviour()
        self._effects = ContainerEffects(spec, reaper, owner, self._exit)
        self._service: Service | None = None
        self._background: asyncio.Task[None] | None = None

    async def serve(self, sockets: Sequence[socket.socket | None] | BindError) -> None:
        """Begin to serve on these sockets, in the order of the behaviour's listeners."""
        if isinstance(sockets, BindError):
            self.fail(str(sockets))
            return
        self.status = replace(self.status, unknown_image=self.behaviour.unknown)
        for line in self.behaviour.log:
            self._effects.log(line)
        self.run()
        served = list(zip(self.behaviour.listeners, sockets, strict=True))
        self._service = Service([(listener, opened) for listener, opened in served if opened and not listener.dns], self._effects)
        if named := [opened for listener, opened in served if opened and listener.dns]:
            await self._name_servers.open(self.spec.id, self.spec.sandbox.netns, named)
        if self.behaviour.exit_code is not None:
            self._exit(self.behaviour.exit_code)
        elif self.behaviour.background:
            nobody = Address("", 0)
            steps = self.behaviour.background(self._effects.context(nobody, nobody))
            self._background = asyncio.get_running_loop().create_task(self._service.accompany(steps))

    def fail(self, message: str) -> None:
        """End as a program that could not begin its work: the message in the log, exit code 1."""
        append_log(self.spec.log_path, message)
        self.run()
        self.end(1, "Error", message)

    async def stop(self, grace_seconds: float) -> None:
        """Close the listeners, let open connections finish within the grace."""
        await self.settled.wait()
        deadline = time.monotonic() + grace_seconds
        if self._service and self.status.state == RUNNING:
            self._effects.stopping = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), min(self.behaviour.stop_delay, grace_seconds))
            if self.behaviour.stop_delay > grace_seconds:
                self._exit(KILLED)
            await self._name_servers.close(self.spec.id)
            await self._service.close(max(0.0, deadline - time.monotonic()))
        await self._reaper.sweep([self.spec.id])
        self._exit(self.behaviour.stop_code)

    def _exit(self, code: int) -> None:
        if self._background and self._background is not asyncio.current_task():
            self._background.cancel()
        if self._service:
            self._service.abort()
        self.end(code)


class ProcessContainer(Container):
    """A program of the host in the pod's namespaces."""

    _pid = 0
    _finishing: asyncio.Task[None] | None = None

    async def start(self, note: Callable[[int, float, float], None]) -> None:
        """Run the program; `note` gets its pid, start time since boot and start time by the clock before anybody else hears of it."""
        spec = self.spec
        try:
            log = await asyncio.to_thread(_open_log, spec.log_path)
        except OSError as error:
            self.end(START_FAILED, "StartError", f"cannot write the log {spec.log_path}: {error.strerror}")
            return
        try:
            stdin = await asyncio.to_thread(_make_stdin, spec) if spec.stdin else os.devnull
            env = process_environment(spec.env, spec.sandbox.hostname, self._owner, spec.id)
            program = Program(spec.argv or (), env, spec.working_dir, stdin)
            began = time.time()
            self._pid = await self._reaper.spawn(spec.sandbox, program, log, self._exited)
        except KlabError as error:
            self.end(START_FAILED, "StartError", str(error))
            return
        finally:
            os.close(log)
        with suppress(ProcessLookupError):  # it has ended already
            note(self._pid, start_time(self._pid), began)
        self.run(self._pid, began)

    async def adopt(self, pid: int, started_at: float) -> None:
        """Take over a process that a former runtime started, 0 if it is gone; its exit code is nobody's to see."""
        self._pid = pid
        self.run(pid or None, started_at)
        if not (pid and watch_stranger(pid, self._lost)):
            await self._finish(UNKNOWN, "Unknown", _NOBODY_SAW)

    async def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM to the program's process group, SIGKILL after the grace, and end what is left of the container."""
        await self.settled.wait()
        if self.status.state == RUNNING and grace_seconds > 0:
            signal_session(self._pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), grace_seconds)
        if self.status.state == RUNNING:
            signal_session(self._pid, signal.SIGKILL)
            await self.ended.wait()

    def _exited(self, code: int) -> None:
        self._finish_later(code, "", "")

    def _lost(self) -> None:
        self._finish_later(UNKNOWN, "Unknown", _NOBODY_SAW)

    def _finish_later(self, code: int, reason: str, message: str) -> None:
        self._finishing = asyncio.get_running_loop().create_task(self._finish(code, reason, message))

    async def _finish(self, code: int, reason: str, message: str) -> None:
        """End the container with its main process: what that left running goes too."""
        try:
            await self._reaper.sweep([self.spec.id])
        except KlabError as error:
            message = message or str(error)
        await self.settled.wait()
        self.end(code, reason, message)


def _open_log(path: str) -> int:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _make_stdin(spec: ContainerSpec) -> str:
    """Make a FIFO that nobody writes to: a shell that reads it waits, as one does whose container has `stdin: true` and nobody attached."""
    path = Path(spec.sandbox.root_dir, "stdin")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.mkfifo(path, 0o600)
    return str(path)
