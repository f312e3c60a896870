"""What a lab needs of this machine, asked before anything is built."""

from __future__ import annotations

import os

from klab.api.lab import Lab
from klab.errors import MissingError
from klab.kernel import features, iptables, program

_BRIDGED = frozenset({"bridge", "hostgw", "vxlan", "plugin"})


def check_machine(lab: Lab) -> None:
    """Raise MissingError with everything that this lab would lack here, and the commands that mend it."""
    if os.geteuid() != 0:
        raise MissingError("building a network needs root: run it with sudo")
    missing = list(_missing(lab))
    if missing:
        raise MissingError("\n".join(missing))


def _missing(lab: Lab) -> list[str]:
    found = []
    plugin = lab.network.plugin
    if plugin == "ipip" and not features.has_link_kind("ipip"):
        found.append(
            "spec.network.plugin ipip needs the kernel module ipip, which this kernel does not have: `modprobe ipip` on a kernel that ships it "
            "(Debian's does: `vagrant up`, or `make vm` here), or choose plugin vxlan or hostgw"
        )
    if plugin == "vxlan" and not features.has_link_kind("vxlan"):
        found.append("spec.network.plugin vxlan needs the kernel module vxlan: `modprobe vxlan`, or choose plugin hostgw")
    if plugin in _BRIDGED and not features.has_bridge_netfilter():
        found.append("Services on a bridged pod network need the kernel module br_netfilter: `sudo modprobe br_netfilter`")
    if not features.has_overlay():
        found.append("containers' files need overlayfs: `sudo modprobe overlay`")
    for name in ("ip", "coredns") if lab.dns.server == "coredns" else ("ip",):
        try:
            program.find(name)
        except MissingError as error:
            found.append(str(error))
    try:
        iptables.variant()
    except MissingError as error:
        found.append(str(error))
    return found
