"""Waits, in asyncio, until a file grows or goes (inotify(7))."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator
from pathlib import Path

_IN_MODIFY, _IN_ATTRIB, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x4, 0x80, 0x100, 0x200
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.asynccontextmanager
async def watching(directory: Path) -> AsyncIterator[asyncio.Event]:
    """Give an event that is set whenever something in the directory is written, touched, made or removed; clear it before looking."""
    descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    mask = _IN_MODIFY | _IN_ATTRIB | _IN_CREATE | _IN_MOVED_TO | _IN_DELETE
    if descriptor < 0 or _libc.inotify_add_watch(descriptor, os.fsencode(directory), mask) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(directory))
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(descriptor, 1 << 16):
                pass
        changed.set()

    loop.add_reader(descriptor, drain)
    try:
        yield changed
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
