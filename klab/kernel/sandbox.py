"""A pod's sandbox, seen from the programs that run in it: the namespaces and files a process starts with, and the ways into them.

The network namespace is a file that others made. The mount and UTS namespaces are made anew for each process; the files of a container
(klab.kernel.rootfs) are the same for all of its processes.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from klab.errors import KlabError, NotFoundError
from klab.kernel import netns
from klab.kernel.rootfs import ETC_FILES, ensure_rootfs
from klab.kernel.syscalls import CLONE_NEWNS, CLONE_NEWUTS, MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, change_root, mount, unshare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_LINKS = 40  # as the kernel's own limit on symbolic links in one path


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory `source` that stands at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a container's processes live.

    `netns` is the path of the network namespace; `root_dir` the container's own directory below the lab's run directory, made when it is needed: what
    the container writes lands there; `etc_dir` the directory whose files hosts, resolv.conf and hostname stand in /etc (one that is missing there
    leaves the host's).
    """

    netns: str
    hostname: str
    root_dir: str
    etc_dir: str = ""
    mounts: tuple[Mount, ...] = ()


def run_in(netns_path: str | Path, work: Callable[[], T]) -> T:
    """Do `work` in the network namespace at that path, in a thread that ends with it; what it gives or raises comes back.

    Sockets made and programs started by `work` belong to the namespace. FileNotFoundError where there is none.
    """

    def body() -> T:
        netns.enter(netns_path)
        return work()

    return netns.in_thread(body)


def enter(sandbox: Sandbox, working_dir: str = "") -> None:
    """Move the calling thread into the sandbox for good: network, hostname, files, working directory (made where it is missing).

    For a process that has one thread and is about to exec, or a thread that will end. NotFoundError where a mount's source or the network is missing.
    """
    rootfs = ensure_rootfs(sandbox.root_dir)
    unshare(CLONE_NEWNS | CLONE_NEWUTS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    try:
        netns.enter(sandbox.netns)
    except FileNotFoundError as error:
        raise NotFoundError(f"the network namespace {sandbox.netns} is not there; `klab apply` builds it anew") from error
    socket.sethostname(sandbox.hostname)
    mount("proc", rootfs / "proc", "proc")
    mount("sysfs", rootfs / "sys", "sysfs")  # shows the links of the network namespace that the thread is in now
    mount("none", rootfs / "sys", flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    for name in ETC_FILES if sandbox.etc_dir else ():
        file = Path(sandbox.etc_dir, name)
        if file.exists():
            mount(file, rootfs / "etc" / name, flags=MS_BIND)
    for entry in sorted(sandbox.mounts, key=lambda entry: entry.target.rstrip("/").count("/")):
        _mount_volume(rootfs, entry)
    change_root(rootfs)
    if working_dir:
        Path(working_dir).mkdir(parents=True, exist_ok=True)
        os.chdir(working_dir)


def _mount_volume(rootfs: Path, entry: Mount) -> None:
    source, target = Path(entry.source), resolve_below(rootfs, entry.target)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    else:
        raise NotFoundError(f'error mounting "{source}" to "{entry.target}": no such file or directory; the volume\'s source has to be made first')
    mount(source, target, flags=MS_BIND | MS_REC)
    if entry.read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def resolve_below(root: Path, path: str) -> Path:
    """Find `path` as a process whose root is `root` would, symbolic links included; its last parts may be missing."""
    found: list[str] = []
    rest = path.split("/")[::-1]
    links = 0
    while rest:
        part = rest.pop()
        if part == "..":
            found = found[:-1]
        elif part not in {"", "."}:
            here = root.joinpath(*found, part)
            if here.is_symlink():
                links += 1
                if links > _MAX_LINKS:
                    raise KlabError(f'the mount path "{path}" runs through too many symbolic links; mount the volume elsewhere')
                aim = str(here.readlink())
                found = [] if aim.startswith("/") else found
                rest += aim.split("/")[::-1]
            else:
                found.append(part)
    return root.joinpath(*found)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: the command line, the whole environment, the working directory ("" is /) and what it reads.

    `stdin` is a path on the host's side; a FIFO is opened for writing too, so that it never ends.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    working_dir: str = ""
    stdin: str = os.devnull


def spawn(sandbox: Sandbox, program: Program, output: int) -> int:
    """Start a program in the sandbox, leader of a session of its own, and give its pid; it is a child of this process.

    Both of its output streams go to the descriptor `output`. NotFoundError or KlabError say in containerd's words why it could not start.
    """

    def body() -> int:
        source = os.open(program.stdin, os.O_CLOEXEC | (os.O_RDWR if Path(program.stdin).is_fifo() else os.O_RDONLY))
        try:
            _enter_or_tell(sandbox, program.working_dir)
            return os.posix_spawn(
                find_program(program.argv[0], program.env.get("PATH", PATH)),
                list(program.argv),
                program.env,
                file_actions=[(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
                setsid=True,
                setsigmask=[],
                setsigdef=[number for number in signal.valid_signals() if number not in {signal.SIGKILL, signal.SIGSTOP}],
            )
        except OSError as error:
            raise KlabError(f'exec: "{program.argv[0]}": {_reason(error)}') from error
        finally:
            os.close(source)

    return netns.in_thread(body)


def _enter_or_tell(sandbox: Sandbox, working_dir: str) -> None:
    try:
        enter(sandbox, working_dir)
    except OSError as error:
        raise KlabError(f"cannot set up the container's files in {sandbox.root_dir}: {error.filename or 'unshare'}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def find_program(name: str, path: str) -> str:
    """Look a program up as execvp does; NotFoundError or KlabError in containerd's words."""
    if "/" not in name:
        found = shutil.which(name, path=path)
        if found is None:
            raise NotFoundError(f'exec: "{name}": executable file not found in $PATH')
        return found
    try:
        mode = Path(name).stat().st_mode
    except OSError as error:
        raise NotFoundError(f'exec: "{name}": stat {name}: {_reason(error)}') from error
    if not mode & 0o111 or stat.S_ISDIR(mode):
        raise KlabError(f'exec: "{name}": {os.strerror(errno.EACCES).lower()}')
    return name
