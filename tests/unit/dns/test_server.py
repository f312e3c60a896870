"""The server and its upstreams over real sockets of 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from klab.dns.forward import Forwarder
from klab.dns.server import IDLE, Server, serve
from klab.dns.zone import Zone

WEB = "web.default.svc.cluster.local."


def make_zone(domain: str = "cluster.local", address: str = "10.96.0.2") -> Zone:
    zone = Zone(domain)
    zone.set({"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}})
    many = [{"addresses": [f"10.200.0.{i}"]} for i in range(1, 201)]
    labels = {"kubernetes.io/service-name": "many"}
    zone.set({"kind": "Service", "metadata": {"name": "many", "namespace": "default"}, "spec": {"clusterIP": "None"}})
    zone.set({"kind": "EndpointSlice", "metadata": {"name": "many", "namespace": "default", "labels": labels}, "endpoints": many})
    return zone


def bound(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    return sock


def pair() -> tuple[socket.socket, socket.socket, int]:
    """Open a UDP and a TCP socket with one port."""
    while True:
        udp, tcp = bound(socket.SOCK_DGRAM), socket.socket()
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp, udp.getsockname()[1]


@asynccontextmanager
async def serving(zone: Zone, forwarder: Forwarder | None = None, idle: float = IDLE) -> AsyncIterator[int]:
    """Run a server; gives its port."""
    udp, tcp, port = pair()
    server = Server(zone, forwarder or Forwarder(()), idle)
    await server.listen_udp(udp)
    await server.listen_tcp(tcp)
    try:
        yield port
    finally:
        await server.close()


async def ask(port: int, name: str, kind: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
    transport = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await transport(dns.message.make_query(name, kind, **options), "127.0.0.1", port=port, timeout=5)


def addresses(response: dns.message.Message) -> list[str]:
    return [str(rdata) for rrset in response.answer for rdata in rrset]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make an async function a test."""

    def body() -> None:
        asyncio.run(test())

    body.__name__, body.__doc__ = test.__name__, test.__doc__
    return body


@run
async def test_udp_and_tcp_answer_from_the_changing_zone() -> None:
    zone = make_zone()
    async with serving(zone) as port:
        for tcp in (False, True):
            assert addresses(await ask(port, WEB, tcp=tcp)) == ["10.96.0.2"]
        zone.remove("Service/default/web")
        for tcp in (False, True):
            assert (await ask(port, WEB, tcp=tcp)).rcode() == dns.rcode.NXDOMAIN


@run
async def test_serve_takes_several_sockets_and_closes_them() -> None:
    first, second, listener = bound(socket.SOCK_DGRAM), bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
    ports = [sock.getsockname()[1] for sock in (first, second, listener)]
    server = await serve([first, second], [listener], make_zone())
    for port, tcp in zip(ports, (False, False, True), strict=True):
        assert addresses(await ask(port, WEB, tcp=tcp)) == ["10.96.0.2"]
    await server.close()
    assert [sock.fileno() for sock in (first, second, listener)] == [-1, -1, -1]


@run
async def test_a_cut_answer_is_whole_over_tcp() -> None:
    async with serving(make_zone()) as port:
        query = dns.message.make_query("many.default.svc.cluster.local.", "A", use_edns=False)
        assert (await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)).flags & dns.flags.TC
        whole, fell_back = await dns.asyncquery.udp_with_fallback(query, "127.0.0.1", port=port, timeout=5)
        assert (len(addresses(whole)), fell_back) == (200, True)


@run
async def test_noise_over_udp_is_survived() -> None:
    async with serving(make_zone()) as port:
        with bound(socket.SOCK_DGRAM) as client:
            for noise in (b"", b"x", b"\xff" * 12, b"\0" * 100):
                client.sendto(noise, ("127.0.0.1", port))
        assert addresses(await ask(port, WEB)) == ["10.96.0.2"]


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


async def read_message(reader: asyncio.StreamReader) -> dns.message.Message:
    return dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))


@run
async def test_questions_behind_one_another_on_one_connection_in_odd_pieces() -> None:
    queries = [dns.message.make_query(name, "A") for name in (WEB, "no.default.svc.cluster.local.", WEB)]
    stream = b"".join(framed(query.to_wire()) for query in queries)
    async with serving(make_zone()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (stream[:1], stream[1:40], stream[40:]):
            writer.write(piece)
            await writer.drain()
        responses = [await read_message(reader) for _ in queries]
        assert [(r.id, r.rcode()) for r in responses] == [(queries[0].id, 0), (queries[1].id, 3), (queries[2].id, 0)]
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@run
async def test_a_silent_connection_is_closed() -> None:
    async with serving(make_zone(), idle=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


class FakeUpstream(asyncio.DatagramProtocol):
    """An upstream that keeps what it hears and sends what `react(query)` gives."""

    def __init__(self, react: Callable[[bytes], list[bytes]]) -> None:
        self.heard: list[bytes] = []
        self.heard_one = asyncio.Event()
        self._react = react
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)
        self.heard_one.set()
        for reply in self._react(data):
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def upstream(react: Callable[[bytes], list[bytes]]) -> AsyncIterator[tuple[FakeUpstream, tuple[str, int]]]:
    sock = bound(socket.SOCK_DGRAM)
    sock.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(lambda: FakeUpstream(react), sock=sock)
    try:
        yield protocol, sock.getsockname()
    finally:
        transport.close()


def reply_with(address: str) -> Callable[[bytes], list[bytes]]:
    def react(query: bytes) -> list[bytes]:
        message = dns.message.from_wire(query)
        response = dns.message.make_response(message)
        response.answer.append(dns.rrset.from_text(message.question[0].name, 60, "IN", "A", address))
        return [response.to_wire()]

    return react


@run
async def test_names_of_elsewhere_are_asked_for_over_the_clients_transport() -> None:
    async with serving(make_zone("elsewhere.example", "192.0.2.7")) as up, serving(make_zone(), Forwarder([("127.0.0.1", up)])) as port:
        for tcp in (False, True):
            response = await ask(port, "web.default.svc.elsewhere.example.", tcp=tcp)
            assert (addresses(response), response.rcode()) == (["192.0.2.7"], 0)
            assert (await ask(port, "no.elsewhere.example.", tcp=tcp)).rcode() == dns.rcode.NXDOMAIN
        assert (await ask(port, "many.default.svc.elsewhere.example.", use_edns=False)).flags & dns.flags.TC
        assert len(addresses(await ask(port, "many.default.svc.elsewhere.example.", tcp=True))) == 200


@run
async def test_an_external_name_is_answered_whole() -> None:
    zone = make_zone()
    spec = {"type": "ExternalName", "externalName": "web.default.svc.elsewhere.example"}
    zone.set({"kind": "Service", "metadata": {"name": "alias", "namespace": "default"}, "spec": spec})
    async with serving(make_zone("elsewhere.example", "192.0.2.7")) as up, serving(zone, Forwarder([("127.0.0.1", up)])) as port:
        for tcp in (False, True):
            response = await ask(port, "alias.default.svc.cluster.local.", tcp=tcp)
            assert addresses(response) == ["web.default.svc.elsewhere.example.", "192.0.2.7"]


@run
async def test_a_dead_upstream_gives_way_to_the_next_and_all_dead_to_servfail() -> None:
    async with upstream(lambda _: []) as (dead, dead_address), upstream(reply_with("192.0.2.1")) as (_, live_address):
        async with serving(make_zone(), Forwarder([dead_address, live_address], timeout=0.05)) as port:
            for i in range(8):
                assert addresses(await ask(port, f"n{i}.example.")) == ["192.0.2.1"]
            assert dead.heard
        async with serving(make_zone(), Forwarder([dead_address], timeout=0.05)) as port:
            assert (await ask(port, "x.example.")).rcode() == dns.rcode.SERVFAIL
            assert (await ask(port, "x.example.", tcp=True)).rcode() == dns.rcode.SERVFAIL


@run
async def test_a_response_counts_only_with_its_id_and_question() -> None:
    def react(query: bytes) -> list[bytes]:
        (good,) = reply_with("192.0.2.1")(query)
        other_id = bytes((query[0] ^ 1, query[1]))
        other = dns.message.make_query("evil.example.", "A")
        other.id = int.from_bytes(query[:2], "big")
        return [other_id + good[2:], *reply_with("192.0.2.66")(other.to_wire()), b"", good]

    async with upstream(react) as (_, address), serving(make_zone(), Forwarder([address])) as port:
        assert addresses(await ask(port, "good.example.")) == ["192.0.2.1"]


@run
async def test_one_question_of_many_clients_is_asked_once() -> None:
    async with upstream(lambda _: []) as (seen, address), serving(make_zone(), Forwarder([address], timeout=0.3)) as port:
        query = dns.message.make_query("same.example.", "A")
        responses = await asyncio.gather(*(dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5) for _ in range(10)))
        assert [response.rcode() for response in responses] == [dns.rcode.SERVFAIL] * 10
        assert len(seen.heard) == 1


@run
async def test_an_upstream_that_leads_back_costs_one_timeout() -> None:
    udp, tcp, port = pair()
    opened: list[socket.SocketKind] = []

    def open_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        opened.append(kind)
        return socket.socket(family, kind)

    server = Server(make_zone(), Forwarder([("127.0.0.1", port)], open_socket, timeout=0.1), IDLE)
    await server.listen_udp(udp)
    await server.listen_tcp(tcp)
    for over_tcp in (False, True):
        assert (await ask(port, "x.example.", tcp=over_tcp)).rcode() == dns.rcode.SERVFAIL
    assert opened == [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    await server.close()


@run
async def test_a_slow_upstream_does_not_hold_up_what_the_zone_knows() -> None:
    async with upstream(lambda _: []) as (_, address), serving(make_zone(), Forwarder([address], timeout=0.3)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        slow, fast = dns.message.make_query("x.example.", "A"), dns.message.make_query(WEB, "A")
        writer.write(framed(slow.to_wire()) + framed(fast.to_wire()))
        writer.write_eof()
        assert [(await read_message(reader)).id for _ in range(2)] == [fast.id, slow.id]
        writer.close()
        await writer.wait_closed()


@run
async def test_closing_ends_connections_and_questions_on_their_way() -> None:
    async with upstream(lambda _: []) as (seen, address):
        udp, tcp, port = pair()
        server = await serve([udp], [tcp], make_zone(), [address])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(dns.message.make_query(WEB, "A").to_wire()))
        assert (await read_message(reader)).rcode() == dns.rcode.NOERROR
        with bound(socket.SOCK_DGRAM) as other:
            other.sendto(dns.message.make_query("y.example.", "A").to_wire(), ("127.0.0.1", port))
            await asyncio.wait_for(seen.heard_one.wait(), 5)
            await asyncio.wait_for(server.close(), 1)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("address", ["fd00:0::1", "192.0.2.1"])
def test_upstreams_are_addresses(address: str) -> None:
    assert Forwarder([(address, 53)])
    assert not Forwarder([])
    with pytest.raises(ValueError, match="resolver"):
        Forwarder([("resolver.example", 53)])
