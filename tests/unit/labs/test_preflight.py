"""What a machine lacks is told before anything is built, all at once, each with what mends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klab.api.lab_parse import parse_lab
from klab.errors import MissingError
from klab.kernel import features, iptables, ipvs, netns, program
from klab.labs.preflight import check_machine


class Machine:
    """A machine with links, features and programs to choose."""

    def __init__(self) -> None:
        self.uid = 0
        self.links = {"bridge", "veth", "vxlan", "ipip", "dummy"}
        self.features = {"overlay", "br_netfilter", "iptables", "ip_vs"}
        self.programs = {"ip", "nft", "ipset", "coredns", "haproxy", "nginx"}

    def find(self, name: str) -> str:
        if name not in self.programs:
            raise MissingError(f"no {name}")
        return f"/usr/bin/{name}"

    def need(self, feature: str) -> None:
        if feature not in self.features:
            raise MissingError(f"no {feature}")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    def stay(work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr(os, "geteuid", lambda: made.uid)
    monkeypatch.setattr(features, "has_link_kind", lambda kind: kind in made.links)
    monkeypatch.setattr(features, "has_bridge_netfilter", lambda: "br_netfilter" in made.features)
    monkeypatch.setattr(features, "has_overlay", lambda: "overlay" in made.features)
    monkeypatch.setattr(iptables, "variant", lambda: made.need("iptables"))
    monkeypatch.setattr(ipvs, "check", lambda: made.need("ip_vs"))
    monkeypatch.setattr(netns, "in_new", stay)
    monkeypatch.setattr(program, "find", made.find)
    return made


def lacks(*kinds: str, **spec: Any) -> list[str]:
    """Give what is told to be missing for a lab, a line each."""
    lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": spec})
    assert not faults
    try:
        check_machine(lab, kinds)
    except MissingError as error:
        return str(error).splitlines()
    return []


def test_a_machine_that_has_everything_takes_any_lab(machine: Machine) -> None:
    for plugin in ("vxlan", "ipip", "hostgw", "bridge"):
        for proxy in ("iptables", "ipvs", "nftables"):
            assert lacks(network={"plugin": plugin}, services={"proxy": proxy}) == []


def test_root_is_asked_for_first(machine: Machine) -> None:
    machine.uid, machine.programs = 1000, set()
    assert lacks() == ["building a network needs root: run it with sudo"]


@pytest.mark.parametrize("plugin", ["vxlan", "ipip"])
def test_a_missing_tunnel_concerns_its_plugin_alone(machine: Machine, plugin: str) -> None:
    machine.links -= {"vxlan", "ipip"}
    (line,) = lacks(network={"plugin": plugin})
    assert line.startswith(f"spec.network.plugin {plugin} needs the kernel module {plugin}")
    assert f"`sudo modprobe {plugin}`" in line
    assert lacks(network={"plugin": "hostgw"}) == []


def test_what_ipvs_needs_concerns_ipvs_alone(machine: Machine) -> None:
    machine.links -= {"dummy"}
    machine.features -= {"ip_vs"}
    machine.programs -= {"ipset"}
    told = lacks(services={"proxy": "ipvs"})
    assert told[0].startswith("spec.services.proxy ipvs needs the kernel module dummy")
    assert told[1:] == ["no ip_vs", "no ipset"]
    assert lacks(services={"proxy": "iptables"}) == lacks(services={"proxy": "nftables"}) == []


def test_bridges_need_their_packets_shown_to_iptables(machine: Machine) -> None:
    machine.features -= {"br_netfilter"}
    assert lacks(network={"plugin": "vxlan"}) == [
        "Services on a bridged pod network need the kernel module br_netfilter: `sudo modprobe br_netfilter`"
    ]
    assert lacks(network={"plugin": "ipip"}) == []


@pytest.mark.parametrize(
    ("name", "spec", "kinds"),
    [
        ("ip", {}, ()),
        ("nft", {"services": {"proxy": "nftables"}}, ()),
        ("coredns", {"dns": {"server": "coredns"}}, ()),
        ("nginx", {"ingress": {"controller": "nginx"}}, ()),
        ("haproxy", {}, ("Ingress",)),
    ],
)
def test_programs_are_asked_for_where_they_are_used(machine: Machine, name: str, spec: dict[str, Any], kinds: tuple[str, ...]) -> None:
    machine.programs -= {name}
    assert lacks(*kinds, **spec) == [f"no {name}"]
    assert name == "ip" or lacks() == []


def test_cni_plugins_are_asked_for_where_they_are_used(machine: Machine, tmp_path: Path) -> None:
    told = lacks(network={"plugin": "plugin", "cniBin": str(tmp_path)})
    assert any(line.startswith(f"the CNI plugin {tmp_path}/bridge is not there") for line in told)
    for name in ("bridge", "portmap", "host-local"):
        (tmp_path / name).touch(mode=0o755)
    assert lacks(network={"plugin": "plugin", "cniBin": str(tmp_path)}) == []


def test_everything_is_told_at_once(machine: Machine) -> None:
    machine.links, machine.features, machine.programs = set(), set(), set()
    told = lacks(network={"plugin": "vxlan"}, services={"proxy": "ipvs"}, dns={"server": "coredns"})
    words = ["module vxlan", "br_netfilter", "module dummy", "overlay", "no iptables", "no ip_vs", "no ip", "no ipset", "no coredns"]
    assert len(told) == len(words)
    assert [word in line for word, line in zip(words, told, strict=True)] == [True] * len(words)
