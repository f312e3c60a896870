"""Real CNI plugins: attached, checked, attached anew, taken away, by klab and by the lines that a person would type."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from klab.cluster.wiring import look
from klab.errors import KlabError, MissingError
from klab.kernel import netns
from klab.kernel.apply import Applier
from klab.kernel.cni import Plugins
from klab.kernel.observe import observe
from klab.kernel.rundir import RunDir
from klab.linux.cni import CniAttachment
from klab.linux.diff import Operation, diff
from klab.linux.iptables import Rule, SharedChain
from klab.linux.objects import Address, Ipip, KernelObject, Key, Link, Netns, Route

pytestmark = [pytest.mark.root, pytest.mark.needs("bridge", "iptables", "/usr/lib/cni/bridge", "/usr/lib/cni/portmap")]

NODE, POD = Netns(netns="node1"), Netns(netns="default_web")
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


class Shell(Protocol):
    """What the fixture gives (see conftest.py)."""

    netns: Path

    def type(self, lines: Iterable[str]) -> None: ...


def attachment(state: Path, *plugins: dict[str, Any], address: str = "10.244.1.7") -> CniAttachment:
    ipam = {"type": "host-local", "dataDir": str(state), "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "mtu": 1450, "ipam": ipam, "note": "the teacher's"}
    return CniAttachment(
        netns="default_web",
        node="node1",
        container="uid-1",
        conflist=json.dumps({"cniVersion": "1.0.0", "name": "klab", "plugins": [bridge, *plugins]}),
        arguments=f"IgnoreUnknown=1;K8S_POD_NAME=web;IP={address}",
        capabilities=json.dumps(PORTS),
    )


def portmap() -> dict[str, Any]:
    return {"type": "portmap", "capabilities": {"portMappings": True}}


def make_applier(rundir: RunDir) -> Applier:
    return Applier(rundir.netns, lambda name: f"lab_{name}", Plugins(rundir.netns, rundir.cni_results))


def shape(seen: dict[Key, KernelObject]) -> set[str]:
    """Say what is there of links, addresses, routes and port mappings, without names and addresses that differ each time."""
    words = {f"{item.netns} {item.cidr}" for item in seen.values() if isinstance(item, Address)}
    words |= {f"{item.netns} {item.words}" for item in seen.values() if isinstance(item, Route)}
    words |= {f"{item.netns} {item.mtu} {item.master} {item.hairpin} {item.up}" for item in seen.values() if isinstance(item, Link)}
    return words | {item.text for item in seen.values() if isinstance(item, Rule) and "8080" in item.text and "dport" in item.text}


def links(seen: dict[Key, KernelObject]) -> list[str]:
    """Name the links, but for tunl0, which is wherever its module is."""
    return [f"{item.netns}/{item.name}" for item in seen.values() if isinstance(item, Link) and not isinstance(item, Ipip)]


def test_an_attachment_stands_and_goes(rundir: RunDir, tmp_path: Path) -> None:
    applier, item = make_applier(rundir), attachment(tmp_path / "ipam", portmap())
    applier.apply(diff([NODE, POD, item], {}))
    standing = look(rundir, [NODE, POD, item])
    assert diff([NODE, POD, item], standing) == []
    assert Address(netns="default_web", dev="eth0", cidr="10.244.1.7/24") in standing.values()
    assert Route(netns="default_web", dst="default", via="10.244.1.1", dev="eth0") in standing.values()
    plugins = Plugins(rundir.netns, rundir.cni_results)
    assert plugins.addresses("uid-1") == ("10.244.1.7",)

    applier.apply(diff([NODE], standing, stale=[POD, item]))
    left = look(rundir, [item])
    assert links(left) == ["node1/cni0"]
    assert plugins.addresses("uid-1") == ()
    assert list(rundir.cni_results.iterdir()) == []
    assert [path.name for path in tmp_path.glob("ipam/*/10.*")] == []


@pytest.mark.parametrize("damage", ["ip -n {} link del eth0", "ip -n {} addr del 10.244.1.7/24 dev eth0", "ip -n {} route del default"])
def test_what_is_damaged_is_attached_anew(rundir: RunDir, tmp_path: Path, damage: str) -> None:
    applier, item = make_applier(rundir), attachment(tmp_path / "ipam", portmap())
    applier.apply(diff([NODE, POD, item], {}))
    whole = shape(look(rundir, [NODE, POD, item, SharedChain(netns="node1", table="nat", name="x")]))
    subprocess.run(["nsenter", f"--net={rundir.netns_path('default_web')}", *damage.replace("-n {} ", "").split()], check=True)
    steps = diff([NODE, POD, item], look(rundir, [NODE, POD, item]))
    assert [(step.verb, step.object) for step in steps] == [("create", item)]
    applier.apply(steps)
    assert shape(look(rundir, [NODE, POD, item, SharedChain(netns="node1", table="nat", name="x")])) == whole


def test_another_address_is_another_attachment(rundir: RunDir, tmp_path: Path) -> None:
    applier, item = make_applier(rundir), attachment(tmp_path / "ipam")
    applier.apply(diff([NODE, POD, item], {}))
    other = attachment(tmp_path / "ipam", address="10.244.1.8")
    steps = diff([NODE, POD, other], look(rundir, [NODE, POD, other]))
    assert [step.verb for step in steps] == ["change"]
    applier.apply(steps)
    standing = look(rundir, [NODE, POD, other])
    assert diff([NODE, POD, other], standing) == []
    assert [step.cidr for step in standing.values() if isinstance(step, Address) and step.dev == "eth0"] == ["10.244.1.8/24"]


def test_a_plugin_that_refuses_is_quoted_and_the_others_are_undone(rundir: RunDir, tmp_path: Path) -> None:
    refusing = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": "maybe"}
    with pytest.raises(KlabError, match=r"^plugin type='portmap' failed \(add\): .*snat") as caught:
        make_applier(rundir).apply(diff([NODE, POD, attachment(tmp_path / "ipam", refusing)], {}))
    assert not isinstance(caught.value, MissingError)
    assert links(look(rundir, [])) == ["node1/cni0"]
    assert [path.name for path in tmp_path.glob("ipam/*/10.*")] == []


def test_a_missing_plugin_is_named_with_what_installs_it(rundir: RunDir, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="/usr/lib/cni/teleport is not there: `apt-get install containernetworking-plugins`"):
        make_applier(rundir).apply(diff([NODE, POD, attachment(tmp_path / "ipam", {"type": "teleport"})], {}))


@pytest.mark.parametrize("gone", ["default_web", "node1"])
def test_a_lost_namespace_holds_nobody_up(rundir: RunDir, tmp_path: Path, gone: str) -> None:
    applier, item = make_applier(rundir), attachment(tmp_path / "ipam", portmap())
    applier.apply(diff([NODE, POD, item], {}))
    netns.remove([rundir.netns_path(gone)])
    applier.apply([Operation("delete", item)])
    assert list(rundir.cni_results.iterdir()) == []
    assert [path.name for path in tmp_path.glob("ipam/*/10.*")] == []


def test_typed_lines_attach_and_detach_too(rundir: RunDir, shell: Shell, tmp_path: Path) -> None:
    def q(name: str) -> str:
        return f"lab_{name}"

    typed, applied = (attachment(tmp_path / place, portmap()) for place in ("typed", "applied"))
    rules = [SharedChain(netns="node1", table="nat", name="x")]
    make_applier(rundir).apply(diff([NODE, POD, applied], {}))
    shell.type(line for step in diff([NODE, POD, typed], {}) for line in step.lines(q))
    paths = {name: shell.netns / q(name) for name in ("node1", "default_web")}
    whole = shape(observe(paths, rules))
    assert whole == shape(look(rundir, [*rules, applied]))
    assert any("--dport 8080" in word for word in whole)

    make_applier(rundir).apply([Operation("delete", applied)])
    shell.type(replace(typed).delete(q))
    bare = shape(observe(paths, rules))
    assert bare == shape(look(rundir, rules))
    assert not any("--dport 8080" in word or word.startswith("default_web 10.") for word in bare)
    assert [path.name for path in tmp_path.glob("typed/*/10.*")] == []


def test_a_check_that_is_not_to_be_trusted_is_not_asked(rundir: RunDir, tmp_path: Path) -> None:
    item = attachment(tmp_path / "ipam")
    item = replace(item, conflist=json.dumps({**json.loads(item.conflist), "disableCheck": True}))
    make_applier(rundir).apply(diff([NODE, POD, item], {}))
    subprocess.run(["nsenter", f"--net={rundir.netns_path('default_web')}", "ip", "route", "del", "default"], check=True)
    assert diff([NODE, POD, item], look(rundir, [NODE, POD, item])) == []
