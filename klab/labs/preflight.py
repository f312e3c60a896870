"""What a lab needs of this machine, asked before anything is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from functools import partial

from klab.api.lab import Ingress, Lab
from klab.cluster.topology import Topology
from klab.cni.plugin import calc_programs
from klab.errors import MissingError
from klab.kernel import cni, features, iptables, ipvs, netns, program

_WAYS_OUT = {"vxlan": "plugin hostgw", "ipip": "plugin vxlan or hostgw"}
"""Tunnels, each a kernel module of its own, and what to choose where there is none."""
_BRIDGED = frozenset({"bridge", "hostgw", "vxlan", "plugin"})


def check_machine(lab: Lab, kinds: Collection[str] = ()) -> None:
    """Raise MissingError with everything that this lab, with objects of these kinds, would lack here, and the commands that mend it."""
    if os.geteuid() != 0:
        raise MissingError("building a network needs root: run it with sudo")
    if missing := list(_missing(lab, kinds)):
        raise MissingError("\n".join(missing))


def _missing(lab: Lab, kinds: Collection[str]) -> Iterator[str]:
    plugin, proxy = lab.network.plugin, lab.services.proxy
    if plugin in _WAYS_OUT and not features.has_link_kind(plugin):
        yield (
            f"spec.network.plugin {plugin} needs the kernel module {plugin}, which this kernel does not have: `sudo modprobe {plugin}` where it is "
            f"just not loaded, `vagrant up` for a machine that has everything, or {_WAYS_OUT[plugin]}"
        )
    if plugin in _BRIDGED and not features.has_bridge_netfilter():
        yield "Services on a bridged pod network need the kernel module br_netfilter: `sudo modprobe br_netfilter`"
    if proxy == "ipvs" and not features.has_link_kind("dummy"):
        yield "spec.services.proxy ipvs needs the kernel module dummy, which this kernel does not have: `sudo modprobe dummy`, or another proxy"
    if not features.has_overlay():
        yield "containers' files need overlayfs: `sudo modprobe overlay`"
    yield from _told(iptables.variant)
    if proxy == "ipvs":
        yield from _told(lambda: netns.in_new(ipvs.check))
    if plugin == "plugin":
        network = Topology(lab).pod_network
        for name in calc_programs(network):
            yield from _told(partial(cni.find, network.cni_bin, name))
    for name in _programs(lab, kinds):
        yield from _told(partial(program.find, name))


def _programs(lab: Lab, kinds: Collection[str]) -> Iterator[str]:
    yield "ip"
    if lab.services.proxy == "nftables":
        yield "nft"
    if lab.services.proxy == "ipvs":
        yield "ipset"
    if lab.dns.server == "coredns":
        yield "coredns"
    if lab.ingress.controller != "none" and ("Ingress" in kinds or lab.ingress != Ingress()):
        yield lab.ingress.controller


def _told(attempt: Callable[[], object]) -> Iterator[str]:
    """Give what an attempt says it misses."""
    try:
        attempt()
    except MissingError as error:
        yield str(error)
