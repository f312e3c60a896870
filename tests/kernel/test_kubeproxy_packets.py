"""Services of two nodes, asked over real packets: who answers, whose address the backend sees, or REFUSED, or TIMEOUT; one table for all modes.

client .100 ──┐                  fabric 172.18.0.0/24
node1  .2   ──┼── br0            cni0 10.244.1.1/24 ── back1 .2, pod1 .9
node2  .3   ──┘                  cni0 10.244.2.1/24 ── back2 .2, pod2 .9
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from klab.api.endpointslice import EndpointSlice, port_endpoints
from klab.api.service import Service
from klab.kernel import conntrack, rules
from klab.kernel.sandbox import run_in
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.kubeproxy.conntrack import calc_frontends
from klab.kubeproxy.plan import plan_base, plan_service
from klab.linux.diff import Operation
from klab.linux.objects import Address, KernelObject, Key, Link, Sysctl

pytestmark = [pytest.mark.root, pytest.mark.needs("bridge", "br_netfilter", "conntrack")]

MODES = (
    pytest.param("iptables", marks=pytest.mark.needs("iptables")),
    pytest.param("nftables", marks=pytest.mark.needs("nft")),
    pytest.param("ipvs", marks=pytest.mark.needs("ip_vs", "dummy", "ipset", "iptables")),
)
NODES = {"node1": "172.18.0.2", "node2": "172.18.0.3"}
CLIENT = "172.18.0.100"
PODS = {"back1": "10.244.1.2", "pod1": "10.244.1.9", "back2": "10.244.2.2", "pod2": "10.244.2.9"}
NAMES = {address: name for name, address in {**PODS, **NODES, "client": CLIENT, "gate1": "10.244.1.1", "gate2": "10.244.2.1"}.items()}
TRIES, PATIENCE = 60, 0.4

# Service: cluster IP, node port, external IP and load balancer IP, policies, nodes that have an endpoint
SERVICES: dict[str, tuple[int, dict[str, Any], tuple[int, ...]]] = {
    "everywhere": (1, {}, (1, 2)),
    "local": (2, {"externalTrafficPolicy": "Local"}, (1, 2)),
    "remote": (3, {"externalTrafficPolicy": "Local"}, (2,)),
    "inside": (4, {"internalTrafficPolicy": "Local"}, (1, 2)),
    "nobody": (5, {}, ()),
    "ranged": (6, {"loadBalancerSourceRanges": [f"{CLIENT}/32"]}, (2,)),
    "sticky": (7, {"sessionAffinity": "ClientIP"}, (1, 2)),
    "away": (8, {"internalTrafficPolicy": "Local"}, (2,)),
}

ANY_FROM_NODE1 = {("back1", "gate1"), ("back2", "node1")}
# source, service, what is asked (cluster IP, node port on a node, external IP, load balancer IP), who answers and whose address they see
TABLE: list[tuple[str, str, str, Any]] = [
    ("pod1", "everywhere", "cluster", {("back1", "pod1"), ("back2", "pod1")}),
    ("pod2", "everywhere", "cluster", {("back1", "pod2"), ("back2", "pod2")}),
    ("back1", "everywhere", "cluster", {("back1", "gate1"), ("back2", "back1")}),
    ("node1", "everywhere", "cluster", ANY_FROM_NODE1),
    ("client", "everywhere", "node1", ANY_FROM_NODE1),
    ("client", "everywhere", "node2", {("back1", "node2"), ("back2", "gate2")}),
    ("pod1", "everywhere", "node1", ANY_FROM_NODE1),
    ("node1", "everywhere", "node1", ANY_FROM_NODE1),
    ("node2", "everywhere", "node1", ANY_FROM_NODE1),
    ("client", "everywhere", "external", ANY_FROM_NODE1),
    ("client", "everywhere", "lb", ANY_FROM_NODE1),
    ("pod1", "everywhere", "lb", ANY_FROM_NODE1),
    ("node1", "everywhere", "lb", ANY_FROM_NODE1),
    ("client", "local", "node1", {("back1", "client")}),
    ("client", "local", "node2", {("back2", "client")}),
    ("client", "local", "external", {("back1", "client")}),
    ("client", "local", "lb", {("back1", "client")}),
    ("pod1", "local", "cluster", {("back1", "pod1"), ("back2", "pod1")}),
    ("client", "remote", "node1", "TIMEOUT"),
    ("client", "remote", "lb", "TIMEOUT"),
    ("client", "remote", "node2", {("back2", "client")}),
    ("pod1", "remote", "lb", {("back2", "pod1")}),
    ("pod1", "inside", "cluster", {("back1", "pod1")}),
    ("pod2", "inside", "cluster", {("back2", "pod2")}),
    ("client", "inside", "node1", ANY_FROM_NODE1),
    ("pod2", "away", "cluster", {("back2", "pod2")}),
    ("pod1", "nobody", "cluster", "REFUSED"),
    ("node1", "nobody", "cluster", "REFUSED"),
    ("client", "nobody", "node1", "REFUSED"),
    ("pod1", "nobody", "external", "REFUSED"),
    ("node1", "nobody", "external", "REFUSED"),
    ("client", "nobody", "lb", "REFUSED"),
    ("client", "ranged", "lb", {("back2", "node1")}),
    ("pod1", "ranged", "lb", "TIMEOUT"),
    ("node1", "ranged", "lb", "TIMEOUT"),
    ("pod1", "ranged", "cluster", {("back2", "pod1")}),
]


def address_of(number: int, place: str) -> tuple[str, int]:
    """Give where a service is asked."""
    addresses = {"cluster": f"10.96.0.{number}", "external": f"192.0.2.{number}", "lb": f"198.51.100.{number}"}
    return (NODES[place], 30000 + number) if place in NODES else (addresses[place], 80)


def service(name: str, ports: Sequence[dict[str, Any]] = ({"port": 80, "protocol": "TCP"},)) -> Service:
    number, policies, _nodes = SERVICES[name]
    listed = [{"nodePort": 30000 + number, **port} for port in ports]
    spec = {"type": "LoadBalancer", "clusterIP": f"10.96.0.{number}", "externalIPs": [f"192.0.2.{number}"], "ports": listed, **policies}
    status = {"loadBalancer": {"ingress": [{"ip": f"198.51.100.{number}"}]}}
    return Service.of({"metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": status})


def slices(nodes: Sequence[int], protocol: str = "TCP") -> list[EndpointSlice]:
    endpoints = [{"addresses": [f"10.244.{node}.2"], "nodeName": f"node{node}"} for node in nodes]
    return [EndpointSlice.of({"ports": [{"name": "", "protocol": protocol, "port": 8080}], "endpoints": endpoints})]


@dataclass
class Net:
    """The namespaces, and what was last applied to each node."""

    prefix: str

    def path(self, name: str) -> Path:
        return Path(f"/run/netns/{self.prefix}{name}")

    def sh(self, name: str, *commands: str) -> None:
        script = "set -e\n" + "\n".join(commands)
        subprocess.run(["ip", "netns", "exec", f"{self.prefix}{name}", "sh", "-c", script], check=True, capture_output=True)

    def build(self) -> None:
        for name in ("fabric", "client", *NODES, *PODS):
            subprocess.run(["ip", "netns", "add", f"{self.prefix}{name}"], check=True)
            self.sh(name, "ip link set lo up")
        self.sh("fabric", "ip link add br0 type bridge", "ip link set br0 up")
        for name, address in {**NODES, "client": CLIENT}.items():
            self._plug("fabric", "br0", name, f"{address}/24")
        for number, (node, address) in enumerate(NODES.items(), 1):
            other = 3 - number
            gate, peer = f"10.244.{number}.1", NODES[f"node{other}"]
            self.sh(node, "ip link add cni0 type bridge", "ip link set cni0 up", f"ip address add {gate}/24 dev cni0")
            self.sh(node, f"ip route add 10.244.{other}.0/24 via {peer}", "ip route add default dev eth0")
            self.sh(node, "sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1")
            # Refusals are ICMP errors, of which a kernel sends one a second to a peer; redirects (the client is on the same link) count too.
            self.sh(node, "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0")
            for pod in (f"back{number}", f"pod{number}"):
                self._plug(node, "cni0", pod, f"{PODS[pod]}/24")
                self.sh(pod, f"ip route add default via {gate}")
            self.sh("client", f"ip route add 10.244.{number}.0/24 via {address}")
        self.sh("client", f"ip route add 192.0.2.0/24 via {NODES['node1']}", f"ip route add 198.51.100.0/24 via {NODES['node1']}")

    def _plug(self, holder: str, bridge: str, name: str, cidr: str) -> None:
        port = f"v{name}"
        self.sh(holder, f"ip link add {port} type veth peer name eth0 netns {self.prefix}{name}", f"ip link set {port} master {bridge} up")
        self.sh(holder, f"bridge link set dev {port} hairpin on")
        self.sh(name, f"ip address add {cidr} dev eth0", "ip link set eth0 up")

    def remove(self) -> None:
        for name in (*PODS, *NODES, "client", "fabric"):
            subprocess.run(["ip", "netns", "delete", f"{self.prefix}{name}"], check=False, capture_output=True)

    def serve(self, stack: ExitStack) -> None:
        """Answer on TCP and UDP port 8080 of each backend with its name and the address that it sees."""
        for name in ("back1", "back2"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                listener = run_in(self.path(name), lambda kind=kind: listening(kind))
                thread = threading.Thread(target=answer, args=(listener, name), daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(listener.close)
                stack.callback(stop, listener)

    def ask(self, source: str, address: tuple[str, int], kind: socket.SocketKind = socket.SOCK_STREAM, port: int = 0) -> Any:
        """Give (who answers, whom they see), or REFUSED or TIMEOUT."""
        return run_in(self.path(source), lambda: exchange(address, kind, port))


def listening(kind: socket.SocketKind) -> socket.socket:
    listener = socket.socket(socket.AF_INET, kind)
    listener.bind(("0.0.0.0", 8080))
    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    return listener


def stop(listener: socket.socket) -> None:
    """Wake up the thread that waits at a socket, for good."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        assert listener.type == socket.SOCK_DGRAM, "a listening TCP socket can be shut down"


def answer(listener: socket.socket, name: str) -> None:
    """Answer until the socket is shut down."""
    if listener.type == socket.SOCK_DGRAM:
        while True:
            data, peer = listener.recvfrom(64)
            if not data:
                return
            listener.sendto(f"{name} {NAMES.get(peer[0], peer[0])}".encode(), peer)
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(f"{name} {NAMES.get(peer[0], peer[0])}".encode())


def exchange(address: tuple[str, int], kind: socket.SocketKind, port: int) -> Any:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(PATIENCE)
        if port:
            sock.bind(("0.0.0.0", port))
        try:
            sock.connect(address)
            if kind == socket.SOCK_DGRAM:
                sock.send(b"?")
            return tuple(sock.recv(64).decode().split())
        except ConnectionRefusedError:
            return "REFUSED"
        except TimeoutError:
            return "TIMEOUT"


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """Build the two nodes once; a mode's rules come and go with its tests."""
    built = Net(f"kp{secrets.token_hex(3)}-")
    with ExitStack() as stack:
        stack.callback(built.remove)
        built.build()
        built.serve(stack)
        yield built


class Proxy:
    """kube-proxy on both nodes: applies the difference between what was and what is planned."""

    def __init__(self, net: Net, mode: str) -> None:
        self.net = net
        self.config = ProxyConfig(mode=mode, cluster_cidr="10.244.0.0/16", service_cidrs=("10.96.0.0/12",))
        self.applied: dict[str, dict[Key, KernelObject]] = {name: {} for name in NODES}
        self.services: dict[str, tuple[Service, list[EndpointSlice]]] = {}

    def sync(self) -> None:
        for number, (name, address) in enumerate(NODES.items(), 1):
            node = ProxyNode(name=name, netns=name, ip=address, addresses=(address, f"10.244.{number}.1"))
            planned = list(plan_base(node, self.config))
            for item, pieces in self.services.values():
                planned += plan_service(item, port_endpoints(pieces), node, self.config)
            self._apply(name, {item.key: item for item in planned})

    def _apply(self, name: str, wanted: dict[Key, KernelObject]) -> None:
        have = self.applied[name]
        steps = [Operation("delete", have[key]) for key in have.keys() - wanted.keys()]
        steps += [Operation("change" if key in have else "create", item, have.get(key)) for key, item in wanted.items() if have.get(key) != item]
        run_in(self.net.path(name), lambda: carry_out(self.net, name, steps))
        self.applied[name] = wanted

    def stop(self) -> None:
        for name in NODES:
            self._apply(name, {})


def carry_out(net: Net, name: str, steps: Sequence[Operation]) -> None:
    """Apply the rules by the kernel room, links, addresses and sysctls by hand."""
    lines: list[str] = []
    for step in sorted(steps, key=lambda step: step.object.rank):
        if isinstance(step.object, Sysctl) and step.verb != "delete":
            Path("/proc/sys", step.object.name).write_text(step.object.value)
        elif isinstance(step.object, Link | Address) and (step.verb != "delete" or not any("link del" in line for line in lines)):
            lines += step.lines(lambda short: f"{net.prefix}{short}")
    net.sh(name, *lines)
    rules.apply([step for step in steps if isinstance(step.object, rules.TYPES)])


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(net: Net, mode: str) -> Iterator[Proxy]:
    started = Proxy(net, mode)
    started.sync()
    yield started
    started.stop()


def wait_for(net: Net, source: str, address: tuple[str, int], expected: Any, kind: socket.SocketKind = socket.SOCK_STREAM) -> Any:
    """Ask until all expected answers have come, or something else."""
    if isinstance(expected, str):
        return net.ask(source, address, kind)
    seen: set[Any] = set()
    for _ in range(TRIES):
        seen.add(net.ask(source, address, kind))
        if seen == expected or not seen <= expected:
            break
    return seen


def test_who_answers(net: Net, proxy: Proxy) -> None:
    """Every row of the table; all of those that fail are shown."""
    for name, (_number, _policies, nodes) in SERVICES.items():
        proxy.services[name] = (service(name), slices(nodes))
    proxy.sync()
    wrong = []
    for source, name, place, expected in TABLE:
        found = wait_for(net, source, address_of(SERVICES[name][0], place), expected)
        if found != expected:
            wrong.append(f"{source} asks {name} by {place}: {found}, not {expected}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_short_way_of_policy_local(net: Net, proxy: Proxy, mode: str) -> None:
    """What comes from inside the cluster follows no external policy; IPVS cannot tell where it comes from, and stays with the local endpoint."""
    proxy.services["local"] = (service("local"), slices((1, 2)))
    proxy.sync()
    address = address_of(2, "node1")
    assert wait_for(net, "pod1", address, every := {("back1", "pod1"), ("back2", "pod1")} if mode != "ipvs" else {("back1", "pod1")}) == every
    assert wait_for(net, "node1", address, every := ANY_FROM_NODE1 if mode != "ipvs" else {("back1", "node1")}) == every


def test_internal_policy_local_without_a_local_endpoint(net: Net, proxy: Proxy, mode: str) -> None:
    """Rules drop what has nowhere to go, IPVS refuses it."""
    proxy.services["away"] = (service("away"), slices((2,)))
    proxy.sync()
    assert net.ask("pod1", address_of(8, "cluster")) == ("REFUSED" if mode == "ipvs" else "TIMEOUT")


def test_localhost(net: Net, proxy: Proxy, mode: str) -> None:
    """iptables mode alone answers on 127.0.0.1 of the node; nobody else gets there (route_localnet is guarded)."""
    proxy.services["everywhere"] = (service("everywhere"), slices((1, 2)))
    proxy.sync()
    address = ("127.0.0.1", 30001)
    if mode == "iptables":
        assert wait_for(net, "node1", address, ANY_FROM_NODE1) == ANY_FROM_NODE1
    else:
        assert net.ask("node1", address) == "REFUSED"


def test_affinity(net: Net, proxy: Proxy) -> None:
    """A client stays with the endpoint that it met first; another client may meet another."""
    proxy.services["sticky"] = (service("sticky"), slices((1, 2)))
    proxy.sync()
    address = address_of(7, "cluster")
    assert len({net.ask("pod1", address) for _ in range(20)}) == 1
    assert len({net.ask("pod2", address) for _ in range(20)}) == 1


def test_endpoints_come_and_go(net: Net, proxy: Proxy) -> None:
    """From refusal to an answer and back, and what is gone leaves nothing behind."""
    address = address_of(1, "cluster")
    before = {name: dict(objects) for name, objects in proxy.applied.items()}
    for nodes, expected in (((), "REFUSED"), ((1,), {("back1", "pod1")}), ((2,), {("back2", "pod1")}), ((), "REFUSED")):
        proxy.services["everywhere"] = (service("everywhere"), slices(nodes))
        proxy.sync()
        assert wait_for(net, "pod1", address, expected) == expected
    del proxy.services["everywhere"]
    proxy.sync()
    assert proxy.applied == before


def test_udp(net: Net, proxy: Proxy) -> None:
    """The same ways for datagrams, refusal by ICMP included."""
    ports = [{"port": 80, "protocol": "UDP"}]
    proxy.services["everywhere"] = (service("everywhere", ports), slices((1, 2), "UDP"))
    proxy.services["nobody"] = (service("nobody", ports), slices((), "UDP"))
    proxy.sync()
    for source, place, expected in (("pod1", "cluster", {("back1", "pod1"), ("back2", "pod1")}), ("client", "node1", ANY_FROM_NODE1)):
        assert wait_for(net, source, address_of(1, place), expected, socket.SOCK_DGRAM) == expected
    assert net.ask("pod1", address_of(5, "cluster"), socket.SOCK_DGRAM) == "REFUSED"


def test_a_udp_client_moves_on(net: Net, proxy: Proxy) -> None:
    """The same client port reaches the new backend when the old one goes, is refused when all are gone, and is served again when one comes."""
    ports = [{"port": 80, "protocol": "UDP"}]
    asked = service("everywhere", ports)
    for place, port in (("cluster", 4001), ("node1", 4002), ("lb", 4003)):
        address = address_of(1, place)
        before = None
        for nodes, expected in (((1,), "back1"), ((2,), "back2"), ((), "REFUSED"), ((1,), "back1")):
            proxy.services["everywhere"] = (asked, slices(nodes, "UDP"))
            proxy.sync()
            frontends = calc_frontends(before, asked, port_endpoints(slices(nodes, "UDP")), proxy.config)
            for name in NODES:
                run_in(net.path(name), lambda frontends=frontends: conntrack.flush_stale(frontends))
            before = asked
            # IPVS answers the first datagram after a change by forgetting the server that is gone.
            found = next((answer for _ in range(3) if (answer := net.ask("pod1", address, socket.SOCK_DGRAM, port)) != "TIMEOUT"), "TIMEOUT")
            assert (found if isinstance(found, str) else found[0]) == expected


def test_nothing_is_left(net: Net, mode: str) -> None:
    """A stopped proxy takes everything back that it made."""
    started = Proxy(net, mode)
    for name, (_number, _policies, nodes) in SERVICES.items():
        started.services[name] = (service(name), slices(nodes))
    started.sync()
    kinds: Callable[[], list[KernelObject]] = lambda: list(rules.observe("node1", started_kinds(started)))  # noqa: E731
    wanted = {key: item for key, item in started.applied["node1"].items() if isinstance(item, rules.TYPES)}
    seen = {item.key: item for item in run_in(net.path("node1"), kinds)}
    assert {key: seen.get(key) for key in wanted} == wanted
    started.stop()
    assert not [key for key in wanted if key in {item.key for item in run_in(net.path("node1"), kinds)}]


def started_kinds(proxy: Proxy) -> tuple[type[KernelObject], ...]:
    return tuple({type(item) for item in proxy.applied["node1"].values() if isinstance(item, rules.TYPES)})
