"""Can this kernel do it? Asked by trying, in a network namespace that goes at once; a module's name alone says nothing about a container or a VM."""

from __future__ import annotations

import contextlib
import errno
from functools import cache
from pathlib import Path

from klab.kernel import netns, rtnl, syscalls
from klab.kernel.netlink import NetlinkRefusedError, RouteSocket

_LACKING = frozenset({errno.EOPNOTSUPP, errno.ENOENT, errno.EINVAL})


@cache
def has_link_kind(kind: str) -> bool:
    """Say whether links of a kind (bridge, veth, vxlan, ipip, dummy) can be made; the kernel loads the module if it has it."""

    def probe() -> bool:
        rtnl_socket = RouteSocket()
        try:
            if rtnl_socket.index_of("tunl0") and kind == "ipip":
                return True
            data = rtnl.vxlan_data(vni=1, local="192.0.2.1", below=1, port=8472) if kind == "vxlan" else b""
            rtnl_socket.send([rtnl.new_link(kind, "probe", up=False, data=data)])
        except NetlinkRefusedError as error:
            if error.errno in _LACKING:
                return False
            raise
        finally:
            rtnl_socket.close()
        return True

    return netns.in_new(probe)


def has_bridge_netfilter() -> bool:
    """Say whether bridged packets can be shown to iptables."""
    return Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()


@cache
def has_overlay() -> bool:
    """Say whether the kernel has overlayfs, under which containers write without touching the host's files."""

    def probe() -> None:
        """Ask for it where nobody else sees it: the kernel loads the module if it has it."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        with contextlib.suppress(OSError):
            syscalls.mount("none", "/mnt", "overlay", options="lowerdir=/nowhere:/nothing")

    if not _knows_overlay():
        netns.in_thread(probe)
    return _knows_overlay()


def _knows_overlay() -> bool:
    return "\toverlay\n" in Path("/proc/filesystems").read_text()
