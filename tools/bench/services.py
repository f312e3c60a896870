"""Services by mode and number: how long one endpoint change takes to be live on two nodes, and how long a first connection takes."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from labs import klab, lab_manifest, lab_seconds, pod_manifest, write_manifests
from report import Table

from klab.api import resources
from klab.apiserver.client import Client
from klab.errors import MissingError
from klab.kernel import features, ipvs, netns
from klab.kernel.rundir import RunDir
from klab.labs import up
from klab.linux.names import pod_netns

LAB = "bench-services"
MODES = ("iptables", "nftables", "ipvs")
_SLICES = resources.of("discovery.k8s.io/v1", "EndpointSlice")
_PODS = resources.of("v1", "Pod")
T = TypeVar("T")

_CHANGED = "changing"
_PORT = 80
_WEB = ("web-0", "web-1")
_CONNECTIONS = 30
_COLUMNS = ["", "klab up", "endpoint change, fastest", "median", "processor", "first connection, fastest", "median"]


def measure(scratch: Path, number: int, repeats: int) -> Table:
    """Measure every mode that this kernel has with so many services."""
    table = Table(f"{number} Services on 2 nodes, milliseconds (klab up: seconds)", _COLUMNS)
    for mode in MODES:
        if mode == "ipvs" and not (_has_ipvs()):
            table.add("ipvs", "not in this kernel")
            continue
        with _lab(scratch, mode, number) as seconds:
            changes, processor = _change(4 * repeats)
            connections = _connect()
        cells = [min(changes), median(changes), processor, min(connections), median(connections)]
        table.add(mode, f"{seconds:.1f}", *(f"{1000 * cell:.2f}" for cell in cells))
    return table


@contextmanager
def _lab(scratch: Path, mode: str, number: int) -> Iterator[float]:
    """Have a lab of so many services, the last of which has endpoints of our own; gives the seconds of `klab up`."""
    services = [_service(f"service-{count}", {"app": "web-0"}) for count in range(number - 1)]
    pods = [pod_manifest("client", "node1"), *(pod_manifest(name, "node2") for name in _WEB)]
    objects = [lab_manifest(LAB, 2, "hostgw", mode), *pods, *services, _service(_CHANGED, None)]
    try:
        yield klab(LAB, "up", write_manifests(scratch / "services.yaml", objects)).wall
    finally:
        up.down(LAB)


def _service(name: str, selector: Mapping[str, str] | None) -> dict[str, Any]:
    ports = [{"port": _PORT, "targetPort": 8080}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector, "ports": ports}}


def _change(times: int) -> tuple[list[float], float]:
    """Move one service back and forth between two pods, see that connections follow; give the seconds of each and their mean processor time."""
    client = Client(RunDir(LAB).api_socket)
    addresses = [client.get(_PODS, "default", name)["status"]["podIP"] for name in _WEB]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": _CHANGED, "labels": {"kubernetes.io/service-name": _CHANGED}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }
    client.create(_SLICES, {**slice_, "endpoints": [{"addresses": addresses[:1]}]})
    found = []
    spent = 0.0
    for number in range(1, times + 1):
        _settle(client)
        before, begun = lab_seconds(LAB), time.perf_counter()
        client.update(_SLICES, {**slice_, "endpoints": [{"addresses": [addresses[number % 2]]}]})
        _settle(client)
        found.append(time.perf_counter() - begun)
        spent += lab_seconds(LAB) - before
        _expect(_WEB[number % 2])
    return found, spent / times


def _settle(client: Client) -> None:
    while not client.call("GET", "/klab/v1/settled")["settled"]:
        pass


def _cluster_ip() -> str:
    service = Client(RunDir(LAB).api_socket).get(resources.of("v1", "Service"), "default", _CHANGED)
    return str(service["spec"]["clusterIP"])


def _expect(pod: str) -> None:
    """Ask the service from both nodes who answers."""
    target = _cluster_ip()

    def ask() -> str:
        with socket.create_connection((target, _PORT), timeout=5) as connected:
            connected.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connected.recv(1 << 16), b"")).decode()

    for node in ("node1", "node2"):
        answer = _inside(node, ask)
        if not answer.endswith(pod):
            raise AssertionError(f"{node}: the service is not answered by {pod} but:\n{answer}")


def _connect() -> list[float]:
    """Give the seconds of TCP handshakes from the client's pod to the service."""
    target = _cluster_ip()

    def connect() -> float:
        with socket.socket() as fresh:
            begun = time.perf_counter()
            if code := fresh.connect_ex((target, _PORT)):
                raise OSError(code, errno.errorcode[code])
            return time.perf_counter() - begun

    return [_inside(pod_netns("default", "client"), connect) for _ in range(_CONNECTIONS)]


def _inside(name: str, work: Callable[[], T]) -> T:
    return netns.each([RunDir(LAB).netns_path(name)], lambda _path: work())[0]


def _has_ipvs() -> bool:
    try:
        netns.in_new(ipvs.check)
    except MissingError:
        return False
    return features.has_link_kind("dummy")
