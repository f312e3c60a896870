"""What the behaviours of built-in images ask for, carried out in their container: files, programs, questions to other servers."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klab.errors import KlabError
from klab.kernel.process import process_environment
from klab.kernel.rootfs import ensure_rootfs, is_below
from klab.kernel.sandbox import Program, Sandbox, resolve_below, run_in
from klab.kubelet.images.behaviour import Address, Answer, Ask, Context, Directory, Effect, Exit, File, Log, Ran, Read, Run, Wait, Write
from klab.runtime.processes import signal_session
from klab.runtime.protocol import ContainerSpec, ExecResult
from klab.runtime.serving import CHUNK, ContainerEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from klab.runtime.processes import Reaper

OUTPUT_LIMIT = 1 << 20  # bytes kept of what a program run in a container prints
TIMED_OUT = 124  # as timeout(1)
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as a shell
_SCTP = 132
_GETENT_NOT_FOUND = 2


class ContainerEffects:
    """The effects of one built-in container; satisfies klab.runtime.serving.Effects."""

    def __init__(self, spec: ContainerSpec, reaper: Reaper, owner: str, on_exit: Callable[[int], None]) -> None:
        """Work for a container that starts now; `on_exit` ends it."""
        self._spec = spec
        self._reaper = reaper
        self._owner = owner
        self._on_exit = on_exit
        self.started = time.time()
        self.stopping = False

    def log(self, line: str) -> None:
        """Append a line to the container's log."""
        append_log(self._spec.log_path, line)

    def context(self, client: Address, server: Address) -> Context:
        """Tell a behaviour who is asked and by whom."""
        spec = self._spec
        return Context(spec.identity, spec.image, spec.sandbox.hostname, client, server, time.time(), self.started, self.stopping)

    async def perform(self, effect: Effect) -> Any:
        """Do it and give the result; ContainerEndedError after an Exit."""
        match effect:
            case Log(line):
                self.log(line)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Exit(code):
                self._on_exit(code)
                raise ContainerEndedError
            case Run(argv):
                result = await run_program(self._spec, argv, None, self._reaper, self._owner)
                return Ran(result.code, result.output.encode(errors="surrogateescape"))
            case Read(path):
                return await asyncio.to_thread(read_file, self._spec.sandbox, path)
            case Write(path, content, mode):
                await asyncio.to_thread(write_file, self._spec.sandbox, path, content, mode)
            case Ask():
                return await self._ask(effect)
        return None

    async def _ask(self, ask: Ask) -> Answer:
        try:
            address = await self._resolve(ask.host)
        except KlabError as error:
            return Answer(error=str(error))
        where = f"dial {ask.protocol} {Address(address, ask.port)}"
        try:
            return Answer(await asyncio.wait_for(_exchange(self._spec.sandbox.netns, address, ask), ask.seconds))
        except TimeoutError:
            return Answer(error=f"{where}: i/o timeout")
        except OSError as error:
            return Answer(error=f"{where}: connect: {os.strerror(error.errno or errno.EIO).lower()}")

    async def _resolve(self, host: str) -> str:
        """Give an address; names are looked up by a program in the container, so with its resolv.conf and through its network."""
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            result = await run_program(self._spec, ("getent", "ahosts", host), 10.0, self._reaper, self._owner)
        if result.code:
            raise KlabError(f"lookup {host}: {'no such host' if result.code == _GETENT_NOT_FOUND else result.output.strip() or 'i/o timeout'}")
        return result.output.split()[0]


async def run_program(spec: ContainerSpec, argv: Sequence[str], seconds: float | None, reaper: Reaper, owner: str) -> ExecResult:
    """Run a program beside the container's own; one that is not there gives 127 and containerd's words, one out of time 124."""
    sandbox = spec.sandbox
    program = Program(argv, process_environment(spec.env, sandbox.hostname, owner, spec.id), spec.working_dir)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    output = os.memfd_create("exec", os.MFD_CLOEXEC)
    try:
        try:
            pid = await reaper.spawn(sandbox, program, output, ended.set_result)
        except KlabError as error:
            return ExecResult(NOT_EXECUTABLE if "permission denied" in str(error) else NOT_FOUND, str(error))
        try:
            code = await asyncio.wait_for(asyncio.shield(ended), seconds)
        except TimeoutError:
            signal_session(pid, signal.SIGKILL)
            await ended
            return ExecResult(TIMED_OUT, _captured(output), timed_out=True)
        except asyncio.CancelledError:
            signal_session(pid, signal.SIGKILL)
            raise
        return ExecResult(code, _captured(output))
    finally:
        os.close(output)


def append_log(path: str, text: str) -> None:
    """Add a line to a container's log; its directory is made where it is missing."""
    line = text.encode(errors="surrogateescape") + b"\n"
    try:
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.write(log, line)
    finally:
        os.close(log)


def read_file(sandbox: Sandbox, path: str) -> File | Directory | None:
    """Read a file as a program in the container would see it; the container's own files are only mounted if they may hold it."""
    found = _locate(sandbox, path)
    try:
        if found.is_dir():
            return Directory(tuple(sorted(entry.name + "/" * entry.is_dir() for entry in found.iterdir())))
        if found.is_file():
            return File(found.read_bytes(), found.stat().st_mtime)
    except OSError:  # no permission, or gone meanwhile
        return None
    return None


def write_file(sandbox: Sandbox, path: str, content: bytes, mode: int) -> None:
    """Write a file as a program in the container would."""
    found = _locate(sandbox, path, mounted=True)
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(content)
    found.chmod(mode)


def _locate(sandbox: Sandbox, path: str, *, mounted: bool = False) -> Path:
    """Find the host's path of a container's file: in a volume, in the image, or in the container's files (which are then mounted)."""
    volumes = [entry for entry in sandbox.mounts if is_below(path, entry.target.rstrip("/") or "/")]
    if volumes:
        volume = max(volumes, key=lambda entry: len(entry.target))
        inside = path[len(volume.target.rstrip("/")) :].strip("/")
        return resolve_below(Path(volume.source), inside) if inside else Path(volume.source)
    root = Path(sandbox.root_dir)
    if not mounted and not (root / "ready").exists() and (found := resolve_below(root / "image", path)).exists():
        return found
    return resolve_below(ensure_rootfs(root), path)


async def _exchange(netns: str, address: str, ask: Ask) -> bytes:
    """Send the question from the container's network and read the answer; OSError as the socket gives it."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if ask.protocol == "udp" else socket.SOCK_STREAM
    made = await asyncio.to_thread(run_in, netns, lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK, _SCTP if ask.protocol == "sctp" else 0))
    with made:
        await loop.sock_connect(made, (address, ask.port))
        await loop.sock_sendall(made, ask.data)
        if ask.protocol != "tcp":
            return await loop.sock_recv(made, CHUNK)
        parts = []
        while part := await loop.sock_recv(made, CHUNK):
            parts.append(part)
        return b"".join(parts)


def _captured(output: int) -> str:
    return os.pread(output, OUTPUT_LIMIT, 0).decode(errors="surrogateescape")
