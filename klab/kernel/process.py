"""The processes of a lab: known by a mark in their environment or by the namespaces they live in, never by their names.

A process handle (pidfd) is taken before a process is looked at and used afterwards, so that a number given to another process meanwhile does no harm.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kernel.sandbox import PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

OWNER = "KLAB_OWNER"
CONTAINER = "KLAB_CONTAINER"
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def process_environment(env: Mapping[str, str], hostname: str, owner: str, container_id: str) -> dict[str, str]:
    """Give the whole environment of a container's process: what every image has, `env` over it, and the marks of the lab and the container."""
    return {"PATH": PATH, "HOME": "/root", "HOSTNAME": hostname, **env, OWNER: owner, CONTAINER: container_id}


def observe_containers() -> dict[str, list[int]]:
    """Give the pids of all processes that carry the mark of a container, by container."""
    found: dict[str, list[int]] = {}
    for pid in _pids():
        container = _variable(pid, CONTAINER)
        if container is not None:
            found.setdefault(container, []).append(pid)
    return found


def observe_owned(owner: str, netns_inodes: Collection[int] = ()) -> list[int]:
    """Give the pids of a lab's processes: those with its mark, and those in one of its network namespaces; never the calling process."""
    return [pid for pid in _pids() if pid != os.getpid() and _is_owned(pid, owner, netns_inodes)]


def kill_owned(owner: str, netns_inodes: Collection[int] = (), *, seconds: float = 10.0) -> int:
    """Kill the lab's processes until none is left, and say how many there were; KlabError if some outlive `seconds`."""
    return _kill(lambda pid: pid != os.getpid() and _is_owned(pid, owner, netns_inodes), seconds)


def kill_containers(containers: Collection[str], *, seconds: float = 10.0) -> int:
    """Kill all processes that carry the mark of one of these containers, and say how many there were; KlabError if some outlive `seconds`."""
    return _kill(lambda pid: _variable(pid, CONTAINER) in containers, seconds)


def start_time(pid: int) -> float:
    """Give the moment the process started, in seconds since the machine's start: with the pid it tells a process from a later one of its number.

    ProcessLookupError where there is none (a zombie is none).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError as error:
        raise ProcessLookupError(f"process {pid} is gone") from error
    if fields[0] in {b"Z", b"X"}:
        raise ProcessLookupError(f"process {pid} has ended")
    return int(fields[19]) / _CLOCK_TICKS


def wait_exit(pid: int, seconds: float) -> bool:
    """Wait until a process, of whomever, has ended; False if it has not after `seconds`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _wait(handle, time.monotonic() + seconds)
    finally:
        os.close(handle)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal())


def _variable(pid: int, name: str) -> str | None:
    """Give a variable of the environment that a process was started with; None where it has none or has ended."""
    mark = f"{name}=".encode()
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((entry[len(mark) :].decode(errors="surrogateescape") for entry in entries if entry.startswith(mark)), None)


def _is_owned(pid: int, owner: str, netns_inodes: Collection[int]) -> bool:
    if _variable(pid, OWNER) == owner:
        return True
    try:
        return bool(netns_inodes) and Path(f"/proc/{pid}/ns/net").stat().st_ino in netns_inodes
    except OSError:  # it ended meanwhile
        return False


def _kill(chosen: Callable[[int], bool], seconds: float) -> int:
    deadline = time.monotonic() + seconds
    killed = 0
    while True:
        handles = [(pid, handle) for pid in _pids() if (handle := _open_chosen(pid, chosen)) is not None]
        if not handles:
            return killed
        left = []
        for _, handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        for pid, handle in handles:
            if not _wait(handle, deadline):
                left.append(pid)
            os.close(handle)
        if left:
            raise KlabError(f"processes {left} do not end after SIGKILL; look at what holds them: `cat /proc/{left[0]}/stack`")
        killed += len(handles)


def _open_chosen(pid: int, chosen: Callable[[int], bool]) -> int | None:
    """Take a handle of a process that is to be killed; None for any other."""
    if not chosen(pid):
        return None
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if chosen(pid):
        return handle
    os.close(handle)
    return None


def _wait(handle: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
