"""Services of one lab a mode while their pods, ports and types change; iptables over VXLAN, nftables over plain routes, ipvs over IP-in-IP."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

FOLDER = Path(__file__).parent
LISTINGS = {
    "iptables": ["iptables-save"],
    "nftables": ["nft list ruleset"],
    "ipvs": ["ipvsadm -S -n", "ipset save", "ip -o addr show dev kube-ipvs0"],
}
LISTED_AS = [
    (r"iptables -w -t nat -N (.*)$", ":{} "),
    (r"iptables -w -t nat -[AI] (.*)$", "-A {}"),
    (r"nft 'add chain ip kube-proxy (.*)'$", "chain {} {{"),
    (r"nft 'add rule ip kube-proxy \S+ (.*)'$", "{}"),
    (r"nft 'add element ip kube-proxy \S+ { (.*) }'$", "{}"),
    (r" (?:ipvsadm|ipset) (.*)$", "{}"),
    (r" addr(?:ess)? (?:add|replace) (\S+) ", "inet {}"),
]
"""How each line that `explain` prints is listed by the node's tools."""
NETWORKS = {"iptables": "vxlan", "nftables": "hostgw", "ipvs": "ipip"}
MODES = [
    pytest.param("iptables", marks=pytest.mark.needs("iptables", "vxlan")),
    pytest.param("nftables", marks=pytest.mark.needs("nft")),
    pytest.param("ipvs", marks=pytest.mark.needs("ip_vs", "dummy", "ipset", "ipip")),
]
LAB = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {{name: live}}
spec:
  network: {{plugin: {network}, podCIDR: 10.244.0.0/16}}
  services: {{proxy: {mode}}}
  nodes:
  - {{name: node1, address: 172.18.0.11, podCIDR: 10.244.1.0/24, labels: {{topology.kubernetes.io/zone: here}}}}
  - {{name: node2, address: 172.18.0.12, podCIDR: 10.244.2.0/24, labels: {{topology.kubernetes.io/zone: there}}}}
---
"""


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lab(shared_machine: Machine, mode: str) -> Iterator[Machine]:
    """Give a machine with one lab in it."""
    text = LAB.format(mode=mode, network=NETWORKS[mode]) + (FOLDER / "services.yaml").read_text()
    for program in ("ask.py", "teller.py"):
        shared_machine.write(program, (FOLDER / program).read_text())
    shared_machine.check(f"klab up {shared_machine.write('live.yaml', text)}")
    shared_machine.check("for node in node1 node2; do klab exec node/$node -- sysctl -qw net.ipv4.icmp_ratelimit=0; done")
    yield shared_machine
    shared_machine.check("klab down live")


def ask_all(lab: Machine, questions: dict[str, tuple[set[str], int]], source: str = "asker") -> dict[str, set[str]]:
    """Ask web servers (host, or host:port) for their names until those expected have answered, and at least so often; give who did."""
    asked = {where: (*where.split(":"), sorted(expected), least) for where, (expected, least) in questions.items()}
    asked = {where: (item[0], int(item[1]), *item[2:]) if len(item) == 4 else (item[0], 80, *item[1:]) for where, item in asked.items()}
    told = lab.json(f"klab exec {source} -- python3 - {shlex.quote(json.dumps(asked))} <ask.py")
    return {where: set(names) for where, names in told.items()}


def wait_for(lab: Machine, where: str, expected: set[str], seconds: float = 15, source: str = "asker") -> None:
    """Ask until the answer is the expected one."""
    deadline = time.monotonic() + seconds
    while (found := ask_all(lab, {where: (expected, 3)}, source)[where]) != expected:
        assert time.monotonic() < deadline, (found, expected)


def apply(lab: Machine, text: str) -> None:
    lab.check(f"klab apply {lab.write('change.yaml', text)}")


def test_who_answers(lab: Machine) -> None:
    """All replicas; each pod at the port that it gives the name; the near pod alone; endpoints by hand; what is not ready; names."""
    replicas = set(lab.check("klab get pods -l app=web -o name").replace("pod/", "").split())
    assert len(replicas) == 10
    expected: dict[str, tuple[set[str], int]] = {
        "10.96.2.1": (replicas, 100),
        "10.96.2.3": ({"first"}, 12),
        "10.96.2.4": ({"first", "second"}, 40),
        "10.96.2.6": ({"second"}, 1),
        "10.96.2.7": ({"second"}, 1),
        "10.96.2.8": ({"REFUSED"}, 1),
        "10.96.2.9": ({"REFUSED"}, 1),
        "10.96.2.10": ({"gated"}, 1),
        "web": (replicas, 100),
        "alias": ({"first", "second"}, 40),
        "headless:9090": ({"second"}, 1),
    }
    assert ask_all(lab, expected) == {where: names for where, (names, _) in expected.items()}
    assert ask_all(lab, {"10.96.2.3": ({"second"}, 12)}, "second") == {"10.96.2.3": {"second"}}
    assert lab.check("klab get endpoints named -o jsonpath='{.subsets[*].ports[*].port}'").split() == ["8080", "9090"]


def test_affinity_lasts_as_long_as_it_is_told(lab: Machine, mode: str) -> None:
    """Within a second of the last connection a client meets the same pod; later, another one."""
    replicas = set(lab.check("klab get pods -l app=web -o name").replace("pod/", "").split())
    (met,) = ask_all(lab, {"10.96.2.2": (replicas, 50)})["10.96.2.2"]
    assert met in replicas
    if mode == "ipvs":  # its templates outlive the connections that they made, which the kernel keeps for two minutes
        assert "TCP  10.96.2.2:80 rr persistent 1\n" in lab.check("klab exec node/node1 -- ipvsadm -L -n")
        return
    later = lab.check("klab exec asker -- sh -c 'for i in 1 2 3 4; do sleep 2.1; curl -s -m 2 10.96.2.2/hostname; echo; done'").split()
    assert len(set(later)) > 1, later


LONG_DATAGRAM = """
import socket
client = socket.socket(type=socket.SOCK_DGRAM)
client.settimeout(3)
client.sendto(b"echo " + 2000 * b"x", ("10.96.2.11", 81))
print(len(client.recv(4096)))
"""
DIGEST_SERVER = """
import hashlib, socket
server = socket.create_server(("", 9999))
print("ready", flush=True)
peer, _ = server.accept()
peer.sendall(hashlib.sha256(b"".join(iter(lambda: peer.recv(65536), b""))).hexdigest().encode())
"""
LONG_STREAM = """
import hashlib, random, socket
data = random.randbytes(10_000_000)
client = socket.create_connection(("10.96.2.11", 81), 20)
client.sendall(data)
client.shutdown(socket.SHUT_WR)
print(client.recv(64).decode() == hashlib.sha256(data).hexdigest())
"""


def test_long_messages_cross_the_pod_network(lab: Machine) -> None:
    """A datagram longer than a packet, there and back, and ten million bytes in one connection, through a Service to a pod of the other node."""
    lab.check("klab label pod first pair=no --overwrite")
    wait_for(lab, "10.96.2.4", {"second"})
    assert lab.check(f"klab exec asker -- python3 -c {shlex.quote(LONG_DATAGRAM)}") == "2000\n"
    serve, send = (f"klab exec {pod} -- python3 -c {shlex.quote(code)}" for pod, code in (("second", DIGEST_SERVER), ("asker", LONG_STREAM)))
    assert lab.check(f"exec 3< <({serve}); read -r <&3; {send}") == "True\n"
    lab.check("klab label pod first pair=yes --overwrite")
    wait_for(lab, "10.96.2.4", {"first", "second"})


TELLER = """
exec 3< <(klab exec asker -- python3 - 10.96.2.5 80 <teller.py)
teller=$!
hear() {{ until [ "$line" = "$1" ]; do read -r -t 10 line <&3; done; echo "$line"; }}
line=
hear first
klab label pod second turn=first >&2; klab label pod first turn- >&2
hear second
klab label pod second turn- >&2
hear REFUSED
klab label pod first turn=first >&2
hear first
{remove} >&2
hear {removed}
kill $teller
"""


def test_a_client_port_moves_with_the_endpoints(lab: Machine, mode: str) -> None:
    """One UDP flow that never ends: to the new pod when the old one goes, refused without any, served again, and cut off with the port."""
    remove = (
        'klab get service turn -o json | python3 -c \'import json, sys; s = json.load(sys.stdin); del s["spec"]["ports"][0]; print(json.dumps(s))\' '
    )
    lab.write("teller.sh", TELLER.format(remove=f"{remove} | klab apply -", removed="SILENCE" if mode == "iptables" else "REFUSED"))
    assert lab.check("bash -euo pipefail teller.sh").split()[:4] == ["first", "second", "REFUSED", "first"]


def test_explained_lines_stand_in_the_kernel(lab: Machine, mode: str) -> None:
    """Each line that `explain` gives for a Service is found again in what the node's own tools list."""
    listed = " ".join(lab.check("; ".join(f"klab exec node/node1 -- {tool}" for tool in LISTINGS[mode])).split())
    lines = [line for line in lab.check("klab explain svc/named").splitlines() if "live_node1 " in line]
    assert len(lines) > 5
    for line in lines:
        found = [form.format(match[1]) for pattern, form in LISTED_AS if (match := re.search(pattern, line))]
        assert found, line
        assert found[0] in listed, line


# The controllers do the following, whatever the mode.


@pytest.mark.parametrize("mode", ["iptables"], indirect=True)
def test_readiness_and_the_end_of_a_pod(lab: Machine) -> None:
    wait_for(lab, "10.96.2.9", {"REFUSED"})
    lab.check("klab exec gated -- touch /state/ready")
    wait_for(lab, "10.96.2.9", {"gated"})
    lab.check("klab exec gated -- rm /state/ready")
    wait_for(lab, "10.96.2.9", {"REFUSED"})
    wait_for(lab, "10.96.2.10", {"gated"})
    lab.check("klab exec gated -- touch /state/ready")
    wait_for(lab, "10.96.2.9", {"gated"})
    lab.check("klab delete pod gated --no-wait")
    conditions = "klab get endpointslices -l kubernetes.io/service-name=gated -o jsonpath='{.items[0].endpoints[0].conditions}'"
    assert lab.json(conditions) == {"ready": False, "serving": True, "terminating": True}
    wait_for(lab, "10.96.2.9", {"gated"})
    lab.check("timeout 10 klab delete pod gated --now")  # which cuts the thirty seconds short
    wait_for(lab, "10.96.2.9", {"REFUSED"})


@pytest.mark.parametrize("mode", ["iptables"], indirect=True)
def test_types_of_a_live_service(lab: Machine) -> None:
    """Node ports open with NodePort, stay with LoadBalancer, and are free for others with ClusterIP."""

    def service(name: str, **spec: str) -> str:
        fields = ", ".join(f"{key}: {value}" for key, value in spec.items())
        return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{pair: 'yes'}}, {fields}}}\n"

    answer, node = {"first", "second"}, "172.18.0.11:30555"
    plain, open_port = "[{port: 80, targetPort: http}]", "[{port: 80, targetPort: http, nodePort: 30555}]"
    apply(lab, service("changing", ports=plain))
    address = lab.check("klab get service changing -o jsonpath='{.spec.clusterIP}'")
    wait_for(lab, address, answer)
    wait_for(lab, node, {"REFUSED"}, source="client")
    apply(lab, service("changing", type="NodePort", ports=open_port))
    wait_for(lab, node, answer, source="client")
    apply(lab, service("changing", type="LoadBalancer", ports=open_port))
    assert re.search(rf"changing +LoadBalancer +{address} +<pending> +80:30555/TCP", lab.check("klab get svc"))
    wait_for(lab, node, answer, source="client")
    taken = lab.run(f"klab apply {lab.write('other.yaml', service('other', type='NodePort', ports=open_port))}")
    assert (taken.returncode, "spec.ports[0].nodePort: Invalid value: 30555: provided port is already allocated" in taken.stderr) == (3, True)
    apply(lab, service("changing", type="ClusterIP", ports=plain))
    wait_for(lab, node, {"REFUSED"}, source="client")
    wait_for(lab, address, answer)
    apply(lab, service("other", type="NodePort", ports=open_port))
    wait_for(lab, node, answer, source="client")
    lab.check("klab delete svc changing other")
    wait_for(lab, node, {"REFUSED"}, source="client")


@pytest.mark.parametrize("mode", ["iptables"], indirect=True)
def test_what_get_and_describe_print(lab: Machine) -> None:
    def row(command: str) -> list[str]:
        return lab.check(f"klab get {command} --no-headers").split()[:-1]

    first = lab.check("klab get pod first -o jsonpath='{.status.podIP}'")
    assert row("svc web") == ["web", "ClusterIP", "10.96.2.1", "<none>", "80/TCP,80/UDP"]
    assert row("svc headless") == ["headless", "ClusterIP", "None", "<none>", "80/TCP"]
    assert row("svc alias") == ["alias", "ExternalName", "<none>", "named.default.svc.cluster.local", "<none>"]
    assert row("endpoints named") == ["named", f"{first}:8080,10.244.2.50:9090"]
    assert row("endpoints by-endpoints") == ["by-endpoints", "10.244.2.50:9090"]
    assert row("endpointslices by-slice-1") == ["by-slice-1", "IPv4", "9090", "10.244.2.50"]
    described = dict(re.findall(r"^(\S.*?): +(.*)$", lab.check("klab describe svc sticky"), re.MULTILINE))
    assert described | {"Session Affinity": "ClientIP", "IP": "10.96.2.2", "Port": "<unset>  80/TCP", "TargetPort": "8080/TCP"} == described
