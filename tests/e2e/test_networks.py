"""Every pod network, pair by pair: who reaches whom, and which source address is seen; the kernel objects are those of the original.

client 203.0.113.10 ── router ── 172.18.0.0/24: node1 .11 (pods a, b), node2 .12 (pods c, d); a host pod on each node
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

NODES = {"node1": "172.18.0.11", "node2": "172.18.0.12"}
CLIENT = "203.0.113.10"
PEER_SERVER = (
    "import socket\n"
    "server = socket.create_server(('', 7000))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    peer, address = server.accept()\n"
    "    peer.sendall(address[0].encode())\n"
    "    peer.close()\n"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is like on node1: the source addresses seen (OWN: the sender's own), the pods' MTU, and what `ip` and `bridge` show.

    `shows` maps a command on node1 (pod/NAME: before it) to patterns that whole lines of its output match, in order and with nothing between.
    """

    pod_to_other_node: str
    node_to_own_pod: str
    node_to_other_pod: str
    mtu: int
    shows: dict[str, list[str]]
    postrouting: str
    nodes: int = 2


OWN = "its own"
HOSTED = r"dev veth[0-9a-f]{8}"
SHAPES = {
    "bridge": Shape(
        pod_to_other_node="",
        node_to_own_pod="172.17.0.1",
        node_to_other_pod="",
        mtu=1500,
        shows={
            "node/node1 -- ip -4 route": [
                r"default via 172\.18\.0\.1 dev eth0 proto static",
                r"172\.17\.0\.0/16 dev docker0 proto kernel scope link src 172\.17\.0\.1",
                r"172\.18\.0\.0/24 dev eth0 proto kernel scope link src 172\.18\.0\.11",
            ],
            "node/node1 -- ip -4 -br addr show docker0": [r"docker0 UP 172\.17\.0\.1/16"],
            "a -- ip -4 route": [r"default via 172\.17\.0\.1 dev eth0", r"172\.17\.0\.0/16 dev eth0 proto kernel scope link src 172\.17\.\d+\.\d+"],
        },
        postrouting=r"-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        nodes=1,
    ),
    "hostgw": Shape(
        pod_to_other_node=OWN,
        node_to_own_pod="10.244.1.1",
        node_to_other_pod="172.18.0.11",
        mtu=1500,
        shows={
            "node/node1 -- ip -4 route": [
                r"default via 172\.18\.0\.1 dev eth0 proto static",
                r"10\.244\.1\.0/24 dev cbr0 proto kernel scope link src 10\.244\.1\.1",
                r"10\.244\.2\.0/24 via 172\.18\.0\.12 dev eth0",
                r"172\.18\.0\.0/24 dev eth0 proto kernel scope link src 172\.18\.0\.11",
            ],
            "node/node1 -- ip -4 -br addr show cbr0": [r"cbr0 UP 10\.244\.1\.1/24"],
            "a -- ip -4 route": [r"default via 10\.244\.1\.1 dev eth0", r"10\.244\.1\.0/24 dev eth0 proto kernel scope link src 10\.244\.1\.\d+"],
        },
        postrouting=r"-A POSTROUTING -s 10.244.0.0/16 .*-m addrtype ! --dst-type LOCAL -j KUBENET-MASQ",
    ),
    "vxlan": Shape(
        pod_to_other_node="172.18.0.11",
        node_to_own_pod="10.244.1.1",
        node_to_other_pod="10.244.1.0",
        mtu=1450,
        shows={
            "node/node1 -- ip -4 route": [
                r"default via 172\.18\.0\.1 dev eth0 proto static",
                r"10\.244\.1\.0/24 dev cni0 proto kernel scope link src 10\.244\.1\.1",
                r"10\.244\.2\.0/24 via 10\.244\.2\.0 dev flannel\.1 onlink",
                r"172\.18\.0\.0/24 dev eth0 proto kernel scope link src 172\.18\.0\.11",
            ],
            "node/node1 -- ip -4 -br addr show flannel.1": [r"flannel\.1 UNKNOWN 10\.244\.1\.0/32"],
            "node/node1 -- ip -d link show flannel.1": [
                r"\d+: flannel\.1: .* mtu 1450 .*",
                r"link/ether .*",
                r"vxlan id 1 local 172\.18\.0\.11 dev eth0 srcport 0 0 dstport 8472 nolearning .*",
            ],
            "node/node1 -- ip neigh show dev flannel.1": [r"10\.244\.2\.0 lladdr MAC2 PERMANENT"],
            "node/node1 -- bridge fdb show dev flannel.1": [r"MAC2 dst 172\.18\.0\.12 self permanent"],
        },
        postrouting=r"-A POSTROUTING .*flanneld masq.* -j FLANNEL-POSTRTG",
    ),
    "ipip": Shape(
        pod_to_other_node="172.18.0.11",
        node_to_own_pod="10.244.1.0",  # tunl0 is there before eth0 in every namespace of a kernel with ipip: it lends its address first
        node_to_other_pod="10.244.1.0",
        mtu=1480,
        shows={
            "node/node1 -- ip -4 route": [
                r"default via 172\.18\.0\.1 dev eth0 proto static",
                r"blackhole 10\.244\.1\.0/24 proto bird",
                r"10\.244\.1\.1 dev cali[0-9a-f]{11} scope link",
                r"10\.244\.1\.2 dev cali[0-9a-f]{11} scope link",
                r"10\.244\.1\.255 dev cali[0-9a-f]{11} scope link",  # cluster DNS
                r"10\.244\.2\.0/24 via 172\.18\.0\.12 dev tunl0 proto bird onlink",
                r"172\.18\.0\.0/24 dev eth0 proto kernel scope link src 172\.18\.0\.11",
            ],
            "node/node1 -- ip -4 -br addr show tunl0": [r"tunl0@NONE UNKNOWN 10\.244\.1\.0/32"],
            "a -- ip -4 route": [r"default via 169\.254\.1\.1 dev eth0", r"169\.254\.1\.1 dev eth0 scope link"],
            "a -- ip -4 -br addr show eth0": [r"eth0@if\d+ UP 10\.244\.1\.\d+/32"],
        },
        postrouting=r"-A cali-nat-outgoing -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE --random-fully",
    ),
    "plugin": Shape(
        pod_to_other_node=OWN,
        node_to_own_pod="10.244.1.1",
        node_to_other_pod="172.18.0.11",
        mtu=1500,
        shows={
            "node/node1 -- ip -4 route": [
                r"default via 172\.18\.0\.1 dev eth0 proto static",
                r"10\.244\.1\.0/24 dev cni0 proto kernel scope link src 10\.244\.1\.1",
                r"10\.244\.2\.0/24 via 172\.18\.0\.12 dev eth0",
                r"172\.18\.0\.0/24 dev eth0 proto kernel scope link src 172\.18\.0\.11",
            ],
            "a -- ip -4 route": [r"default via 10\.244\.1\.1 dev eth0", r"10\.244\.1\.0/24 dev eth0 proto kernel scope link src 10\.244\.1\.\d+"],
        },
        postrouting=r"-A POSTROUTING -s 10.244.0.0/16 .*-m addrtype ! --dst-type LOCAL -j KUBENET-MASQ",
    ),
}


def render_scenario(plugin: str) -> str:
    shape = SHAPES[plugin]
    nodes = list(NODES)[: shape.nodes]
    network = f"{{plugin: {plugin}}}" if plugin == "bridge" else f"{{plugin: {plugin}, podCIDR: 10.244.0.0/16}}"
    lines = ["apiVersion: klab.dev/v1", "kind: Lab", f"metadata: {{name: {plugin}}}", "spec:", f"  network: {network}", "  nodes:"]
    for number, node in enumerate(nodes, 1):
        block = "" if plugin == "bridge" else f", podCIDR: 10.244.{number}.0/24"
        lines.append(f"  - {{name: {node}, address: {NODES[node]}{block}}}")
    for name, place, own in [
        ("a", 0, ""),
        ("b", 0, ""),
        ("c", -1, ""),
        ("d", -1, ""),
        *((f"host{place}", place, "hostNetwork: true, ") for place in range(len(nodes))),
    ]:
        lines += ["---", "apiVersion: v1", "kind: Pod", f"metadata: {{name: {name}}}"]
        lines.append(f"spec: {{nodeName: {nodes[place]}, {own}containers: [{{name: echo, image: echoserver, ports: [{{containerPort: 8080}}]}}]}}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Network:
    """A lab that is up: its machine, its shape, the addresses of its pods and their nodes."""

    machine: Machine
    shape: Shape
    pods: dict[str, str]
    homes: dict[str, str]

    def ask(self, source: str, targets: dict[str, str]) -> dict[str, str]:
        """From a pod, or node/NODE, ask each target for the source address that it saw; "" where there was no answer."""
        one = 'curl -s -m 3 "http://$target:8080/" | sed -n "s/^client_address=//p"'
        told = self.machine.check(f"klab exec {source} -- sh -c 'for target in {' '.join(targets.values())}; do echo \"$target $({one})\"; done'")
        seen = dict(line.split(" ") for line in told.splitlines())
        return {name: seen[address] for name, address in targets.items()}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.needs("ipip") if name == "ipip" else ()) for name in SHAPES])
def network(request: pytest.FixtureRequest, shared_machine: Machine) -> Iterator[Network]:
    plugin: str = request.param
    shared_machine.check(f"klab up {shared_machine.write(f'{plugin}.yaml', render_scenario(plugin))}")
    pods = shared_machine.json("klab get pods -o json")["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    own = {pod["metadata"]["name"]: pod for pod in pods if not pod["spec"].get("hostNetwork")}
    yield Network(
        shared_machine,
        SHAPES[plugin],
        {name: pod["status"]["podIP"] for name, pod in own.items()},
        {name: pod["spec"]["nodeName"] for name, pod in own.items()},
    )
    shared_machine.check(f"klab down {plugin}")


@pytest.mark.parametrize("source", "abcd")
def test_pods_reach_all_pods_and_are_seen_with_their_own_address(network: Network, source: str) -> None:
    assert network.ask(source, network.pods) == dict.fromkeys(network.pods, network.pods[source])


def test_pods_reach_all_nodes(network: Network) -> None:
    targets = dict(list(NODES.items())[: network.shape.nodes])
    expected = {"node1": network.pods["a"]}
    if network.shape.nodes > 1:
        expected["node2"] = network.pods["a"] if network.shape.pod_to_other_node == OWN else network.shape.pod_to_other_node
    assert network.ask("a", targets) == expected


def test_nodes_reach_all_pods(network: Network) -> None:
    expected = {name: network.shape.node_to_own_pod if network.homes[name] == "node1" else network.shape.node_to_other_pod for name in network.pods}
    assert network.ask("node/node1", network.pods) == expected


def test_what_leaves_the_cluster_has_the_address_of_the_node(network: Network) -> None:
    server = f'klab exec client -- python3 -c "{PEER_SERVER}"'
    ask = f"-- curl -s -m 3 telnet://{CLIENT}:7000"
    seen = network.machine.check(f"exec 3< <({server}); read -r <&3; klab exec a {ask}; echo; klab exec node/node1 {ask}; kill $!")
    assert seen.split() == [NODES["node1"], NODES["node1"]]
    assert re.search(f"^{network.shape.postrouting}$", network.machine.check("klab exec node/node1 -- iptables -t nat -S"), re.MULTILINE)


def test_a_full_packet_passes_and_a_larger_one_does_not(network: Network) -> None:
    mtu, target = network.shape.mtu, network.pods["d"]
    assert network.machine.check("klab exec a -- cat /sys/class/net/eth0/mtu").strip() == str(mtu)
    ping = "klab exec a -- ping -c 1 -M do"
    assert network.machine.run(f"{ping} -W 2 -s {mtu - 28} {target}").returncode == 0
    refused = network.machine.run(f"{ping} -W 0.2 -s {mtu - 27} {target} 2>&1")
    assert f"message too long, mtu={mtu}" in refused.stdout


def test_the_kernel_shows_what_the_original_builds(network: Network) -> None:
    for command, patterns in network.shape.shows.items():
        if "MAC2" in " ".join(patterns):
            mac = network.machine.check("klab exec node/node2 -- cat /sys/class/net/flannel.1/address").strip()
            patterns = [pattern.replace("MAC2", mac) for pattern in patterns]  # noqa: PLW2901 (the table's word stands for it)
        lines = [" ".join(line.split()) for line in network.machine.check(f"klab exec {command}").splitlines()]
        assert len(lines) == len(patterns), (command, lines)
        for line, pattern in zip(lines, patterns, strict=True):
            assert re.fullmatch(pattern, line), command
