"""Names in a lab, asked from its pods through kube-dns: klab's server and CoreDNS, over each way that kube-proxy has."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

LAB = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {{name: names}}
spec:
  network: {{plugin: vxlan, podCIDR: 10.244.0.0/16}}
  services: {{proxy: {proxy}}}
  dns: {{server: {server}, upstream: [10.244.2.53]}}
  nodes:
  - {{name: node1, address: 172.18.0.11, podCIDR: 10.244.1.0/24}}
  - {{name: node2, address: 172.18.0.12, podCIDR: 10.244.2.0/24}}
"""
OBJECTS = (Path(__file__).parent / "dns.yaml").read_text()
DOMAIN = "cluster.local"
IPVS = pytest.mark.needs("ip_vs", "dummy", "ipset")
LABS = [
    pytest.param(("builtin", "iptables"), id="builtin-iptables"),
    pytest.param(("builtin", "nftables"), id="builtin-nftables", marks=pytest.mark.needs("nft")),
    pytest.param(("builtin", "ipvs"), id="builtin-ipvs", marks=IPVS),
    pytest.param(("coredns", "iptables"), id="coredns-iptables", marks=pytest.mark.needs("coredns")),
    pytest.param(("coredns", "nftables"), id="coredns-nftables", marks=pytest.mark.needs("coredns", "nft")),
]

ECHOSERVER, DB = f"echoserver.default.svc.{DOMAIN}.", f"db.default.svc.{DOMAIN}."
LOOKUPS = {
    (ECHOSERVER, "A"): ("NOERROR", {f"{ECHOSERVER} 5 IN A 10.99.153.85"}),
    (ECHOSERVER, "AAAA"): ("NOERROR", set()),
    (f"kubernetes.default.svc.{DOMAIN}.", "A"): ("NOERROR", {f"kubernetes.default.svc.{DOMAIN}. 5 IN A 10.96.0.1"}),
    (f"kube-dns.kube-system.svc.{DOMAIN}.", "A"): ("NOERROR", {f"kube-dns.kube-system.svc.{DOMAIN}. 5 IN A 10.96.0.10"}),
    (f"nothing.default.svc.{DOMAIN}.", "A"): ("NXDOMAIN", set()),
    (f"echoserver.kube-system.svc.{DOMAIN}.", "A"): ("NXDOMAIN", set()),
    (f"kube-system.svc.{DOMAIN}.", "A"): ("NOERROR", set()),
    (DB, "A"): ("NOERROR", {f"{DB} 5 IN A 10.244.2.10", f"{DB} 5 IN A 10.244.2.11"}),
    (f"db-0.{DB}", "A"): ("NOERROR", {f"db-0.{DB} 5 IN A 10.244.2.10"}),
    (f"10-244-2-11.{DB}", "A"): ("NOERROR", {f"10-244-2-11.{DB} 5 IN A 10.244.2.11"}),
    (f"_pg._tcp.{DB}", "SRV"): (
        "NOERROR",
        {f"_pg._tcp.{DB} 5 IN SRV 0 50 5432 db-0.{DB}", f"_pg._tcp.{DB} 5 IN SRV 0 50 5432 10-244-2-11.{DB}"},
    ),
    (f"_http._tcp.{ECHOSERVER}", "SRV"): ("NOERROR", {f"_http._tcp.{ECHOSERVER} 5 IN SRV 0 100 8080 {ECHOSERVER}"}),
    ("85.153.99.10.in-addr.arpa.", "PTR"): ("NOERROR", {f"85.153.99.10.in-addr.arpa. 5 IN PTR {ECHOSERVER}"}),
    ("10.2.244.10.in-addr.arpa.", "PTR"): ("NOERROR", {f"10.2.244.10.in-addr.arpa. 5 IN PTR db-0.{DB}"}),
    (f"10-244-1-10.default.pod.{DOMAIN}.", "A"): ("NOERROR", {f"10-244-1-10.default.pod.{DOMAIN}. 5 IN A 10.244.1.10"}),
    (f"alias.default.svc.{DOMAIN}.", "A"): (
        "NOERROR",
        {f"alias.default.svc.{DOMAIN}. 5 IN CNAME {ECHOSERVER}", f"{ECHOSERVER} 5 IN A 10.99.153.85"},
    ),
    (f"elsewhere.default.svc.{DOMAIN}.", "CNAME"): ("NOERROR", {f"elsewhere.default.svc.{DOMAIN}. 5 IN CNAME www.example.com."}),
    (f"dns-version.{DOMAIN}.", "TXT"): ("NOERROR", {f'dns-version.{DOMAIN}. 28800 IN TXT "1.1.0"'}),
}


@pytest.fixture(scope="module", params=LABS)
def lab(request: pytest.FixtureRequest, shared_machine: Machine) -> Iterator[Machine]:
    """Give a machine with one lab in it, once the last of its names are known: CoreDNS looks at its files twice a second."""
    server, proxy = request.param
    text = f"{LAB.format(server=server, proxy=proxy)}---\n{OBJECTS}"
    shared_machine.check(f"klab up {shared_machine.write('names.yaml', text)}")
    wait_for(shared_machine, (DB, "A"), LOOKUPS[DB, "A"], 10)
    yield shared_machine
    shared_machine.check("klab down")


def ask(machine: Machine, *questions: tuple[str, str], pod: str = "client", options: str = "") -> list[tuple[str, set[str]]]:
    """Ask kube-dns and give rcode and answer section of each question, white space as blanks."""
    asked = " ".join(f"{name} {kind}" for name, kind in questions)
    text = machine.check(f"klab exec {pod} -- dig +noall +comments +answer +tries=1 +time=3 {options} {asked}")
    found = []
    for part in text.split("->>HEADER<<-")[1:]:
        status = re.search(r"status: (\w+)", part)
        assert status
        records = {" ".join(line.split()) for line in part.splitlines()[1:] if line and not line.startswith(";")}
        found.append((status[1], records))
    return found


def wait_for(machine: Machine, question: tuple[str, str], expected: tuple[str, set[str]], seconds: float) -> None:
    """Ask until the answer is the expected one."""
    deadline = time.monotonic() + seconds
    while (found := ask(machine, question)) != [expected]:
        assert time.monotonic() < deadline, found


@pytest.mark.parametrize("options", ["", "+tcp"])
def test_names_of_the_cluster(lab: Machine, options: str) -> None:
    assert dict(zip(LOOKUPS, ask(lab, *LOOKUPS, options=options), strict=True)) == LOOKUPS


def test_dig_prints_what_it_prints_in_a_cluster(lab: Machine) -> None:
    (line,) = lab.check(f"klab exec client -- dig +noall +answer {ECHOSERVER.rstrip('.')}").splitlines()
    assert line.split() == [ECHOSERVER, "5", "IN", "A", "10.99.153.85"]


@pytest.mark.parametrize("name", ["echoserver", "echoserver.default", "echoserver.default.svc", "alias", ECHOSERVER.rstrip(".")])
def test_programs_find_services_by_the_search_list(lab: Machine, name: str) -> None:
    text = lab.check(f"klab exec client -- curl -sSv --max-time 5 {name}:8080 2>&1")
    assert "Connected to" in text
    assert "(10.99.153.85) port 8080" in text
    assert "client_address=10.244.1." in text


def test_look_ups_cross_the_service_network(lab: Machine) -> None:
    """A node asks the Service too, and so does the pod whose replies come from its own node."""
    for where in ("node/node1", "node/node2", "web-1"):
        assert lab.check(f"klab exec {where} -- dig +short @10.96.0.10 {ECHOSERVER}") == "10.99.153.85\n"


def test_other_names_are_asked_upstream(lab: Machine) -> None:
    elsewhere = f"elsewhere.default.svc.{DOMAIN}."
    assert ask(lab, ("www.example.com.", "A"), (elsewhere, "A")) == [
        ("NOERROR", {"www.example.com. 5 IN A 192.0.2.80"}),
        ("NOERROR", {f"{elsewhere} 5 IN CNAME www.example.com.", "www.example.com. 5 IN A 192.0.2.80"}),
    ]


def test_resolv_conf_by_policy(lab: Machine) -> None:
    searches = "search default.svc.cluster.local svc.cluster.local cluster.local"
    first = f"{searches}\nnameserver 10.96.0.10\noptions ndots:5\n"
    assert {
        pod: lab.check(f"klab exec {pod} -- cat /etc/resolv.conf")
        for pod in ("client", "policy-default", "policy-none", "host-first", "host-cluster")
    } == {
        "client": first,
        "policy-default": "nameserver 10.244.2.53\n",
        "policy-none": "search svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:2 edns0\n",
        "host-first": "nameserver 10.244.2.53\n",
        "host-cluster": first,
    }


def test_a_changed_service_is_seen(lab: Machine) -> None:
    new = "apiVersion: v1\nkind: Service\nmetadata: {name: fresh}\nspec: {clusterIP: 10.99.0.1, ports: [{port: 80}]}\n"
    question = (f"fresh.default.svc.{DOMAIN}.", "A")
    assert ask(lab, question) == [("NXDOMAIN", set())]
    lab.check(f"klab apply {lab.write('fresh.yaml', new)}")
    wait_for(lab, question, ("NOERROR", {f"{question[0]} 5 IN A 10.99.0.1"}), 3)
    lab.check("klab delete service fresh")
    wait_for(lab, question, ("NXDOMAIN", set()), 3)


def test_a_new_namespace_has_names(lab: Machine) -> None:
    question = (f"1-2-3-4.shop.pod.{DOMAIN}.", "A")
    new = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    lab.check(f"klab apply {lab.write('shop.yaml', new)}")
    wait_for(lab, question, ("NOERROR", {f"{question[0]} 5 IN A 1.2.3.4"}), 8)
    lab.check("klab delete namespace shop")


def test_the_servers_are_two_pods_like_others(lab: Machine) -> None:
    pods = lab.json("klab get pods -n kube-system -l k8s-app=kube-dns -o json")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node1", "node2"}
    taken = {pod["status"]["podIP"] for pod in lab.json("klab get pods -o json")["items"]}
    assert not taken & {pod["status"]["podIP"] for pod in pods}
    lab.check(f"klab delete pod -n kube-system {pods[0]['metadata']['name']}")
    assert lab.check("klab get pods --no-headers").count("Running") == len(lab.json("klab get pods -o json")["items"])
    wait_for(lab, (ECHOSERVER, "A"), LOOKUPS[ECHOSERVER, "A"], 5)


def test_names_survive_their_control_plane_and_runtime(lab: Machine) -> None:
    lab.check("kill -9 $(cat /run/klab/names/control.pid)")
    assert ask(lab, (ECHOSERVER, "A")) == [LOOKUPS[ECHOSERVER, "A"]]
    lab.check("kill -9 $(cat /run/klab/names/runtime.pid); klab up names.yaml")
    wait_for(lab, (ECHOSERVER, "A"), LOOKUPS[ECHOSERVER, "A"], 10)


def test_a_program_that_is_not_there_is_named_before_anything_is_built(machine: Machine) -> None:
    name = machine.write("names.yaml", LAB.format(server="coredns", proxy="iptables"))
    result = machine.run(f"PATH=$(dirname $(command -v klab)):/usr/sbin:/usr/bin:/sbin:/bin; klab up {name}")
    assert result.returncode == 4
    assert "tools/coredns.sh" in result.stderr
    assert machine.run("ls /run/klab/names").returncode != 0
