"""The healthCheckNodePorts of Services: a small HTTP server on each node for each, answered by the node's kube-proxy (pkg/proxy/healthcheck)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

from klab.cluster.proxies import HealthAnswer
from klab.kernel.sandbox import run_in

logger = logging.getLogger(__name__)

_REQUEST_SECONDS = 5.0
Port = tuple[str, int]  # a node and a port on it


@dataclass(slots=True)
class HealthPorts:
    """What each open port answers, and the servers."""

    _answers: dict[Port, HealthAnswer] = field(default_factory=dict)
    _servers: dict[Port, asyncio.Server] = field(default_factory=dict)

    async def sync(self, node: str, netns: Path, answers: Mapping[int, HealthAnswer]) -> None:
        """Have exactly these ports open on a node."""
        for port in [port for port in self._servers if port[0] == node and port[1] not in answers]:
            self._servers.pop(port).close()
            self._answers.pop(port, None)
        for number, answer in answers.items():
            port = (node, number)
            self._answers[port] = answer
            if port not in self._servers:
                try:
                    opened = await asyncio.to_thread(run_in, netns, partial(_listen, number))
                except OSError as error:
                    logger.error("node %s cannot open healthCheckNodePort %d: %s", node, number, error)  # noqa: TRY400 (its message says all)
                    continue
                self._servers[port] = await asyncio.start_server(partial(self._serve, port), sock=opened)

    async def _serve(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close; without an answer where the port closed meanwhile."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                if answer := self._answers.get(port):
                    writer.write(_render(answer))
                    await writer.drain()
        writer.close()


def _render(answer: HealthAnswer) -> bytes:
    status, headers, body = answer
    head = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _listen(port: int) -> socket.socket:
    return socket.create_server(("", port), backlog=64)
