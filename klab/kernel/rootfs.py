"""The files of one container: the host's as they are, every change kept apart, by overlayfs.

A container's directory, below the lab's run directory, holds `rootfs` (the mount), `upper` and `work` (overlayfs' own), `run` (the container's /run,
so that the host's sockets stay out), `lock`, and `ready` once all is mounted; `image`, where somebody made it before, holds the files of the image.
All is mounted once, when the first program of the container needs it.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from klab.errors import MissingError
from klab.kernel.syscalls import MS_BIND, MS_NOSUID, MS_RDONLY, MS_REMOUNT, mount, unmount

MOUNTINFO = Path("/proc/self/mountinfo")
DEVICES = (
    *(("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)),
    *(("tty", 5, 0), ("ptmx", 5, 2), ("net/tun", 10, 200)),
)
DEVICE_LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"))
_REMEMBERED = 5.0  # seconds
ETC_FILES = ("hosts", "resolv.conf", "hostname")
_OWN = ("/proc", "/sys", "/dev", "/run", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet")
_PSEUDO = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs"),
        *("mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs"),
    )
)


@dataclass(frozen=True, slots=True)
class HostMount:
    """A file system of the host, mounted below /."""

    target: str
    read_only: bool


def parse_host_mounts(mountinfo: str) -> tuple[HostMount, ...]:
    """Pick from /proc/self/mountinfo what a container shall see beside the root: file systems with files, not /proc, /run, other engines' and such.

    A mount hidden by a later one on the same or a higher directory is left out. Parents come before children.
    """
    found: dict[str, HostMount] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        target = fields[4].encode(errors="surrogateescape").decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")
        kind = after.split(" ")[0]
        if target == "/":
            found.clear()
            continue
        for hidden in [other for other in found if is_below(other, target)]:
            del found[hidden]
        if kind not in _PSEUDO and not any(is_below(target, own) for own in _OWN):
            found[target] = HostMount(target, "ro" in fields[5].split(","))
    return tuple(sorted(found.values(), key=lambda entry: entry.target))


def is_below(path: str, directory: str) -> bool:
    """Tell whether `path` is `directory` or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def ensure_rootfs(root_dir: str | Path) -> Path:
    """Mount the container's files if they are not yet, and give the directory; MissingError where the kernel has no overlayfs."""
    directory = Path(root_dir)
    rootfs, ready = directory / "rootfs", directory / "ready"
    if ready.exists() and rootfs.is_mount():
        return rootfs
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ready.exists() and rootfs.is_mount()):
            _unmount_all(rootfs)
            _mount_all(directory, rootfs)
            ready.touch()
    return rootfs


def remove_rootfs(root_dir: str | Path) -> None:
    """Unmount the container's files and remove its directory; an absent one is fine."""
    directory = Path(root_dir)
    if not directory.exists():
        return
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rootfs = directory / "rootfs"
        _unmount_all(rootfs)
        _unmount_all(directory / "tmpfs")
        with suppress(FileNotFoundError):
            rootfs.rmdir()  # never rmtree: were anything still mounted there, it would be the host's files
        shutil.rmtree(directory)


def remove_mounts_below(directory: str | Path) -> None:
    """Detach every mount below `directory` in this mount namespace, the last one first."""
    for target in reversed(observe_mounts_below(directory)):
        try:
            unmount(target)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:  # those say that a parent took it along
                raise


def observe_mounts_below(directory: str | Path) -> list[str]:
    """Name what is mounted below `directory` in this mount namespace, in the order it was mounted."""
    targets = [line.split(" ")[4] for line in MOUNTINFO.read_text(errors="surrogateescape").splitlines()]
    return [target for target in targets if is_below(target, str(directory))]


def _mount_all(directory: Path, rootfs: Path) -> None:
    rootfs.mkdir(exist_ok=True)
    _mount_root(directory, rootfs)
    for number, entry in enumerate(_host_mounts(int(time.monotonic() / _REMEMBERED))):
        _mount_host(directory, rootfs, number, entry)
    (directory / "run" / "lock").mkdir(parents=True, exist_ok=True)
    (rootfs / "run").mkdir(exist_ok=True)
    mount(directory / "run", rootfs / "run", flags=MS_BIND)
    _mount_dev(rootfs / "dev")
    for name in ETC_FILES:
        file = rootfs / "etc" / name
        if file.is_symlink():
            file.unlink()
        if not file.exists():
            file.touch()


@functools.lru_cache(maxsize=1)
def _host_mounts(_: int) -> tuple[HostMount, ...]:
    """Read the host's mounts, once for many containers that start within one period: with 1000 pods the table takes milliseconds to read."""
    return parse_host_mounts(MOUNTINFO.read_text(errors="surrogateescape"))


def _mount_root(directory: Path, rootfs: Path) -> None:
    """Lay the container's own layer over the host's /; on a tmpfs where the run directory cannot hold it (itself an overlay, in a container)."""
    try:
        try:
            _overlay("/", directory, "", rootfs)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            (directory / "tmpfs").mkdir(exist_ok=True)
            mount("tmpfs", directory / "tmpfs", "tmpfs", options="mode=755")
            if (directory / "image").exists():
                (directory / "tmpfs" / "image").symlink_to(directory / "image")
            _overlay("/", directory / "tmpfs", "", rootfs)
    except OSError as error:
        if error.errno in {errno.ENODEV, errno.EINVAL}:
            raise MissingError(
                f"programs in containers need overlayfs for files of their own, and this kernel cannot mount one at {rootfs} ({error.strerror}); "
                "load it (`sudo modprobe overlay`) or boot a kernel that has it"
            ) from error
        raise


def _mount_host(directory: Path, rootfs: Path, number: int, entry: HostMount) -> None:
    """Show one more file system of the host: changes kept apart too where that is possible, else read-only."""
    target = rootfs / entry.target.lstrip("/")
    try:
        is_directory = Path(entry.target).is_dir()
        Path(entry.target).stat()
    except PermissionError:
        return  # a FUSE mount of somebody else, closed even to root
    if entry.target.removeprefix("/etc/") in ETC_FILES:
        return
    writable = directory / "tmpfs" if (directory / "tmpfs").is_mount() else directory
    if is_directory and not entry.read_only:
        try:
            _overlay(entry.target, writable, f"-{number}", target)
        except OSError as error:
            if error.errno != errno.EINVAL:  # not every file system can be a lower layer (vfat)
                raise
        else:
            return
    mount(entry.target, target, flags=MS_BIND)
    mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def _mount_dev(dev: Path) -> None:
    """Give the container a /dev of its own with the devices that a container has (OCI runtime specification, "Default Devices"), and /dev/net/tun."""
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name, major, minor in DEVICES:
        node = dev / name
        node.parent.mkdir(exist_ok=True)
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        node.chmod(0o666)  # whatever the umask is
    for name, aim in DEVICE_LINKS:
        (dev / name).symlink_to(aim)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    (dev / "shm").chmod(0o1777)
    mount("/dev/pts", dev / "pts", flags=MS_BIND)  # the host's: the terminal that `klab exec -t` is called from stays one


def _overlay(lower: str, directory: Path, suffix: str, target: Path) -> None:
    upper, work = directory / f"upper{suffix}", directory / f"work{suffix}"
    if not upper.exists():
        _make_upper(upper, Path(lower))
    if work.exists():  # of a mount before; "volatile" (no fsync: nothing here outlives the machine) allows no second one with it
        shutil.rmtree(work)
    work.mkdir()
    escaped = lower.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
    mount("overlay", target, "overlay", options=f"lowerdir={escaped},upperdir={upper},workdir={work},volatile")


def _make_upper(upper: Path, lower: Path) -> None:
    """Make the layer of changes; the root's begins with the files of the image."""
    fresh = upper.with_name(f"{upper.name}.new")
    image = upper.with_name("image")
    if lower == Path("/") and image.exists():
        shutil.copytree(image, fresh, dirs_exist_ok=True)
    fresh.mkdir(exist_ok=True)
    fresh.chmod(lower.stat().st_mode & 0o7777)
    fresh.rename(upper)


def _unmount_all(target: Path) -> None:
    while target.is_mount():
        unmount(target)
