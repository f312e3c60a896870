"""System calls that Python 3.11 lacks, with errors as OSError."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str | os.PathLike[str], target: str | os.PathLike[str], kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or change a mount, by `flags`."""
    data = os.fsencode(options) if options else None
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, data), os.fsdecode(target))


def unmount(target: str | os.PathLike[str]) -> None:
    """Detach what is mounted on top at `target` with all that is mounted below it; OSError EINVAL where nothing is."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), os.fsdecode(target))


def change_root(new: str | os.PathLike[str]) -> None:
    """Make the mount at `new` the root of the calling thread's mount namespace, drop the former root with its mounts, and go to /."""
    os.chdir(new)
    _check(_libc.pivot_root(b".", b"."), os.fsdecode(new))
    unmount(".")
    os.chdir("/")


def become_subreaper() -> None:
    """Have orphaned descendants handed to this process instead of init."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl PR_SET_CHILD_SUBREAPER")
