"""A lab's place on this machine: one directory below /run/klab that says all it owns, so that it can be taken away after any crash.

/run/klab/LAB/owner        a random id; every process of the lab carries it in its environment (klab.kernel.process)
              netns/NAME   network namespaces, mounted; /run/netns/LAB_NAME is a symbolic link there, for `ip netns`
              pods/UID/    files of a pod's sandbox and its containers
              cni/, ipam/  results and allocations of CNI plugins
              journal      the store      control.pid, api.sock, runtime.sock …
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from klab.errors import KlabError, MissingError
from klab.kernel import netns, process, rootfs
from klab.linux.names import qualified

ROOT = Path("/run/klab")
_IP_NETNS = Path("/run/netns")


class RunDir:
    """The run directory of one lab."""

    def __init__(self, lab: str) -> None:
        """Name it; nothing is made."""
        self.lab = lab
        self.path = ROOT / lab
        self.netns = self.path / "netns"
        self.pods = self.path / "pods"
        self.cni_results = self.path / "cni"
        self.cni_state = self.path / "ipam"
        self.journal = self.path / "journal"
        self.api_socket = self.path / "api.sock"
        self.control_pid = self.path / "control.pid"
        self.control_log = self.path / "control.log"
        self._owner = self.path / "owner"

    def exists(self) -> bool:
        """Say whether there is anything of the lab."""
        return self.path.exists()

    def ensure(self) -> None:
        """Make the directory, readable by root alone, with its owner id."""
        if os.geteuid() != 0:
            raise MissingError("building a network needs root: run it with sudo")
        for directory in (ROOT, self.path, self.netns, self.pods):
            directory.mkdir(mode=0o755 if directory is ROOT else 0o700, exist_ok=True)
        if not self._owner.exists():
            temporary = self._owner.with_suffix(".new")
            temporary.write_text(secrets.token_hex(16))
            temporary.rename(self._owner)

    @property
    def owner(self) -> str:
        """Give the id that the lab's processes carry; "" where the lab has none yet."""
        try:
            return self._owner.read_text()
        except FileNotFoundError:
            return ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab's lock: one `up` or `down` at a time. The last one out of the last lab leaves nothing in /run."""
        path = ROOT / f".{self.lab}.lock"
        lock = _lock(path)
        try:
            yield
        finally:
            if not self.path.exists():
                path.unlink()
                with contextlib.suppress(OSError):
                    ROOT.rmdir()
            os.close(lock)

    def hold_control(self) -> int:
        """Become the lab's control plane: hold control.pid, with our pid in it, until this process ends; KlabError where another one lives."""
        handle = os.open(self.control_pid, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise KlabError(f'lab "{self.lab}" has a control plane already, process {self.control_pid.read_text()}') from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        return handle

    def control_process(self) -> int:
        """Give the pid of the lab's living control plane, 0 where there is none."""
        try:
            handle = os.open(self.control_pid, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(handle, 20) or 0)
        else:
            return 0
        finally:
            os.close(handle)

    def netns_path(self, name: str) -> Path:
        """Give the file of a namespace by its short name."""
        return self.netns / name

    def namespaces(self) -> list[str]:
        """Name the namespaces that stand there."""
        try:
            return sorted(entry.name for entry in self.netns.iterdir())
        except FileNotFoundError:
            return []

    def ensure_links(self, names: Iterable[str]) -> None:
        """Let `ip netns` find the namespaces, as LAB_NAME; a stranger's entry of that name is left alone."""
        _IP_NETNS.mkdir(mode=0o755, exist_ok=True)
        for name in names:
            with contextlib.suppress(FileExistsError):
                (_IP_NETNS / qualified(self.lab, name)).symlink_to(self.netns_path(name))

    def remove_links(self, names: Iterable[str]) -> None:
        """Remove those of the links that are ours."""
        for name in names:
            link = _IP_NETNS / qualified(self.lab, name)
            if _is_link_to(link, self.netns_path(name)):
                link.unlink()

    def remove(self) -> bool:
        """Take everything of the lab away: processes, mounts, namespaces, files; False where there was nothing. Can be repeated after any failure."""
        if not self.path.exists():
            return False
        names = self.namespaces()
        inodes = {netns.inode(path) for path in map(self.netns_path, names) if netns.exists(path)}
        if self.owner:
            process.kill_owned(self.owner, inodes)
        self._remove_all_links()
        rootfs.remove_mounts_below(self.pods)
        netns.remove(map(self.netns_path, names))
        rootfs.remove_mounts_below(self.path)
        if left := rootfs.observe_mounts_below(self.path):
            raise KlabError(f"{left[0]} is still mounted; nothing below it was removed: `umount -l {left[0]}`, then `klab down {self.lab}`")
        shutil.rmtree(self.path)
        with contextlib.suppress(OSError):
            _IP_NETNS.rmdir()  # only if it is empty and nobody's mount
        return True

    def _remove_all_links(self) -> None:
        """Remove every link in /run/netns that leads into this lab, also one whose namespace is gone."""
        if not _IP_NETNS.is_dir():
            return
        for entry in _IP_NETNS.iterdir():
            if entry.is_symlink() and entry.readlink().parent == self.netns:
                entry.unlink()


def observe_labs() -> list[str]:
    """Name the labs of this machine."""
    try:
        return sorted(entry.name for entry in ROOT.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise KlabError(f"{ROOT} cannot be read: run it with sudo") from error


def _lock(path: Path) -> int:
    """Wait for the lock on a file that its former holder may take away; a lock on a file that is not there any more is none."""
    while True:
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(mode=0o755)
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the directory went between the two lines
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


def _is_link_to(link: Path, target: Path) -> bool:
    return link.is_symlink() and link.readlink() == target
