"""The host's own network stays byte for byte as it was; large labs come up and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

HOST = r"""
ip -j link; ip -j addr; ip -j route show table all; ip -j -6 route show table all; ip -j rule; ip -j neigh
iptables-save | sed "/^#/d; s/\[[0-9:]*\]//"; ip6tables-save | sed "/^#/d; s/\[[0-9:]*\]//"
nft --stateless list ruleset || true
sysctl -a 2>/dev/null | grep -vE 'random|_nr|-nr|nr_|count|-state|ns_last_pid|cdrom|sched|entropy|stat'
"""
"""The host's network and settings, but for counters."""


STRANGERS = """
ip link add cni0 type bridge
ip link set cni0 addrgenmode none
ip addr add 10.244.0.1/24 dev cni0
ip link set cni0 up
ip link add docker0 type bridge
ip route add blackhole 172.18.0.0/16
ip rule add from 10.244.0.0/16 lookup 100
iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
iptables -N KUBE-SERVICES
nft add table ip mine || true
sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.default.rp_filter=1
"""
"""What a host may have of its own, in klab's own ranges and by klab's own names."""


def render_lab(name: str, spec: str, pods: int) -> str:
    head = f"apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    container = "{name: echo, image: echoserver, ports: [{containerPort: 8080}]}"
    return head + "".join(
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\nspec: {{containers: [{container}]}}\n" for number in range(pods)
    )


SERVICE = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}\n"


@pytest.mark.parametrize(
    ("plugin", "proxy"),
    [
        ("bridge", "iptables"),
        ("hostgw", "nftables"),
        ("vxlan", "iptables"),
        pytest.param("ipip", "ipvs", marks=pytest.mark.needs("ipip", "ip_vs", "dummy")),
        ("plugin", "iptables"),
    ],
)
def test_the_host_is_the_same_before_during_and_after(machine: Machine, plugin: str, proxy: str) -> None:
    machine.check(STRANGERS)
    machine.write("lab.yaml", render_lab("same", f"network: {{plugin: {plugin}}}, services: {{proxy: {proxy}}}", 3) + SERVICE)
    before = machine.check(HOST)
    machine.check("klab up lab.yaml")
    during = machine.check(HOST)
    machine.check("klab exec p0 -- ip route; klab up lab.yaml; klab delete pod p0")
    machine.check("klab down")
    after = machine.check(HOST)
    assert during == before
    assert after == before


def test_a_host_that_was_never_touched_has_no_rules_afterwards(machine: Machine) -> None:
    """Even reading rules with iptables-nft can leave empty tables behind."""
    machine.write("lab.yaml", render_lab("vxlan", "", 2))
    machine.check("klab doctor >/dev/null; klab up lab.yaml; klab plan lab.yaml; klab down")
    assert machine.check("nft list ruleset; ip netns; ip -o link | wc -l; find /run -mindepth 1 -not -path '/run/mount*'") == "1\n"


def test_what_others_have_in_run_netns_stays(machine: Machine) -> None:
    machine.write("lab.yaml", render_lab("vxlan", "", 2))
    machine.check("ip netns add mine && ip netns add vxlan_mine && ip netns add vxlan_node1")
    refused = machine.run("klab up lab.yaml")
    machine.check("klab down vxlan")
    assert machine.check("ip netns | cut -d ' ' -f 1 | sort").split() == ["mine", "vxlan_mine", "vxlan_node1"], refused.stderr


@pytest.mark.timeout(240)
def test_a_thousand_pods_on_ten_nodes_come_and_go(machine: Machine) -> None:
    nodes = ", ".join(f"{{name: node{number}}}" for number in range(10))
    machine.write("large.yaml", render_lab("large", f"nodes: [{nodes}]", 1000))
    told = machine.json("timeout 120 klab up large.yaml -o json")
    assert (told["pods"], told["ready"]) == (1000, 1000)
    address = machine.check("klab get pod p999 -o jsonpath={.status.podIP}")
    assert f"client_address={machine.check('klab get pod p0 -o jsonpath={.status.podIP}')}" in machine.check(
        f"klab exec p0 -- curl -s -m 5 {address}:8080"
    )
    again = machine.json("klab up large.yaml -o json")
    assert (again["changed"], again["repaired"]) == (0, [])
    machine.check("klab down")
    assert machine.check("ip netns; ip -o link | wc -l; find /run -mindepth 1 -not -path '/run/mount*'") == "1\n"
