"""healthCheckNodePorts: opened, answered, changed and closed (here on the test's own network)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klab.cluster import healthports
from klab.cluster.healthports import HealthPorts

NETNS = Path("/nowhere")
FINE = (200, {"Content-Type": "application/json"}, b"{}")
BUSY = (503, {"Content-Type": "application/json"}, b"{...}")


@pytest.fixture(autouse=True)
def own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def stay(_path: Path, work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr(healthports, "run_in", stay)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


async def ask(port: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: node1\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer.split("\r\n")


def test_it_answers_what_kube_proxy_says_now_and_closes() -> None:
    port, ports = free_port(), HealthPorts()

    async def body() -> None:
        await ports.sync("node1", NETNS, {port: FINE})
        expected = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Content-Length: 2", "Connection: close", "", "{}"]
        assert await ask(port) == expected
        await ports.sync("node1", NETNS, {port: BUSY})
        assert (await ask(port))[0] == "HTTP/1.1 503 Service Unavailable"
        await ports.sync("node2", NETNS, {})
        assert (await ask(port))[0] == "HTTP/1.1 503 Service Unavailable"
        await ports.sync("node1", NETNS, {})
        with pytest.raises(ConnectionRefusedError):
            await ask(port)

    asyncio.run(body())


def test_who_is_connected_when_it_closes_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    port, ports = free_port(), HealthPorts()

    async def body() -> None:
        await ports.sync("node1", NETNS, {port: FINE})
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        await ask(port)  # by now the first one is being served
        await ports.sync("node1", NETNS, {})
        writer.write(b"\r\n")
        assert await reader.read() == b""
        writer.close()

    asyncio.run(body())
    assert caplog.records == []


def test_a_client_that_says_nothing_sensible_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    port, ports = free_port(), HealthPorts()

    async def body() -> None:
        await ports.sync("node1", NETNS, {port: FINE})
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 100)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert (await ask(port))[0] == "HTTP/1.1 200 OK"
        await ports.sync("node1", NETNS, {})

    asyncio.run(body())
    assert caplog.records == []


def test_a_port_that_is_taken_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    ports = HealthPorts()

    async def body(port: int) -> None:
        await ports.sync("node1", NETNS, {port: FINE})
        assert [(record.levelno, f"node node1 cannot open healthCheckNodePort {port}" in record.message) for record in caplog.records] == [
            (logging.ERROR, True)
        ]
        taken.close()
        await ports.sync("node1", NETNS, {port: FINE})
        assert (await ask(port))[0] == "HTTP/1.1 200 OK"
        await ports.sync("node1", NETNS, {})

    with socket.create_server(("", 0)) as taken:
        asyncio.run(body(taken.getsockname()[1]))
