"""Questions to upstream name servers, over sockets that the caller's function opens (in whatever namespace it likes).

A question that is already on its way is not asked again: its answer serves both. So an upstream that leads back here costs a timeout, no storm.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from klab.dns.wire import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT = 2.0  # seconds for one upstream
MAX_IN_FLIGHT = 1000  # kubeadm's `max_concurrent`

OpenSocket = Callable[[socket.AddressFamily, socket.SocketKind], socket.socket]
Upstream = tuple[str, int]
"""An upstream's IP address and port."""


class Forwarder:
    """Asks upstreams, in random order, the next one where one fails; for one event loop."""

    def __init__(self, upstreams: Sequence[Upstream], open_socket: OpenSocket = socket.socket, timeout: float = TIMEOUT) -> None:
        self._upstreams = tuple((str(ip_address(host)), port) for host, port in upstreams)
        self._open_socket = open_socket
        self._timeout = timeout
        self._in_flight: dict[tuple[bool, bytes], asyncio.Task[bytes | None]] = {}
        self._udp: dict[socket.AddressFamily, _UdpClient] = {}

    def __bool__(self) -> bool:
        """Tell whether there is anyone to ask."""
        return bool(self._upstreams)

    async def ask(self, query: bytes, *, tcp: bool) -> bytes | None:
        """Give an upstream's response to `query` (with an id of its own), None if none answered."""
        question = (tcp, query[2:])
        task = self._in_flight.get(question)
        if task is None:
            if len(self._in_flight) >= MAX_IN_FLIGHT:
                return None
            task = asyncio.create_task(self._ask_one_after_another(query[2:], tcp=tcp))
            self._in_flight[question] = task
            task.add_done_callback(lambda _: self._in_flight.pop(question, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up what is on its way and close the sockets."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._udp.values():
            client.transport.close()

    async def _ask_one_after_another(self, body: bytes, *, tcp: bool) -> bytes | None:
        for upstream in random.sample(self._upstreams, len(self._upstreams)):
            try:
                async with asyncio.timeout(self._timeout):
                    return await (self._ask_tcp(upstream, body) if tcp else self._ask_udp(upstream, body))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue  # the next upstream may know; without any the client hears SERVFAIL
        return None

    async def _ask_udp(self, upstream: Upstream, body: bytes) -> bytes:
        family = _family(upstream)
        client = self._udp.get(family)
        if client is None or client.transport.is_closing():
            _, client = await asyncio.get_running_loop().create_datagram_endpoint(_UdpClient, sock=self._socket(family, socket.SOCK_DGRAM))
            self._udp[family] = client
        return await client.ask(upstream, body)

    async def _ask_tcp(self, upstream: Upstream, body: bytes) -> bytes:
        sock = self._socket(_family(upstream), socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(sock, upstream)
            reader, writer = await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            query = os.urandom(2) + body
            writer.write(len(query).to_bytes(2, "big") + query)
            response = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if response[:2] != query[:2]:
            raise ConnectionError(f"{upstream[0]} answered another question")
        return response

    def _socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        sock = self._open_socket(family, kind)
        sock.setblocking(False)
        return sock


class _UdpClient(asyncio.DatagramProtocol):
    """One socket for all questions of an address family; a response counts if upstream, id and question are those that were asked."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport
        self._waiting: dict[tuple[Upstream, bytes], tuple[bytes, asyncio.Future[bytes]]] = {}

    def connection_made(self, transport: Any) -> None:
        """Keep the transport to send with."""
        self.transport = transport

    async def ask(self, upstream: Upstream, body: bytes) -> bytes:
        """Send a question, without its id, and wait for the response."""
        identity = os.urandom(2)
        while (upstream, identity) in self._waiting:
            identity = os.urandom(2)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[upstream, identity] = (_question(identity + body), future)
        try:
            self.transport.sendto(identity + body, upstream)
            return await future
        finally:
            del self._waiting[upstream, identity]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Hand a response to the one who waits for it; anything else is dropped."""
        question, future = self._waiting.get((addr[:2], data[:2]), (None, None))
        if future is not None and not future.done() and _question(data) == question:
            future.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Pass over an ICMP error: it does not say which question it means, whose timeout tells enough."""


def _question(message: bytes) -> bytes:
    """Give the question section of a message with one question, lower-case; b"" if there is none."""
    end = message.find(b"\0", HEADER)
    return message[HEADER : end + 5].lower() if end >= 0 else b""


def _family(upstream: Upstream) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in upstream[0] else socket.AF_INET
