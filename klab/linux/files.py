"""Files that a container is given, as frozen values: directories, sets of files replaced all at once, paths of the machine, bind mounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class File:
    """A regular file's content and permission bits."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, made with `mode` where nothing stands at `path` yet; what stands there is left alone."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Projection:
    """A directory whose files, keyed by their path in it, change all at once: the kubelet's AtomicWriter with its `..data` link."""

    path: str
    files: Mapping[str, File]


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the machine, to be of `type`: DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice, "" for any."""

    path: str
    type: str = ""
    read_only: bool = False


Volume = Directory | Projection | HostPath


class Bind(NamedTuple):
    """A file or directory `source` that stands at `target` in a container."""

    source: str
    target: str
    read_only: bool = False
