"""Both DNS servers of a lab in a namespace of their own, asked from another over real packets.

client 10.96.0.1 <-- veth --> server 10.96.0.10
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import yaml

from klab.dns.coredns import COREFILE, render_files
from klab.dns.server import serve
from klab.dns.zone import Zone
from klab.kernel import netns
from klab.kernel.sandbox import run_in

pytestmark = pytest.mark.root

CLUSTER = yaml.safe_load((Path(__file__).parents[1] / "dns_table.yaml").read_text())
CLIENT, SERVER, SERVER6 = "10.96.0.1", "10.96.0.10", "fd00:10:96::a"


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


@pytest.fixture(scope="module")
def namespaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Make the client's and the server's namespace."""
    folder = tmp_path_factory.mktemp("netns")
    client, server = folder / "client", folder / "server"
    try:
        netns.create([client, server])
        holder = f"nsenter --net={server}"
        run(f"nsenter --net={client} ip link add eth0 type veth peer name eth1")
        with server.open() as descriptor:
            run(f"nsenter --net={client} ip link set eth1 netns /proc/{os.getpid()}/fd/{descriptor.fileno()}")
        for prefix, device, address, address6 in ((f"nsenter --net={client}", "eth0", CLIENT, "fd00:10:96::1"), (holder, "eth1", SERVER, SERVER6)):
            run(f"{prefix} ip address add {address}/24 dev {device}")
            run(f"{prefix} ip address add {address6}/64 dev {device} nodad")
            run(f"{prefix} ip link set {device} up")
        yield client, server
    finally:
        netns.remove([client, server])


def open_sockets(port: int = 53) -> tuple[list[socket.socket], list[socket.socket]]:
    """Open UDP and TCP sockets for all addresses of the calling thread's namespace."""
    opened: dict[socket.SocketKind, list[socket.socket]] = {}
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        sock = socket.socket(socket.AF_INET6, kind)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
        opened[kind] = [sock]
    return opened[socket.SOCK_DGRAM], opened[socket.SOCK_STREAM]


@contextmanager
def builtin(path: Path, zone: Zone, upstreams: tuple[str, ...], _folder: Path) -> Iterator[Callable[[], None]]:
    """Run klab's server in a thread, on sockets of the namespace."""
    udp, tcp = run_in(path, open_sockets)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def open_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        return run_in(path, lambda: socket.socket(family, kind))

    serving = serve(udp, tcp, zone, [(address, 53) for address in upstreams], open_socket=open_socket)
    server = asyncio.run_coroutine_threadsafe(serving, loop).result(5)
    try:
        yield lambda: None
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def coredns(path: Path, zone: Zone, upstreams: tuple[str, ...], folder: Path) -> Iterator[Callable[[], None]]:
    """Run CoreDNS on the zone's files; the function given writes them anew."""

    def write() -> None:
        for name, text in render_files(zone, upstreams, str(folder)).items():
            (folder / f"{name}.new").write_text(text)
            (folder / f"{name}.new").rename(folder / name)

    write()
    program = shutil.which("coredns")
    assert program
    command = ["nsenter", f"--net={path}", program, "-conf", str(folder / COREFILE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("CoreDNS-"):
                    break
            else:
                pytest.fail("".join(said))
            yield write
        finally:
            process.terminate()
            process.communicate(timeout=10)


SERVERS = [pytest.param(builtin, id="builtin"), pytest.param(coredns, id="coredns", marks=pytest.mark.needs("coredns"))]


def make_zone(*objects: dict[str, Any], domain: str = "cluster.local") -> Zone:
    zone = Zone(domain)
    for obj in objects:
        zone.set(obj)
    return zone


def service(name: str, address: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}}


def ask(name: str, kind: str, *, tcp: bool = False, server: str = SERVER, **options: Any) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)
    return dns.query.tcp(query, server, timeout=5) if tcp else dns.query.udp(query, server, timeout=5)


def lines(response: dns.message.Message) -> set[str]:
    """Give the answer section as the table writes it, in lower case."""
    own = response.question[0].name
    return {
        f"{'' if rrset.name == own else f'{rrset.name} '}{dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in response.answer
        for rdata in rrset
    }


def outcome(response: dns.message.Message) -> tuple[str, set[str]]:
    """Give the rcode's name and the answer section."""
    return dns.rcode.to_text(response.rcode()), lines(response)


@pytest.mark.parametrize("run_server", SERVERS)
def test_look_up_table(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any) -> None:
    client, server = namespaces

    def look_up(tcp: bool) -> list[tuple[Any, ...]]:
        responses = [(entry, ask(entry[0], entry[1], tcp=tcp)) for entry in CLUSTER["lookups"]]
        return [(*entry[:2], *outcome(response), {rrset.ttl for rrset in response.answer} - {28800}) for entry, response in responses]

    expected = [(name, kind, rcode, set(answers)) for name, kind, rcode, *answers in CLUSTER["lookups"]]
    with run_server(server, make_zone(*CLUSTER["objects"]), (), tmp_path):
        for tcp in (False, True):
            found = run_in(client, lambda: look_up(tcp))  # noqa: B023 (called at once)
            assert [entry[:4] for entry in found] == expected
            assert set().union(*(entry[4] for entry in found)) == {5}


@pytest.mark.needs("dig")
@pytest.mark.parametrize("run_server", SERVERS)
def test_dig_prints_the_talks_line(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any) -> None:
    client, server = namespaces
    command = ["nsenter", f"--net={client}", "dig", f"@{SERVER}", "+noall", "+answer", "echoserver.default.svc.cluster.local"]
    with run_server(server, make_zone(*CLUSTER["objects"]), (), tmp_path):
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert " ".join(printed.split()) == "echoserver.default.svc.cluster.local. 5 IN A 10.99.153.85"


@pytest.mark.parametrize("run_server", SERVERS)
def test_names_of_elsewhere_come_from_the_upstream(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any) -> None:
    """The upstream runs beside the client and knows elsewhere.example and its own reverse names."""
    client, server = namespaces
    alias = {"type": "ExternalName", "externalName": "web.default.svc.elsewhere.example"}
    zone = make_zone(service("inner", "10.96.0.99"), {"kind": "Service", "metadata": {"name": "alias", "namespace": "default"}, "spec": alias})
    elsewhere = make_zone(service("web", "192.0.2.7"), domain="elsewhere.example")
    with ExitStack() as stack:
        stack.enter_context(builtin(client, elsewhere, (), tmp_path))
        stack.enter_context(run_server(server, zone, (CLIENT,), tmp_path))
        for tcp in (False, True):
            answers = [
                run_in(client, lambda: outcome(ask(name, kind, tcp=tcp)))  # noqa: B023 (called at once)
                for name, kind in (
                    ("web.default.svc.elsewhere.example", "A"),
                    ("no.default.svc.elsewhere.example", "A"),
                    ("alias.default.svc.cluster.local", "A"),
                    ("7.2.0.192.in-addr.arpa", "PTR"),
                    ("99.0.96.10.in-addr.arpa", "PTR"),
                    ("no.default.svc.cluster.local", "A"),
                )
            ]
            assert answers == [
                ("NOERROR", {"A 192.0.2.7"}),
                ("NXDOMAIN", set()),
                ("NOERROR", {"CNAME web.default.svc.elsewhere.example.", "web.default.svc.elsewhere.example. A 192.0.2.7"}),
                ("NOERROR", {"PTR web.default.svc.elsewhere.example."}),
                ("NOERROR", {"PTR inner.default.svc.cluster.local."}),
                ("NXDOMAIN", set()),
            ]


@pytest.mark.parametrize("run_server", SERVERS)
def test_a_changed_zone_is_answered_from(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any) -> None:
    client, server = namespaces
    zone = make_zone(service("old", "10.96.0.20"))
    name = "new.default.svc.cluster.local"
    with run_server(server, zone, (), tmp_path) as publish:
        assert run_in(client, lambda: ask(name, "A")).rcode() == dns.rcode.NXDOMAIN
        zone.set(service("new", "10.96.0.21"))
        publish()
        deadline = time.monotonic() + 10
        while not (found := lines(run_in(client, lambda: ask(name, "A")))) and time.monotonic() < deadline:
            pass
        assert found == {"A 10.96.0.21"}


@pytest.mark.needs("ipv6")
@pytest.mark.parametrize("run_server", SERVERS)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_over_ipv6(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any, tcp: bool) -> None:
    client, server = namespaces
    with run_server(server, make_zone(service("web", "10.96.0.20")), (), tmp_path):
        response = run_in(client, lambda: ask("web.default.svc.cluster.local", "A", tcp=tcp, server=SERVER6))
    assert lines(response) == {"A 10.96.0.20"}


@pytest.mark.parametrize("run_server", SERVERS)
def test_a_large_answer_is_cut_over_udp_and_whole_over_tcp(namespaces: tuple[Path, Path], tmp_path: Path, run_server: Any) -> None:
    client, server = namespaces
    labels = {"kubernetes.io/service-name": "many"}
    many = {
        "kind": "EndpointSlice",
        "metadata": {"name": "many", "namespace": "default", "labels": labels},
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": [f"10.200.0.{i}"]} for i in range(1, 201)],
    }
    zone = make_zone({"kind": "Service", "metadata": {"name": "many", "namespace": "default"}, "spec": {"clusterIP": "None"}}, many)
    with run_server(server, zone, (), tmp_path):
        for payload in (512, 1232):
            cut = run_in(client, lambda: ask("many.default.svc.cluster.local", "A", use_edns=0, payload=payload))  # noqa: B023 (called at once)
            assert cut.flags & dns.flags.TC
            assert 0 < len(lines(cut)) < 200
        whole = run_in(client, lambda: ask("many.default.svc.cluster.local", "A", tcp=True))
        assert len(lines(whole)) == 200
