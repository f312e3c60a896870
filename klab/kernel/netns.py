"""Network namespaces as files: made, entered for a moment, and removed, many at a time.

setns and unshare change one thread; every thread that does so here ends afterwards and is never handed other work.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from klab.kernel.netlink import RTM_NEWLINK, Message, RouteSocket
from klab.kernel.rtnl import link_flags

CLONE_NEWNET = 0x40000000
_MS_BIND, _MNT_DETACH = 4096, 2
# No link-local addresses: no duplicate detection and no router solicitation among the packets that a person wants to read.
_ADDRESS_GENERATION = Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode")
_LOOPBACK_UP = Message(RTM_NEWLINK, 0, link_flags(index=1, up=True))

_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, which may change its namespaces, and give back what it gives or raises."""
    answer: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            answer.append(work())
        except BaseException as error:  # noqa: BLE001 (carried to the caller's thread and raised there)
            failure.append(error)

    thread = threading.Thread(target=body, name="klab-netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


def enter(path: str | Path) -> None:
    """Move the calling thread into the network namespace at `path`; FileNotFoundError where there is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), f"setns {path}")
    finally:
        os.close(descriptor)


def in_new(work: Callable[[], T]) -> T:
    """Do `work` in a new network namespace that goes with it."""

    def body() -> T:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        return work()

    return in_thread(body)


def each(paths: Iterable[Path], work: Callable[[Path], T]) -> list[T]:
    """Visit the namespaces one after another in one thread and do `work` in each."""

    def body() -> list[T]:
        answers = []
        for path in paths:
            enter(path)
            answers.append(work(path))
        return answers

    return in_thread(body)


def side_by_side(paths: Iterable[Path], work: Callable[[Path], None]) -> None:
    """Do `work`, which waits for programs more than it computes, in several namespaces at a time; of several failures the first is raised."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (10 ms that most commands do without)

    def visit(path: Path) -> None:
        enter(path)
        work(path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # its threads end with it
        list(pool.map(visit, paths))


def create(paths: Sequence[Path]) -> None:
    """Make a namespace at each path, with its loopback up; FileExistsError where a file is there already. What was made before a failure stays."""
    for opened in create_open(paths):
        opened.close()


def create_open(paths: Sequence[Path]) -> list[RouteSocket]:
    """Make namespaces in the same way, and give an open socket in each."""
    opened: list[RouteSocket] = []
    has_ipv6 = _ADDRESS_GENERATION.exists()

    def body() -> None:
        for path in paths:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o444))
            _check(_libc.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", _MS_BIND, None), f"bind {path}")
            if has_ipv6:
                _ADDRESS_GENERATION.write_text("1")
            opened.append(RouteSocket())
            opened[-1].send([_LOOPBACK_UP])

    try:
        in_thread(body)
    except BaseException:
        for socket in opened:
            socket.close()
        raise
    return opened


def exists(path: Path) -> bool:
    """Say whether a live namespace, not just a file left by one, is at `path`."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def inode(path: Path) -> int:
    """Give the number by which /proc/PID/ns/net shows the namespace."""
    return path.stat().st_ino


def remove(paths: Iterable[Path]) -> None:
    """Unmount and unlink each; absent ones are fine. The kernel takes a namespace's devices down some time after its last user left."""
    for path in paths:
        _libc.umount2(os.fsencode(path), _MNT_DETACH)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
