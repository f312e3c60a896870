"""CoreDNS: its ports, its probes, and when it is the program itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from klab.kubelet.images.behaviour import Address, Port
from klab.kubelet.images.catalog import plan_program
from klab.kubelet.images.http import Request

Start = Callable[..., Any]
IMAGE = "registry.k8s.io/coredns/coredns:v1.15.0"


@pytest.mark.parametrize(
    ("declared", "served"),
    [
        ((), {(53, "UDP"), (53, "TCP")}),
        ((Port(53, "UDP"), Port(53), Port(9153)), {(53, "UDP"), (53, "TCP")}),
        ((Port(5353, "UDP"),), {(5353, "UDP"), (5353, "TCP")}),
    ],
)
def test_dns_is_served_on_the_declared_udp_ports_over_both_protocols(container: Start, declared: tuple[Port, ...], served: set[Any]) -> None:
    behaviour = container(IMAGE, "-conf", "/etc/coredns/Corefile", ports=declared).behaviour
    assert {tuple(listener.port) for listener in behaviour.listeners if listener.dns} == served
    assert [tuple(listener.port) for listener in behaviour.listeners if not listener.dns] == [(8080, "TCP"), (8181, "TCP")]


@pytest.mark.parametrize(("port", "path", "status"), [(8080, "/health", 200), (8181, "/ready", 200), (8181, "/health", 404), (8080, "/", 404)])
def test_health_and_readiness_have_ports_of_their_own(container: Start, port: int, path: str, status: int) -> None:
    started = container(IMAGE)
    listener = next(listener for listener in started.behaviour.listeners if listener.port.number == port)
    answer = listener.http(Request("GET", path), replace(started.context, server=Address("10.0.0.5", port)))
    assert (answer.status, answer.body) == (status, b"OK" if status == 200 else b"404 page not found\n")


def test_a_command_is_run() -> None:
    args = ("-conf", "/etc/coredns/Corefile")
    assert plan_program(IMAGE, (), args).argv is None
    assert plan_program(IMAGE, ("/usr/local/bin/coredns",), args).argv == ("/usr/local/bin/coredns", *args)
