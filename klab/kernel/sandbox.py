"""A pod's sandbox, seen from the programs that run in it: the namespaces and files a process starts with, and the ways into them.

The network namespace is a file that others made. The mount and UTS namespaces are made anew for each process; the files of a container
(klab.kernel.rootfs) are the same for all of its processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from klab.kernel import netns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


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
