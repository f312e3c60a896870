"""Every value that a planner may ask for: made, seen again, changed, taken away, by klab and by the lines that a person would type."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from klab.cluster.wiring import look
from klab.errors import KernelError
from klab.kernel.apply import Applier
from klab.kernel.cni import Plugins
from klab.kernel.observe import observe
from klab.kernel.rundir import RunDir
from klab.linux.diff import Operation, diff
from klab.linux.iptables import Chain, Rule, SharedChain, comment
from klab.linux.objects import Address, Bridge, Dummy, Fdb, Ipip, KernelObject, Key, Link, Neighbour, Netns, Route, Sysctl, Veth, Vxlan

pytestmark = pytest.mark.root

NODE, POD = Netns(netns="node1"), Netns(netns="default_web")
BRIDGE = Bridge(netns="node1", name="cni0", mtu=1450)
CABLE = Veth(netns="node1", name="veth1", peer_netns="default_web", peer="eth0", mtu=1450, master="cni0", hairpin=True)
GATEWAY = Address(netns="default_web", dev="eth0", cidr="10.244.1.2/24")
GATEWAY6 = Address(netns="default_web", dev="eth0", cidr="fd00:1::2/64")
UPLINK = Veth(netns="node1", name="eth0", peer_netns="default_web", peer="far0", mac="02:00:00:00:00:51", peer_mac="02:00:00:00:00:01")
UNDERLAY = Address(netns="node1", dev="eth0", cidr="172.18.0.2/24")
TUNNEL = Vxlan(netns="node1", name="flannel.1", mtu=1450, mac="02:00:00:00:00:07", vni=1, local="172.18.0.2", device_below="eth0")
SHARED = SharedChain(netns="node1", table="nat", name="KUBE-SERVICES")
PAIR = (NODE, POD, BRIDGE, CABLE)
POD_ROUTES = (*PAIR, GATEWAY, GATEWAY6)
WIRED = (NODE, POD, UPLINK, UNDERLAY)
REMADE = ("delete", "create")
SPEECH = comment('the lab\'s "own" \\ rule')


class Shell(Protocol):
    """What the fixture gives (see conftest.py)."""

    netns: Path

    def type(self, lines: Iterable[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Case:
    """What stands before, the object, and what it becomes while it lives (`verbs`: how)."""

    base: tuple[KernelObject, ...]
    item: KernelObject
    changed: KernelObject
    verbs: tuple[str, ...] = ("change",)


def route(**words: Any) -> Route:
    return Route(netns="default_web", **words)


CASES = {
    "bridge": Case((NODE,), BRIDGE, replace(BRIDGE, mtu=1400, mac="02:00:00:00:00:42", up=False)),
    "veth": Case((NODE, POD), replace(CABLE, master="", hairpin=False), replace(CABLE, master="", hairpin=False, mtu=1300)),
    "veth-port": Case((NODE, POD, BRIDGE), CABLE, replace(CABLE, mtu=1400, hairpin=False)),
    "veth-into-bridge": Case((NODE, POD, BRIDGE), replace(CABLE, master="", hairpin=False), CABLE),
    "veth-out-of-bridge": Case((NODE, POD, BRIDGE), replace(CABLE, hairpin=False), replace(CABLE, master="", hairpin=False)),
    "veth-mac": Case((NODE, POD), UPLINK, replace(UPLINK, mac="02:00:00:00:00:52")),
    "vxlan": Case(WIRED, TUNNEL, replace(TUNNEL, mtu=1400, mac="02:00:00:00:00:08")),
    "vxlan-other-number": Case(WIRED, TUNNEL, replace(TUNNEL, vni=2, port=4789), REMADE),
    "sysctl": Case((NODE,), (forward := Sysctl(netns="node1", name="net/ipv4/ip_forward", value="1")), replace(forward, value="0")),
    "sysctl-of-link": Case(
        (NODE, BRIDGE), (proxy := Sysctl(netns="node1", name="net/ipv4/conf/cni0/proxy_arp", value="1")), replace(proxy, value="0")
    ),
    "sysctl-range": Case((NODE,), (ports := Sysctl(netns="node1", name="net/ipv4/ping_group_range", value="0 1000")), replace(ports, value="0 2000")),
    "address": Case(PAIR, GATEWAY, replace(GATEWAY, scope="link"), REMADE),
    "address-host": Case(PAIR, (host := replace(GATEWAY, cidr="10.244.1.2/32")), replace(host, scope="host"), REMADE),
    "address-v6": Case(PAIR, GATEWAY6, GATEWAY6, ()),
    "neighbour": Case(
        PAIR, (near := Neighbour(netns="node1", dev="cni0", address="10.0.0.9", mac="02:00:00:00:00:09")), replace(near, mac="02:00:00:00:00:0a")
    ),
    "neighbour-v6": Case(
        PAIR, (near6 := Neighbour(netns="node1", dev="cni0", address="fd00::9", mac="02:00:00:00:00:09")), replace(near6, mac="02:00:00:00:00:0a")
    ),
    "fdb": Case(
        (*WIRED, TUNNEL), (entry := Fdb(netns="node1", dev="flannel.1", mac="02:00:00:00:00:09", dst="172.18.0.3")), replace(entry, dst="172.18.0.4")
    ),
    "route-default": Case(POD_ROUTES, route(dst="default", via="10.244.1.1", dev="eth0"), route(dst="default", via="10.244.1.3", dev="eth0")),
    "route-default-v6": Case(POD_ROUTES, route(dst="default", via="fd00:1::1", dev="eth0"), route(dst="default", via="fd00:1::3", dev="eth0")),
    "route-link": Case(
        POD_ROUTES, route(dst="169.254.1.1", dev="eth0", scope="link"), route(dst="169.254.1.1", dev="eth0", scope="link", proto="bird")
    ),
    "route-onlink": Case(
        POD_ROUTES,
        route(dst="10.9.0.0/24", via="10.9.0.0", dev="eth0", onlink=True),
        route(dst="10.9.0.0/24", via="10.9.0.1", dev="eth0", onlink=True),
    ),
    "route-blackhole": Case(
        POD_ROUTES, route(dst="10.9.0.0/26", type="blackhole", proto="bird"), route(dst="10.9.0.0/26", via="10.244.1.1", dev="eth0")
    ),
    "route-source": Case(
        POD_ROUTES, (back := route(dst="10.9.0.0/24", via="10.244.1.1", dev="eth0", src="10.244.1.2")), replace(back, proto="static", src="")
    ),
    "route-v6": Case(POD_ROUTES, (far := route(dst="fd00:2::/64", via="fd00:1::1", dev="eth0", proto="static")), replace(far, via="fd00:1::3")),
    "route-host-v6": Case(POD_ROUTES, route(dst="fd00:2::9", dev="eth0"), route(dst="fd00:2::9", dev="eth0", proto="static")),
    "chain": Case(
        (NODE,),
        (chain := Chain(netns="node1", table="nat", name="KUBE-MARK-MASQ", rules=("-j MARK --set-xmark 0x4000/0x4000",))),
        replace(chain, rules=(f"{SPEECH} -j MARK --set-xmark 0x8000/0x8000", "-j RETURN")),
    ),
    "rule": Case(
        (NODE, SHARED),
        (jump := Rule(netns="node1", table="nat", chain="PREROUTING", text='-m comment --comment "kubernetes service portals" -j KUBE-SERVICES')),
        jump,
        (),
    ),
    "shared-chain": Case((NODE,), SHARED, SHARED, ()),
    "chain-v6": Case((NODE,), (chain6 := replace(chain, family=6)), replace(chain6, rules=("-j RETURN",))),
    "rule-v6": Case((NODE,), (drop6 := Rule(netns="node1", table="filter", family=6, chain="FORWARD", text="-s fd00::1/128 -j DROP")), drop6, ()),
}
NEEDING = {
    "dummy": Case((NODE,), (vips := Dummy(netns="node1", name="kube-ipvs0")), replace(vips, mtu=1400, up=False)),
    "ipip": Case(WIRED, (tunl0 := Ipip(netns="node1", name="tunl0", mtu=1480)), replace(tunl0, mtu=1460)),
}
PARAMETERS = [
    *(pytest.param(case, id=name) for name, case in CASES.items()),
    *(pytest.param(case, id=name, marks=pytest.mark.needs(name)) for name, case in NEEDING.items()),
]


def qualify(name: str) -> str:
    return f"lab_{name}"


def make_applier(rundir: RunDir) -> Applier:
    return Applier(rundir.netns, qualify, Plugins(rundir.netns, rundir.cni_results))


def build(rundir: RunDir, *objects: KernelObject) -> None:
    make_applier(rundir).apply(diff(objects, {}))


def see(path: Path, names: Mapping[str, str], wanted: Sequence[KernelObject]) -> dict[Key, KernelObject]:
    """Observe, without the MAC addresses that nobody chose and the ends' places in their chain."""
    chosen = {mac for item in wanted if isinstance(item, Link) for mac in (item.mac, getattr(item, "peer_mac", ""))}
    seen = observe({short: path / name for short, name in names.items()}, wanted)
    return {key: replace(item, mac="") if isinstance(item, Link) and item.mac not in chosen else item for key, item in seen.items()}


LISTING = """
for object in '-details address' '-4 route' '-6 route' 'neighbour show nud permanent'
do ip -json $object | tr -d '\\n'; echo; done
bridge -json fdb | tr -d '\\n'; echo
"""


def list_with_ip(path: Path) -> dict[str, Any]:
    """Give what `ip` and `bridge` tell of a namespace, without numbers and times that differ each time."""

    done = subprocess.run(["nsenter", f"--net={path}", "sh", "-ec", LISTING], capture_output=True, text=True, check=True)
    links, routes, routes6, neighbours, entries = (json.loads(line or "[]") for line in done.stdout.splitlines())
    return {
        "addresses": {link["ifname"]: [dict(sorted(address.items())) for address in link["addr_info"]] for link in links},
        "routes": [entry | {"flags": set(entry["flags"]) - {"linkdown"}} for entry in (*routes, *routes6)],
        "neighbours": neighbours,
        "fdb": [entry for entry in entries if "dst" in entry],
        "tunnels": {
            link["ifname"]: {name: value for name, value in link["linkinfo"]["info_data"].items() if name != "ifindex"}
            for link in links
            if link.get("linkinfo", {}).get("info_kind") in {"vxlan", "ipip"}
        },
    }


@pytest.mark.parametrize("case", PARAMETERS)
def test_what_is_applied_is_seen_changed_and_gone(rundir: RunDir, case: Case) -> None:
    applier = make_applier(rundir)
    build(rundir, *case.base)
    before = look(rundir, [*case.base, case.item])

    applier.apply(diff([*case.base, case.item], before))
    standing = look(rundir, [*case.base, case.item])
    assert case.item.key in standing
    assert diff([*case.base, case.item], standing) == []

    steps = diff([*case.base, case.changed], standing)
    assert tuple(step.verb for step in steps) == case.verbs
    applier.apply(steps)
    standing = look(rundir, [*case.base, case.changed])
    assert diff([*case.base, case.changed], standing) == []
    assert case.changed == case.item or diff([*case.base, case.item], standing) != []

    applier.apply(diff(case.base, standing, stale=[case.changed]))
    left = look(rundir, [*case.base, case.item])
    if isinstance(case.item, Sysctl | Ipip):
        assert diff(case.base, left) == []
    else:
        assert left.keys() == before.keys()


@pytest.mark.parametrize("case", PARAMETERS)
def test_typed_lines_do_the_same(rundir: RunDir, shell: Shell, case: Case) -> None:
    applier, names = make_applier(rundir), sorted({item.netns for item in case.base})
    wanted: list[KernelObject] = [*case.base, case.item, case.changed]

    def do_both(steps: Sequence[Operation]) -> dict[Key, KernelObject]:
        applier.apply(steps)
        shell.type(line for step in steps for line in step.lines(qualify))
        applied = see(rundir.netns, {name: name for name in names}, wanted)
        assert applied == see(shell.netns, {name: qualify(name) for name in names}, wanted)
        return applied

    do_both(diff(case.base, {}))
    do_both([Operation("create", case.item)])
    for name in names:
        assert list_with_ip(rundir.netns_path(name)) == list_with_ip(shell.netns / qualify(name))
    standing = look(rundir, wanted)
    do_both(diff([*case.base, case.changed], standing))
    do_both([Operation("delete", case.changed)])
    shell.type(line for item in (NODE, POD) if item in case.base for line in item.delete(qualify))
    assert list(shell.netns.iterdir()) == []


def test_rules_stand_in_their_order_however_they_are_made(rundir: RunDir, shell: Shell) -> None:
    rules = [
        Rule(netns="node1", table="filter", chain="FORWARD", text=f"-s 10.0.0.{place % 256}/32 -j ACCEPT", order=place)
        for place in (-3, -1, 2, -2, 1)
    ]
    steps = diff([NODE, *rules], {})
    make_applier(rundir).apply(steps)
    shell.type(line for step in steps for line in step.lines(qualify))
    for path in (rundir.netns / "node1", shell.netns / "lab_node1"):
        standing = observe({"node1": path}, rules).values()
        assert [item.text.split("/")[0] for item in standing if isinstance(item, Rule)] == [f"-s 10.0.0.{n}" for n in (253, 254, 255, 1, 2)]


def test_more_than_a_batch_of_messages(rundir: RunDir) -> None:
    pods = [Address(netns="node1", dev="cni0", cidr=f"10.{number // 250}.{number % 250}.1/24") for number in range(600)]
    build(rundir, NODE, BRIDGE, *pods)
    standing = look(rundir, [])
    assert diff([NODE, BRIDGE, *pods], standing) == []
    make_applier(rundir).apply(diff([NODE, BRIDGE], standing, stale=pods))
    assert [item for item in look(rundir, []).values() if isinstance(item, Address) and item.dev == "cni0"] == []


@pytest.mark.parametrize("place", [0, 47, 48, 100, 149])
def test_the_refused_one_of_many_is_named(rundir: RunDir, place: int) -> None:
    build(rundir, NODE, BRIDGE, Address(netns="node1", dev="cni0", cidr="10.0.0.1/24"))
    routes = [Route(netns="node1", dst=f"10.1.{number}.0/24", via="10.0.0.2") for number in range(150)]
    routes[place] = replace(routes[place], via="192.0.2.1")
    with pytest.raises(KernelError) as caught:
        make_applier(rundir).apply([Operation("create", item) for item in routes])
    assert caught.value.operation == f"ip -n lab_node1 route replace 10.1.{place}.0/24 via 192.0.2.1"
    assert caught.value.errno == errno.ENETUNREACH
    assert str(caught.value) == f"the kernel refused `{caught.value.operation}`: Nexthop has invalid gateway"


REFUSED: dict[str, tuple[tuple[KernelObject, ...], KernelObject, str, int]] = {
    "namespace-twice": ((NODE,), NODE, "ip netns add lab_node1", errno.EEXIST),
    "link-twice": ((NODE, BRIDGE), BRIDGE, "ip -n lab_node1 link add cni0 type bridge", errno.EEXIST),
    "no-device": ((NODE,), replace(UNDERLAY), "ip -n lab_node1 addr add 172.18.0.2/24", errno.ENODEV),
    "no-gateway": (
        (NODE,),
        Route(netns="node1", dst="default", via="10.0.0.1"),
        "ip -n lab_node1 route replace default via 10.0.0.1",
        errno.ENETUNREACH,
    ),
    "no-setting": ((NODE,), Sysctl(netns="node1", name="net/ipv4/nothing", value="1"), "sysctl", errno.ENOENT),
    "wrong-setting": ((NODE,), Sysctl(netns="node1", name="net/ipv4/ip_forward", value="yes"), "net/ipv4/ip_forward=yes", errno.EINVAL),
    "no-namespace": ((), BRIDGE, "ip -n lab_node1 link add cni0", errno.ENOENT),
    "no-namespace-for-setting": ((), Sysctl(netns="node1", name="net/ipv4/ip_forward", value="1"), "net/ipv4/ip_forward=1", errno.ENOENT),
    "no-namespace-for-rules": ((), SHARED, "ip netns exec lab_node1 iptables -w -t nat -N KUBE-SERVICES", errno.ENOENT),
    "no-namespace-for-far-end": ((NODE,), CABLE, "link add veth1 mtu 1450 type veth peer name eth0 mtu 1450 netns lab_default_web", errno.ENOENT),
}


@pytest.mark.parametrize(("base", "item", "line", "code"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_line(rundir: RunDir, base: tuple[KernelObject, ...], item: KernelObject, line: str, code: int) -> None:
    build(rundir, *base)
    with pytest.raises(KernelError) as caught:
        make_applier(rundir).apply([Operation("create", item)])
    assert line in caught.value.operation
    assert "lab_node1" in caught.value.operation
    assert caught.value.errno == code


@pytest.mark.parametrize("gone", [BRIDGE, CABLE, GATEWAY, SHARED, Sysctl(netns="node1", name="net/ipv4/ip_forward", value="1")])
def test_nothing_is_to_be_removed_where_the_namespace_is_gone(rundir: RunDir, gone: KernelObject) -> None:
    (rundir.netns / gone.netns).touch()  # what `ip netns del` leaves of it
    make_applier(rundir).apply([Operation("delete", gone)])
    assert look(rundir, [gone]) == {}
