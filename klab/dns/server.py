"""The DNS server over UDP and TCP sockets that others opened, bound and (TCP) listening or not."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from klab.dns.forward import Forwarder
from klab.dns.wire import Forward, answer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from klab.dns.forward import OpenSocket, Upstream
    from klab.dns.zone import Zone

IDLE = 10.0  # seconds until a silent TCP connection is closed: CoreDNS' default


async def serve(  # noqa: PLR0913 (the two lists of sockets are what a caller has)
    udp_sockets: Iterable[socket.socket],
    tcp_sockets: Iterable[socket.socket],
    zone: Zone,
    upstreams: Sequence[Upstream] = (),
    *,
    open_socket: OpenSocket = socket.socket,
    idle: float = IDLE,
) -> Server:
    """Answer on all sockets from now on; the zone may change meanwhile. The sockets belong to the server and are closed with it.

    `open_socket(family, kind)` opens those to the upstreams, in the namespace from which they are to be asked.
    """
    server = Server(zone, Forwarder(upstreams, open_socket), idle)
    for sock in udp_sockets:
        await server.listen_udp(sock)
    for sock in tcp_sockets:
        await server.listen_tcp(sock)
    return server


class Server:
    """A running DNS server; `close` ends it."""

    def __init__(self, zone: Zone, forwarder: Forwarder, idle: float) -> None:
        self._zone = zone
        self._forwarder = forwarder
        self._idle = idle
        self._udp: list[asyncio.BaseTransport] = []
        self._tcp: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def listen_udp(self, sock: socket.socket) -> None:
        """Answer datagrams on a bound socket."""
        sock.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _UdpProtocol(self), sock=sock)
        self._udp.append(transport)

    async def listen_tcp(self, sock: socket.socket) -> None:
        """Answer connections on a bound socket."""
        sock.setblocking(False)
        self._tcp.append(await asyncio.start_server(self._connected, sock=sock))

    async def close(self) -> None:
        """Stop answering and close all sockets."""
        self._closing = True
        for transport in self._udp:
            transport.close()
        for listener in self._tcp:
            listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._forwarder.close()
        await asyncio.sleep(0)  # the transports close their sockets in the loop's next turn

    def answer(self, request: bytes, *, tcp: bool) -> bytes | Forward | None:
        """Answer one message, as `klab.dns.wire.answer` does."""
        return answer(request, self._zone, tcp=tcp, forwarding=bool(self._forwarder))

    async def finish(self, forward: Forward, *, tcp: bool) -> bytes:
        """Ask an upstream and give the client's response."""
        return forward.finish(await self._forwarder.ask(forward.query, tcp=tcp))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the server."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closing:  # accepted in the very moment
            writer.close()
            return
        self.spawn(_TcpConnection(self, reader, writer).serve(self._idle))


class _UdpProtocol(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        match self._server.answer(data, tcp=False):
            case bytes() as response:
                self._transport.sendto(response, addr)
            case Forward() as forward:
                self._server.spawn(self._finish(forward, addr))

    def error_received(self, exc: Exception) -> None:
        """Pass over an ICMP error: a client that went away before its answer needs none."""

    async def _finish(self, forward: Forward, client: tuple[Any, ...]) -> None:
        response = await self._server.finish(forward, tcp=False)
        if not self._transport.is_closing():
            self._transport.sendto(response, client)


class _TcpConnection:
    """A client's connection (RFC 7766): questions may come one behind the other, and are answered as the answers come."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, idle: float) -> None:
        """Answer until the client ends, falls silent for `idle` seconds or goes away."""
        try:
            await self._serve(idle)
            await asyncio.gather(*self._open)
        except ConnectionError:
            pass  # gone, and with it whoever wanted an answer
        finally:
            self._writer.close()

    async def _serve(self, idle: float) -> None:
        while True:
            try:
                async with asyncio.timeout(idle):
                    length = int.from_bytes(await self._reader.readexactly(2), "big")
                    request = await self._reader.readexactly(length)
            except (TimeoutError, asyncio.IncompleteReadError):
                return
            match self._server.answer(request, tcp=True):
                case bytes() as response:
                    self._write(response)
                case Forward() as forward:
                    task = self._server.spawn(self._finish(forward))
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)
            await self._writer.drain()

    async def _finish(self, forward: Forward) -> None:
        self._write(await self._server.finish(forward, tcp=True))

    def _write(self, response: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(len(response).to_bytes(2, "big") + response)
