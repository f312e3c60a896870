"""The rules of six services are those that kube-proxy writes, word for word: its own test's expectation is kept in data/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from klab.kubeproxy.config import ProxyConfig
from klab.linux.iptables import Chain, Rule
from klab.linux.nft import NftTable

DATA = Path(__file__).parent / "data"
PORT = {"p80": ("TCP", 80)}


@pytest.fixture
def services(make: Any) -> tuple[Any, ...]:
    def port(**more: Any) -> dict[str, Any]:
        return {"name": "p80", "port": 80, **more}

    def at(*addresses: str, node: str = "") -> tuple[Any, ...]:
        return (make.slice(PORT, [make.endpoint(address, node) for address in addresses]),)

    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.42", "healthCheckNodePort": 30000}
    ranges = {"loadBalancerSourceRanges": [" 203.0.113.0/25"], "sessionAffinity": "ClientIP", "healthCheckNodePort": 30000}
    both = (make.slice(PORT, [make.endpoint("10.180.0.4"), make.endpoint("10.180.0.5", "node1")]),)
    listed = (
        (1, {"clusterIP": "172.30.0.41", "ports": [port()]}, (), at("10.180.0.1")),
        (2, {**local, "ports": [port(nodePort=3001)], "externalIPs": ["192.168.99.22"]}, ["1.2.3.4"], at("10.180.0.2")),
        (3, {"type": "NodePort", "clusterIP": "172.30.0.43", "ports": [port(nodePort=3003)]}, (), at("10.180.0.3")),
        (4, {"type": "NodePort", "clusterIP": "172.30.0.44", "externalIPs": ["192.168.99.33"], "ports": [port()]}, (), both),
        (5, {"type": "LoadBalancer", "clusterIP": "172.30.0.45", "ports": [port(nodePort=3002)], **ranges}, ["5.6.7.8"], at("10.180.0.3")),
        (6, {"clusterIP": "172.30.0.46", "ports": [port()]}, (), ()),
    )
    return tuple((make.service(f"svc{n}", spec, namespace=f"ns{n}", ingress=ingress), slices) for n, spec, ingress, slices in listed)


def canonical(rule: str) -> list[str]:
    """Sort the options of an iptables rule, and leave out what iptables-save adds (masks, defaults, implied matches)."""
    text = rule.replace("--or-mark 0x4000", "--set-xmark 0x4000/0x4000").replace("--xor-mark 0x4000", "--set-xmark 0x4000/0x0")
    text = re.sub(r"/32\b| --random-fully| --reject-with \S+| --mask \S+ --rsource", "", text)
    text = re.sub(r"--probability (\S+)", lambda found: f"--probability {float(found[1]):.6f}", text)
    grouped: list[str] = []
    for word in shlex.split(text):
        starts = word == "!" or (word.startswith("-") and (not grouped or not grouped[-1].endswith("!")))
        if starts:
            grouped.append(word)
        else:
            grouped[-1] += f" {word}"
    return sorted(grouped)


def test_iptables(make: Any, services: tuple[Any, ...]) -> None:
    """Packets counters for nfacct are left out, and so is what kube-proxy's test leaves out: jumps and the canary."""
    world = make.world(services, make.node(), ProxyConfig(cluster_cidr="10.0.0.0/8"))
    ours = [rule for item in world.objects() if isinstance(item, Chain | Rule) for rule in lines(item)]
    theirs = [line for line in DATA.joinpath("overall.iptables").read_text().splitlines() if line.startswith("-A ") and "localhost_nps" not in line]
    theirs = [line.replace(" -m nfacct --nfacct-name ct_state_invalid_dropped_pkts", "") for line in theirs]
    assert sorted(map(canonical, ours)) == sorted(map(canonical, theirs))


def lines(item: Chain | Rule) -> Iterator[str]:
    if isinstance(item, Chain):
        yield from (f"-A {item.name} {rule}" for rule in item.rules)
    elif item.chain.startswith("KUBE-"):
        yield f"-A {item.chain} {item.text}"


def test_nftables(make: Any, services: tuple[Any, ...]) -> None:
    """What differs is said beside it in the planner: the node's own packets are checked for endpoints after DNAT."""
    node = make.node(ip="192.168.0.2", addresses=("192.168.0.2",))
    settings = {"cluster_cidr": "10.0.0.0/8", "service_cidrs": ("172.30.0.0/16",), "node_port_addresses": ("192.168.0.0/24",)}
    objects = make.world(services, node, ProxyConfig(mode="nftables", **settings)).objects()
    ours = {line for item in objects for line in item.additions()}
    assert isinstance(objects[0], NftTable)
    theirs = {as_listed(line) for line in DATA.joinpath("overall.nft").read_text().splitlines() if line.startswith("add ")}
    moved = "add rule ip kube-proxy filter-output{} ct state new jump service-endpoints-check"
    assert ours ^ theirs == {moved.format(""), moved.format("-post-dnat")}


def as_listed(line: str) -> str:
    """Write a command of kube-proxy's as nft would print it."""
    for said, printed in (
        ("mark set mark or 0x4000", "meta mark set meta mark | 0x00004000"),
        ("mark set mark xor 0x4000", "meta mark set meta mark ^ 0x00004000"),
        ("mark and 0x4000 == 0 return", "meta mark & 0x00004000 == 0x00000000 return"),
        (" , ", ", "),
    ):
        line = line.replace(said, printed)
    return re.sub(r"((?:!=|daddr) )\{ (\S+) \}", r"\1\2", line)
