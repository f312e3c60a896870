"""What is asked for is what stands: planned rules through the programs into a namespace and back, in both variants of iptables and in nftables."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from klab.api.endpointslice import EndpointSlice, port_endpoints
from klab.api.service import Service
from klab.errors import CommandFailedError, KernelError
from klab.kernel import iptables, netns, program, rules
from klab.kernel.nftmessages import encode
from klab.kernel.sandbox import run_in
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.plan import plan_base, plan_service
from klab.linux.diff import Operation
from klab.linux.iptables import Chain, Rule, SharedChain
from klab.linux.nft import NftChain, NftElement, NftSet, NftTable, render_transaction
from klab.linux.objects import KernelObject, Key

pytestmark = pytest.mark.root

NODE = ProxyNode(name="node1", netns="node1", ip="172.18.0.2", addresses=("172.18.0.2", "fd00:172::2"))
PORTS = [
    {"name": "http", "port": 80, "nodePort": 30080},
    {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
    {"name": "sctp", "port": 54, "protocol": "SCTP", "nodePort": 30054},
    {"name": "idle", "port": 81, "nodePort": 30081},
]
ENDPOINTS = [{"addresses": [f"10.244.{node}.{number}"], "nodeName": f"node{node}"} for node in (1, 2) for number in (2, 3, 4)]
NUMBERED = [{"name": port["name"], "protocol": port.get("protocol", "TCP"), "port": 8080} for port in PORTS[:3]]
SLICE = EndpointSlice.of({"ports": NUMBERED, "endpoints": ENDPOINTS})
ENDPOINTS6 = [{**item, "addresses": [f"fd00:244::{number}"]} for number, item in enumerate(ENDPOINTS, 2)]
SLICE6 = EndpointSlice.of({"addressType": "IPv6", "ports": NUMBERED, "endpoints": ENDPOINTS6})
KINDS = {
    "plain": {"type": "ClusterIP"},
    "local": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999, "externalIPs": ["192.0.2.7", "2001:db8::7"]},
    "sticky": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 93784}}},
    "ranged": {
        "type": "LoadBalancer",
        "loadBalancerSourceRanges": ["203.0.113.0/24", "203.0.114.0/25", "198.51.100.1/32", "172.18.0.0/16", "2001:db8:1::/48"],
    },
    "open": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0", "::/0"]},
    "inside": {"internalTrafficPolicy": "Local"},
}
CONFIGS = {
    "default": {"cluster_cidr": "10.244.0.0/16", "service_cidrs": ("10.96.0.0/12",)},
    "limited": {
        "node_port_addresses": ("172.18.0.0/24",),
        "service_cidrs": ("10.96.0.0/16", "10.97.0.0/16"),
        "masquerade_all": True,
        "masquerade_bit": 10,
    },
    "closed": {"localhost_node_ports": False},
    "ipv6": {"family": 6, "cluster_cidr": "fd00:244::/56", "service_cidrs": ("fd00:96::/112",)},
}


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Give a way to do things in a namespace that goes with the test."""
    path = tmp_path / "node1"
    try:
        netns.create([path])
        yield lambda work: run_in(path, work)
    finally:
        netns.remove([path])


def services(number: int = 0) -> list[Service]:
    listed = []
    for position, (name, spec) in enumerate(KINDS.items(), 10 + number):
        ports = [{**port, "nodePort": port["nodePort"] + position} for port in PORTS]
        status = {"loadBalancer": {"ingress": [{"ip": f"198.51.100.{position}"}, {"ip": f"2001:db8:2::{position}"}]}}
        whole = {"clusterIPs": [f"10.96.0.{position}", f"fd00:96::{position}"], "ports": ports, **spec}
        listed.append(Service.of({"metadata": {"name": name, "namespace": "default"}, "spec": whole, "status": status}))
    return listed


def planned(config: ProxyConfig, listed: Sequence[Service], slices: Sequence[EndpointSlice] = (SLICE, SLICE6)) -> dict[Key, KernelObject]:
    objects = list(plan_base(NODE, config))
    for service in listed:
        objects += plan_service(service, port_endpoints(slices, "IPv6" if config.ipv6 else "IPv4"), config=config, node=NODE)
    return {item.key: item for item in objects if isinstance(item, rules.TYPES)}


def difference(have: dict[Key, KernelObject], want: dict[Key, KernelObject]) -> list[Operation]:
    steps = [Operation("delete", have[key]) for key in have.keys() - want.keys()]
    return steps + [Operation("change" if key in have else "create", item) for key, item in want.items() if have.get(key) != item]


def observed(kinds: Sequence[type[KernelObject]], config: ProxyConfig) -> list[KernelObject]:
    return [*rules.observe("node1", kinds), *(iptables.observe("node1", 6) if config.ipv6 else ())]


def check_what_stands(inside: Callable[[Callable[[], Any]], Any], config: ProxyConfig) -> None:
    """Bring up all services, change their endpoints and addresses, take them away: each time exactly what was planned stands."""
    fewer = EndpointSlice.of({"ports": [{"name": "http", "protocol": "TCP", "port": 8081}], "endpoints": ENDPOINTS[2:4]})
    fewer6 = EndpointSlice.of({"addressType": "IPv6", "ports": [{"name": "http", "protocol": "TCP", "port": 8081}], "endpoints": ENDPOINTS6[2:4]})
    steps: list[dict[Key, KernelObject]] = [
        {},
        planned(config, ()),
        planned(config, services()),
        planned(config, services(), (fewer, fewer6)),
        planned(config, services(20)),
        planned(config, services(20)[3:]),
        planned(config, ()),
    ]
    for before, after in pairwise(steps):
        inside(lambda before=before, after=after: rules.apply(difference(before, after)))
        kinds = tuple({type(item) for item in after.values()})
        seen = {item.key: item for item in inside(lambda kinds=kinds: observed(kinds, config))}
        assert {key: seen.get(key) for key in after} == after
        assert not [key for key in before.keys() - after.keys() if key in seen]


@pytest.mark.needs("iptables")
@pytest.mark.parametrize("config", CONFIGS)
def test_iptables(inside: Callable[[Callable[[], Any]], Any], monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    """Each variant that works here (Debian's own kernel has both)."""
    for variant in [name for name in iptables.VARIANTS if not iptables.find_lack(name)]:
        monkeypatch.setattr(iptables, "variant", lambda variant=variant: variant)
        check_what_stands(inside, ProxyConfig(**CONFIGS[config]))


@pytest.mark.needs("nft")
@pytest.mark.parametrize("config", CONFIGS)
def test_nftables(inside: Callable[[Callable[[], Any]], Any], config: str) -> None:
    check_what_stands(inside, ProxyConfig(mode="nftables", **CONFIGS[config]))


@pytest.mark.needs("nft")
@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_messages_say_what_nft_says(inside: Callable[[Callable[[], Any]], Any], family: str) -> None:
    """Every form that is sent as a message leads to what `nft -f` makes of its text."""
    common = {"netns": "node1", "family": family, "table": "kube-proxy"}
    kind, one, net, odd = (
        ("ipv4_addr", "10.96.0.1", "10.244.0.0/16", "10.240.0.0/14") if family == "ip" else ("ipv6_addr", "fd00::1", "fd00:1::/48", "fd00::/45")
    )
    target = f"[{one}]:80" if family == "ip6" else f"{one}:80"
    first = [
        NftTable(**common),
        NftSet(**common, name="service-ips", type=f"{kind} . inet_proto . inet_service : verdict"),
        NftSet(**common, name="service-nodeports", type="inet_proto . inet_service : verdict"),
        NftSet(**common, name="cluster-ips", type=kind),
    ]
    rules_of = {
        "endpoint": (f"{family} saddr {one} return", f"update @affinity {{ {family} saddr }}", f"meta l4proto sctp dnat to {target}"),
        "service": (
            f"{family} daddr {one} tcp dport 443 {family} saddr != {net} jump endpoint",
            f"{family} saddr != {odd} drop",
            f"{family} saddr @affinity goto endpoint",
            "numgen random mod 2 vmap { 0 : goto endpoint, 1 : drop }",
        ),
        "external": (f'{family} saddr {net} goto service comment "a b"', "fib saddr type local jump service", "jump endpoint", "return"),
    }
    then = [
        NftSet(**common, name="affinity", type=kind, flags="dynamic,timeout", timeout=10800),
        *(NftChain(**common, name=name, rules=found) for name, found in rules_of.items()),
        NftElement(**common, set="cluster-ips", element=one),
        NftElement(**common, set="service-ips", element=f"{one} . tcp . 443", value="goto service"),
        NftElement(**common, set="service-ips", element=f"{one} . udp . 53", value="drop", comment="default/x:dns"),
        NftElement(**common, set="service-nodeports", element="sctp . 30080", value="goto external"),
    ]
    listings = []
    creations = [Operation("create", item) for item in then]
    assert encode(creations)
    for carry_out in (rules.apply, lambda steps: program.run(["nft", "-f", "-"], render_transaction(steps))):
        inside(lambda: rules.apply([Operation("create", item) for item in first]))
        inside(lambda carry_out=carry_out: carry_out(creations))
        listings.append(inside(lambda: program.run(["nft", "list", "ruleset"])))
        assert {item.key: item for item in inside(lambda: list(rules.observe("node1", rules.NFT)))} == {item.key: item for item in (*first, *then)}
        inside(lambda: rules.apply([Operation("delete", item) for item in then]))
        inside(lambda: rules.apply([Operation("delete", item) for item in first]))
    assert listings[0] == listings[1]


@pytest.mark.needs("nft")
def test_a_refused_message_is_shown(inside: Callable[[Callable[[], Any]], Any]) -> None:
    """With the line that a person would have typed; nothing of the transaction is done."""
    table = NftTable(netns="node1", table="t")
    chain = NftChain(netns="node1", table="t", name="c", rules=("jump nowhere",))
    inside(lambda: rules.apply([Operation("create", table)]))
    with pytest.raises(KernelError, match=r"add chain ip t c'; .*add rule ip t c jump nowhere'`: No such file or directory"):
        inside(lambda: rules.apply([Operation("create", chain)]))
    assert inside(lambda: list(rules.observe("node1", rules.NFT))) == [table]


@pytest.mark.needs("ip_vs", "ipset", "iptables")
@pytest.mark.parametrize("config", CONFIGS)
def test_ipvs(inside: Callable[[Callable[[], Any]], Any], config: str) -> None:
    check_what_stands(inside, ProxyConfig(mode="ipvs", **CONFIGS[config]))


@pytest.mark.needs("iptables")
def test_jumps_stand_before_what_others_put_there(inside: Callable[[Callable[[], Any]], Any]) -> None:
    """kube-proxy puts its jumps at the head of the built-in chains, in its own order, whatever is there already; the node ports come last."""
    stranger = Rule(netns="node1", table="filter", chain="FORWARD", text="-i cni0 -j ACCEPT")
    inside(lambda: rules.apply([Operation("create", stranger)]))
    inside(lambda: rules.apply(difference({}, planned(ProxyConfig(), services()))))
    text = inside(lambda: program.run([f"iptables-{iptables.variant()}-save", "-t", "filter"]))
    forward = [line.split(" -j ")[1] for line in text.splitlines() if line.startswith("-A FORWARD")]
    assert forward == ["KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "ACCEPT"]
    text = inside(lambda: program.run([f"iptables-{iptables.variant()}-save", "-t", "nat"]))
    assert [line for line in text.splitlines() if line.startswith("-A KUBE-SERVICES")][-1].endswith("-j KUBE-NODEPORTS")


@pytest.mark.needs("iptables")
def test_a_refused_rule_is_shown(inside: Callable[[Callable[[], Any]], Any]) -> None:
    for rule in ("-j NO-SUCH-TARGET", "-p tcp -m tcp --dport 99999 -j ACCEPT"):
        chain = Chain(netns="node1", table="nat", name="KUBE-TEST", rules=("-p tcp -j DNAT --to-destination 10.244.1.2:80", rule))
        with pytest.raises(CommandFailedError, match=f"line 4: -A KUBE-TEST {rule}"):
            inside(lambda chain=chain: rules.apply([Operation("create", chain)]))
    assert not list(inside(lambda: [item for item in rules.observe("node1", (SharedChain,)) if item.key[3:] == ("KUBE-TEST",)]))


@pytest.mark.needs("iptables")
def test_the_hosts_rules_stay_as_they_are(inside: Callable[[Callable[[], Any]], Any]) -> None:
    """Choosing a variant and applying rules touches the namespace alone."""

    def host() -> list[str]:
        programs = ("iptables-nft-save", "iptables-legacy-save", "nft list ruleset")
        return [subprocess.run(line.split(), capture_output=True, text=True, check=True).stdout for line in programs]

    before = host()
    iptables.variant.cache_clear()
    inside(lambda: rules.apply(difference({}, planned(ProxyConfig(), services()))))
    assert host() == before
