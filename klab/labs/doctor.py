"""`klab doctor`: what this machine has of what klab can use, and the command that brings the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from klab.errors import KlabError, MissingError
from klab.kernel import features, iptables, program

_NEEDED = frozenset({"ip", "overlay", "veth", "bridge", "br_netfilter"})
_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "ipset": "ipset",
    "ipvsadm": "ipvsadm",
    "conntrack": "conntrack",
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "haproxy": "haproxy",
}
_LINKS = {"veth": "every pod", "bridge": "bridged pod networks", "vxlan": "plugin vxlan", "ipip": "plugin ipip", "dummy": "proxy ipvs"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` is the command that mends it, "" where all is well; without an `optional` one only some labs cannot come up."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def diagnose() -> list[Check]:
    """Look at this machine; what needs root to be looked at says so."""
    root = os.geteuid() == 0
    checks = [
        Check("python", sys.version_info >= (3, 11), sys.version.split()[0], ""),
        Check("root", root, f"uid {os.geteuid()}", "" if root else "sudo klab doctor"),
        *(_program(name, package) for name, package in _PROGRAMS.items()),
        _feature("overlay", features.has_overlay, "containers' files", "modprobe overlay"),
        _feature("br_netfilter", features.has_bridge_netfilter, "Services on bridged networks", "modprobe br_netfilter"),
    ]
    if root:
        checks += [_feature(kind, lambda kind=kind: features.has_link_kind(kind), use, f"modprobe {kind}") for kind, use in _LINKS.items()]  # type: ignore[misc]
        checks.append(_variant())
    return checks


def _program(name: str, package: str) -> Check:
    try:
        return Check(name, ok=True, found=program.find(name))
    except MissingError:
        return Check(name, ok=False, found="not found", remedy=f"apt-get install {package}", optional=name not in _NEEDED)


def _feature(name: str, probe: Callable[[], bool], use: str, remedy: str) -> Check:
    there = probe()
    return Check(name, there, f"{'there' if there else 'not in this kernel'}: for {use}", "" if there else remedy, optional=name not in _NEEDED)


def _variant() -> Check:
    try:
        return Check("iptables", ok=True, found=f"iptables-{iptables.variant()}")
    except KlabError as error:
        return Check("iptables", ok=False, found=str(error), remedy="apt-get install iptables")
