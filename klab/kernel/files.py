"""Makes the files that containers are given: directories, volumes that change all at once, checked paths of the machine."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from klab.errors import KlabError
from klab.linux.files import Directory, File, HostPath, Volume

DATA = "..data"
_NEW_DATA = "..data_tmp"

_TYPES = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (lambda mode: not stat.S_ISDIR(mode), "file"),
    "FileOrCreate": (lambda mode: not stat.S_ISDIR(mode), "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def ensure_volume(volume: Volume) -> bool:
    """Make a volume as its value says, and tell whether anything changed; KlabError, in the kubelet's words, where a path is of the wrong type."""
    match volume:
        case Directory(path, mode):
            return ensure_directory(path, mode)
        case HostPath(path, kind):
            return ensure_host_path(path, kind)
        case _:
            return write_volume(volume.path, volume.files)


def ensure_directory(path: str | Path, mode: int = 0o755) -> bool:
    """Make a directory with exactly `mode` where nothing stands yet; tell whether it was made."""
    directory = Path(path)
    if directory.exists():
        return False
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(mode)
    return True


def ensure_host_path(path: str | Path, kind: str) -> bool:
    """Check that a path of the machine is of `kind` (see HostPath), make it where that allows; KlabError in the kubelet's words."""
    found = Path(path)
    exists = found.exists()
    if not exists and kind in {"", "DirectoryOrCreate"}:
        return ensure_directory(found)
    if not exists and kind == "FileOrCreate":
        found.touch(0o644)
        return True
    if kind:
        is_kind, description = _TYPES[kind]
        if not exists or not is_kind(found.stat().st_mode):
            raise KlabError(f"hostPath type check failed: {path} is not a {description}")
    return False


def write_volume(path: str | Path, files: Mapping[str, File]) -> bool:
    """Make `path` show exactly `files`, all at once, and tell whether anything changed.

    As the kubelet's AtomicWriter: the files lie in a directory of their own, `..data` points at it, what the container sees are links through
    `..data`. A change is a new directory and the rename of one link, so that no reader meets a mixture.
    """
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    data = root / DATA
    old = root / data.readlink() if data.is_symlink() else None
    changed = old is None or _read_all(old) != {name: file.content for name, file in files.items()}
    if changed:
        new = _write_all(root, files)
        link = root / _NEW_DATA
        with suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(new.name)
        link.replace(data)
    _link_all(root, files)
    if changed and old is not None:
        shutil.rmtree(old, ignore_errors=True)  # gone already where a write was cut short
    return changed


def _read_all(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _write_all(root: Path, files: Mapping[str, File]) -> Path:
    directory = Path(tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()), dir=root))
    directory.chmod(0o755)
    for name, file in files.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    return directory


def _link_all(root: Path, files: Mapping[str, File]) -> None:
    """Make the links that the container sees, and remove those into files that are no more."""
    wanted = {name.split("/")[0] for name in files}
    for name in wanted:
        link = root / name
        if not link.is_symlink() and not link.exists():
            link.symlink_to(f"{DATA}/{name}")
    for link in root.iterdir():
        if not link.name.startswith("..") and link.name not in wanted and link.is_symlink():
            link.unlink()
