"""Child processes in the event loop: started in sandboxes by threads, reaped on SIGCHLD, orphans of dead containers included."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from klab.kernel.process import kill_containers
from klab.kernel.sandbox import Program, Sandbox, spawn
from klab.kernel.syscalls import become_subreaper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EXIT_BY_SIGNAL = 128


class Reaper:
    """Hands each child's exit code to whoever waits for it.

    The process becomes a subreaper: what a container's main process leaves behind is reaped here too, and nobody asks for it.
    """

    def __init__(self) -> None:
        """Take over SIGCHLD of the running loop."""
        become_subreaper()
        self._waiting: dict[int, Callable[[int], None]] = {}
        self._early: dict[int, int] = {}  # exits that came before the thread that started the process could tell its pid
        self._starting = 0
        self._swept: set[str] = set()
        self._sweeping = asyncio.Lock()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    async def spawn(self, sandbox: Sandbox, program: Program, output: int, on_exit: Callable[[int], None]) -> int:
        """Start a program (klab.kernel.sandbox.spawn, with its errors) and give its pid; `on_exit` gets its code, 128 + n after signal n."""
        self._starting += 1
        try:
            pid = await asyncio.to_thread(spawn, sandbox, program, output)
            if pid in self._early:
                asyncio.get_running_loop().call_soon(on_exit, self._early.pop(pid))
            else:
                self._waiting[pid] = on_exit
        finally:
            self._starting -= 1
            if not self._starting:
                self._early.clear()
        return pid

    async def sweep(self, containers: Iterable[str]) -> None:
        """Kill whatever is left of these containers; KlabError if something does not end. Calls that come meanwhile share the next look at /proc."""
        self._swept.update(containers)
        async with self._sweeping:
            if batch := frozenset(self._swept):
                self._swept.clear()
                await asyncio.to_thread(kill_containers, batch)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                code = exit_code(status)
                on_exit = self._waiting.pop(pid, None)
                if on_exit:
                    on_exit(code)
                elif self._starting:
                    self._early[pid] = code


def exit_code(status: int) -> int:
    """Turn a wait status into a container's exit code."""
    code = os.waitstatus_to_exitcode(status)
    return EXIT_BY_SIGNAL - code if code < 0 else code


def signal_session(pid: int, number: signal.Signals) -> None:
    """Send a signal to the process group that a container's main process leads; none left is fine."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def watch_stranger(pid: int, on_exit: Callable[[], None]) -> bool:
    """Call back when a process ends that is no child of this one; False where it has ended already."""
    loop = asyncio.get_running_loop()
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False

    def ended() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        on_exit()

    loop.add_reader(handle, ended)
    return True
