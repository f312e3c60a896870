"""Who answers at a Service, and whose address the answering pod sees: each way in, from each place, under each policy; one table for all three modes.

client 203.0.113.10 ── router ── 172.18.0.0/24: node1 .11 (pods back1, pod1), node2 .12 (pods back2, pod2); the router leads to external IPs by node1
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

ASK = (Path(__file__).parent / "ask.py").read_text()
MODES = [
    pytest.param("iptables", marks=pytest.mark.needs("iptables")),
    pytest.param("nftables", marks=pytest.mark.needs("nft")),
    pytest.param("ipvs", marks=pytest.mark.needs("ip_vs", "dummy", "ipset")),
]
LISTING = {"iptables": "iptables-save", "nftables": "nft list ruleset", "ipvs": "ipvsadm -L -n"}
NODES = {"node1": "172.18.0.11", "node2": "172.18.0.12"}
CLIENT = "203.0.113.10"
PODS = {"back1": "10.244.1.10", "pod1": "10.244.1.20", "back2": "10.244.2.10", "pod2": "10.244.2.20"}
OWN = {**PODS, **NODES, "client": CLIENT}

# What the pods of a Service are called, and its policies. Its place in the list is the last number of all its addresses.
SERVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "everywhere": ("back", {}),
    "local": ("back", {"externalTrafficPolicy": "Local"}),
    "remote": ("back2", {"externalTrafficPolicy": "Local"}),
    "inside": ("back", {"internalTrafficPolicy": "Local"}),
    "away": ("back2", {"internalTrafficPolicy": "Local"}),
    "nobody": ("nothing", {}),
    "nobody-local": ("nothing", {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}),
    "ranged": ("back2", {"loadBalancerSourceRanges": [f"{CLIENT}/32"]}),
}
NUMBERS = {name: number for number, name in enumerate(SERVICES, 1)}

# own: every pod of the Service answers, and sees the address of who asks (a pod that is answered by itself is masqueraded by its node);
# masq1, masq2: that node has put its own address on the side of the answering pod in its place; eth1, eth2: its address on the underlay;
# vip: the very address that was asked. back1:, back2: this pod alone answers. A dash: there is no way.
TABLE = """
service       asked      pod1          pod2          back1         node1         node2         client
everywhere    cluster    own           own           own           masq1         masq2         -
everywhere    node1      masq1         masq1         masq1         masq1         masq1         masq1
everywhere    node2      masq2         masq2         masq2         masq2         masq2         masq2
everywhere    localhost  -             -             -             masq1         masq2         -
everywhere    external   masq1         masq2         masq1         masq1         masq2         masq1
everywhere    balancer   masq1         masq2         masq1         masq1         masq2         masq1
local         cluster    own           own           own           masq1         masq2         -
local         node1      own           back1:eth2    own           masq1         back1:own     back1:own
local         node2      back2:eth1    own           back2:eth1    back2:own     masq2         back2:own
local         localhost  -             -             -             masq1         masq2         -
local         external   own           own           own           masq1         masq2         back1:own
local         balancer   own           own           own           masq1         masq2         back1:own
remote        cluster    back2:own     back2:own     back2:own     back2:masq1   back2:masq2   -
remote        node1      back2:own     TIMEOUT       back2:own     back2:masq1   TIMEOUT       TIMEOUT
remote        node2      back2:eth1    back2:own     back2:eth1    back2:own     back2:masq2   back2:own
remote        external   back2:own     back2:own     back2:own     back2:masq1   back2:masq2   TIMEOUT
remote        balancer   back2:own     back2:own     back2:own     back2:masq1   back2:masq2   TIMEOUT
inside        cluster    back1:own     back2:own     back1:own     back1:masq1   back2:masq2   -
inside        node1      masq1         masq1         masq1         masq1         masq1         masq1
inside        external   masq1         masq2         masq1         masq1         masq2         masq1
inside        balancer   masq1         masq2         masq1         masq1         masq2         masq1
away          cluster    TIMEOUT       back2:own     TIMEOUT       TIMEOUT       back2:masq2   -
away          node1      back2:masq1   back2:masq1   back2:masq1   back2:masq1   back2:masq1   back2:masq1
away          balancer   back2:masq1   back2:masq2   back2:masq1   back2:masq1   back2:masq2   back2:masq1
nobody        cluster    REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       -
nobody        node1      REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       REFUSED
nobody        localhost  -             -             -             REFUSED       REFUSED       -
nobody        external   REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       REFUSED
nobody        balancer   REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       REFUSED
nobody-local  cluster    REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       -
nobody-local  node1      REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       REFUSED
nobody-local  balancer   REFUSED       REFUSED       REFUSED       REFUSED       REFUSED       REFUSED
ranged        cluster    back2:own     back2:own     back2:own     back2:masq1   back2:masq2   -
ranged        node1      back2:masq1   back2:masq1   back2:masq1   back2:masq1   back2:masq1   back2:masq1
ranged        external   back2:masq1   back2:masq2   back2:masq1   back2:masq1   back2:masq2   back2:masq1
ranged        balancer   TIMEOUT       TIMEOUT       TIMEOUT       TIMEOUT       TIMEOUT       back2:masq1
"""

# Where kube-proxy's modes differ. iptables alone opens 127.0.0.1 to node ports. IPVS sees no difference between inside and outside: under an
# external policy Local everybody meets the local pod, all of them where there is none, and nobody is masqueraded by it (flannel does
# that to all that enters the pods' network on a node without the pod); with no pod to go to it refuses.
NO_LOCALHOST = """
service       asked      node1         node2
everywhere    localhost  REFUSED       REFUSED
local         localhost  REFUSED       REFUSED
"""
DIFFERENCES = {
    "iptables": "",
    "nftables": NO_LOCALHOST,
    "ipvs": NO_LOCALHOST
    + """
service       asked      pod1          pod2          back1         node1         node2         client
local         node1      back1:own     back1:eth2    back1:own     back1:own     back1:own     back1:own
local         node2      back2:eth1    back2:own     back2:eth1    back2:own     back2:own     back2:own
local         external   back1:own     back2:own     back1:own     back1:vip     back2:vip     back1:own
local         balancer   back1:own     back2:own     back1:own     back1:vip     back2:vip     back1:own
remote        node1      back2:own     back2:masq1   back2:own     back2:masq1   back2:masq1   back2:masq1
remote        node2      back2:eth1    back2:own     back2:eth1    back2:own     back2:own     back2:own
remote        external   back2:own     back2:own     back2:own     back2:masq1   back2:vip     back2:masq1
remote        balancer   back2:own     back2:own     back2:own     back2:masq1   back2:vip     back2:masq1
away          cluster    REFUSED       back2:own     REFUSED       REFUSED       back2:masq2   -
""",
}


def parse_table(text: str) -> dict[tuple[str, str, str], str]:
    """Give the cells by source, service and way."""
    found: dict[tuple[str, str, str], str] = {}
    head: list[str] = []
    for line in filter(None, text.splitlines()):
        service, asked, *cells = line.split()
        if service == "service":
            head = cells
        else:
            found |= {(source, service, asked): cell for source, cell in zip(head, cells, strict=True) if cell != "-"}
    return found


def address_of(service: str, asked: str) -> tuple[str, int]:
    number = NUMBERS[service]
    places = {"cluster": f"10.96.1.{number}", "external": f"192.0.2.{number}", "balancer": f"198.51.100.{number}"}
    return (places[asked], 80) if asked in places else ({**NODES, "localhost": "127.0.0.1"}[asked], 30100 + number)


def expected_answers(source: str, service: str, asked: str, cell: str) -> list[str]:
    """Say in full what a cell of the table says in short."""
    if cell.isupper():
        return [cell]
    only, _, seen = cell.rpartition(":")
    return sorted(f"{pod} {seen_address(source, pod, seen, address_of(service, asked)[0])}" for pod in ([only] if only else ["back1", "back2"]))


def seen_address(source: str, pod: str, seen: str, asked: str) -> str:
    if seen == "vip":
        return asked
    if seen == "own" and source != pod:
        return OWN[source]
    node, home = (seen if seen != "own" else pod)[-1], pod[-1]
    return NODES[f"node{node}"] if seen.startswith("eth") else f"10.244.{node}.{1 if node == home else 0}"


def render_scenario(mode: str) -> str:
    documents = [
        "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: ways}\nspec:\n"
        "  network: {plugin: vxlan, podCIDR: 10.244.0.0/16}\n"
        f"  services: {{proxy: {mode}}}\n"
        "  dns: {server: none}\n  nodes:\n"
        + "\n".join(f"  - {{name: {name}, address: {address}, podCIDR: 10.244.{name[-1]}.0/24}}" for name, address in NODES.items())
    ]
    for name, address in PODS.items():
        meta = {"name": name, "labels": {"all": name[:-1], "one": name}, "annotations": {"cni.projectcalico.org/ipAddrs": json.dumps([address])}}
        container = {"name": "echo", "image": "echoserver", "ports": [{"containerPort": 8080}]}
        documents.append(
            json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": f"node{name[-1]}", "containers": [container]}})
        )
    for name, (pods, policies) in SERVICES.items():
        number = NUMBERS[name]
        spec = {
            "type": "LoadBalancer",
            "clusterIP": address_of(name, "cluster")[0],
            "externalIPs": [address_of(name, "external")[0]],
            "selector": {"one" if pods[-1].isdigit() else "all": pods},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30100 + number}],
            **policies,
        }
        documents.append(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}))
    return "\n---\n".join(documents)


@pytest.fixture(scope="module", params=MODES)
def lab(request: pytest.FixtureRequest, shared_machine: Machine) -> Iterator[tuple[Machine, str]]:
    """Give a machine with one lab in it, and its mode."""
    machine, mode = shared_machine, str(request.param)
    machine.write("ask.py", ASK)
    machine.check(f"klab up {machine.write('ways.yaml', render_scenario(mode))}")
    for prefix in ("192.0.2.0/24", "198.51.100.0/24"):
        machine.check(f"ip netns exec ways_router ip route add {prefix} via {NODES['node1']}")
    patches = []
    for name in SERVICES:
        status = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address_of(name, "balancer")[0]}]}}})
        url = f"http://klab/api/v1/namespaces/default/services/{name}/status"
        headers = "Content-Type: application/merge-patch+json"
        patches.append(f"curl -sSf -o /dev/null --unix-socket /run/klab/ways/api.sock -X PATCH -H '{headers}' -d '{status}' {url}")
    machine.check("\n".join(patches))
    for node in NODES:
        # A kernel sends one refusal a second to a peer, which is far less than is asked here.
        machine.check(f"klab exec node/{node} -- sysctl -qw net.ipv4.icmp_ratelimit=0")
        wait_for_rules(machine, f"klab exec node/{node} -- {LISTING[mode]}", [address_of(name, "balancer")[0] for name in SERVICES])
    yield machine, mode
    machine.check("klab down ways")


def wait_for_rules(machine: Machine, listing: str, addresses: list[str], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while missing := [address for address in addresses if address not in machine.check(listing)]:
        assert time.monotonic() < deadline, missing


def test_who_answers(lab: tuple[Machine, str]) -> None:
    """Every cell of the table; all of those that are wrong are shown."""
    machine, mode = lab
    table = parse_table(TABLE) | parse_table(DIFFERENCES[mode])
    questions: dict[str, dict[str, tuple[str, int, list[str], int]]] = {}
    for (source, service, asked), cell in table.items():
        questions.setdefault(source, {})[f"{service} {asked}"] = (*address_of(service, asked), expected_answers(source, service, asked, cell), 1)

    def ask_all(source: str) -> dict[str, list[str]]:
        place = f"node/{source}" if source in NODES else source
        file = machine.write(f"{source}.json", json.dumps(questions[source]))
        return machine.json(f'klab exec {place} -- python3 - "$(cat {file})" <ask.py')

    with ThreadPoolExecutor() as pool:
        told = dict(zip(questions, pool.map(ask_all, questions), strict=True))
    wrong = [
        f"{source} asks {name}: {told[source][name]}, not {expected}"
        for source, asked in questions.items()
        for name, (_host, _port, expected, _least) in asked.items()
        if told[source][name] != expected
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_nodes_tell_load_balancers_whether_they_have_a_pod(lab: tuple[Machine, str]) -> None:
    """At healthCheckNodePort of a Service under policy Local."""
    machine, _mode = lab
    port = machine.check("klab get service remote -o jsonpath='{.spec.healthCheckNodePort}'")
    urls = " ".join(f"http://{address}:{port}/healthz" for address in NODES.values())
    told = machine.check(f"klab exec client -- curl -s -m 5 -w ' %{{http_code}}\\n' {urls}")
    found = [(json.loads(body), code) for body, code in re.findall(r"({.*?}) (\d+)$", told, re.DOTALL | re.MULTILINE)]
    assert [(body["service"], body["localEndpoints"], code) for body, code in found] == [
        ({"namespace": "default", "name": "remote"}, 0, "503"),
        ({"namespace": "default", "name": "remote"}, 1, "200"),
    ]
