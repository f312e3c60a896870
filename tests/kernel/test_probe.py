"""Probes over real sockets, from a namespace that the test alone has."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from klab.kernel import netns
from klab.kernel.probe import HttpAnswer, http_get, tcp_connect
from klab.kernel.sandbox import run_in

pytestmark = pytest.mark.root

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 5.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "node"
    netns.create([path])
    yield path
    netns.remove([path])


@asynccontextmanager
async def serving(node: Path, answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Answer requests on a port of the namespace; `answer` is given the head of each."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await answer(head, writer)
        writer.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = run_in(node, lambda: socket.create_server((host, 0), family=family))
    server = await asyncio.start_server(handle, sock=listener, ssl=tls)
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()


def saying(text: str) -> Answer:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode())

    return answer


def ask(node: Path, answer: Answer, path: str = "/", *, limit: float = LIMIT, headers: tuple[tuple[str, str], ...] = ()) -> tuple[HttpAnswer, str]:
    """GET a path of a server that answers so; give also the URL without its path."""

    async def go() -> tuple[HttpAnswer, str]:
        async with serving(node, answer) as port:
            base = f"http://127.0.0.1:{port}"
            return await http_get(node, base + path, headers, limit), base

    return asyncio.run(go())


def test_an_answer(node: Path) -> None:
    answer, _ = ask(node, saying("HTTP/1.1 503 Sorry\nContent-Length: 4\n\nbusy"))
    assert answer == HttpAnswer(503, "busy")


def test_the_request_is_the_kubelets(node: Path) -> None:
    async def echo(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + head)

    answer, base = ask(node, echo, "/a b?x=1", headers=(("X-Test", "1"),))
    host = base.removeprefix("http://")
    assert answer.body.split("\r\n") == [
        "GET /a%20b?x=1 HTTP/1.1",
        f"Host: {host}",
        "User-Agent: kube-probe/1.36",
        "X-Test: 1",
        "Accept: */*",
        "Connection: close",
        "",
        "",
    ]
    answer, _ = ask(node, echo, headers=(("host", "web.example"), ("User-Agent", "me"), ("Accept", "")))
    assert answer.body.split("\r\n")[1:3] == ["Host: web.example", "User-Agent: me"]
    assert "Accept" not in answer.body


def test_the_body_is_cut(node: Path) -> None:
    answer, _ = ask(node, saying("HTTP/1.1 200 OK\nContent-Length: 100000\n\n" + "x" * 100000))
    assert answer == HttpAnswer(200, "x" * 10240)


def redirecting(where: str) -> Answer:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"GET /there "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 5\r\n\r\nmoved".encode())

    return answer


def test_a_redirect_on_the_host_is_followed_and_one_elsewhere_is_the_answer(node: Path) -> None:
    assert ask(node, redirecting("/there"))[0] == HttpAnswer(200, "ok")
    assert ask(node, redirecting("http://192.0.2.1/"))[0] == HttpAnswer(302, "moved")
    assert ask(node, saying("HTTP/1.1 304 Not Modified\n\n"))[0] == HttpAnswer(304)
    assert ask(node, redirecting("/again"))[0] == HttpAnswer(error='Get "/again": stopped after 10 redirects')


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("", "EOF"),
        ("-ERR unknown command\n", 'net/http: HTTP/1.x transport connection broken: malformed HTTP response "-ERR unknown command"'),
        ("HTTP/1.1 200 OK\nContent-", "unexpected EOF"),
    ],
)
def test_what_is_no_answer(node: Path, said: str, error: str) -> None:
    answer, base = ask(node, saying(said))
    assert answer == HttpAnswer(error=f'Get "{base}/": {error}')


def test_a_body_that_breaks_off_is_no_verdict(node: Path) -> None:
    answer, _ = ask(node, saying("HTTP/1.1 200 OK\nContent-Length: 9\n\nabc"))
    assert answer == HttpAnswer(200, error="unexpected EOF", errored=True)


def test_a_server_that_never_answers(node: Path) -> None:
    async def go(said: bytes) -> tuple[HttpAnswer, str]:
        done = asyncio.Event()

        async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            await done.wait()

        async with serving(node, answer) as port:
            found = await http_get(node, f"http://127.0.0.1:{port}/", (), 0.1)
            done.set()
            return found, f"http://127.0.0.1:{port}/"

    answer, url = asyncio.run(go(b""))
    assert answer == HttpAnswer(error=f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
    answer, _ = asyncio.run(go(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
    assert answer.errored
    assert answer.error == "context deadline exceeded (Client.Timeout or context cancellation while reading body)"


def test_refused_and_unreachable(node: Path) -> None:
    refused = "dial tcp 127.0.0.1:81: connect: connection refused"
    assert asyncio.run(tcp_connect(node, "127.0.0.1", 81, LIMIT)) == refused
    assert asyncio.run(http_get(node, "http://127.0.0.1:81/x", (), LIMIT)) == HttpAnswer(error=f'Get "http://127.0.0.1:81/x": {refused}')
    assert asyncio.run(tcp_connect(node, "192.0.2.1", 80, LIMIT)) == "dial tcp 192.0.2.1:80: connect: network is unreachable"
    assert asyncio.run(tcp_connect(node, "web", 80, LIMIT)) == "dial tcp: lookup web: no such host"


def test_a_peer_that_swallows_packets_runs_into_the_limit(node: Path) -> None:
    script = "ip link add v0 type veth peer name v1; ip addr add 192.0.2.1/24 dev v0; ip link set v0 up; ip link set v1 up; "
    neighbour = "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev v0"
    run_in(node, lambda: subprocess.run(["sh", "-ec", script + neighbour], check=True))
    assert asyncio.run(tcp_connect(node, "192.0.2.2", 80, 0.1)) == "dial tcp 192.0.2.2:80: i/o timeout"


def test_a_connection_goes_through_in_both_families(node: Path) -> None:
    async def go(host: str) -> str:
        async with serving(node, saying(""), host=host) as port:
            return await tcp_connect(node, host, port, LIMIT)

    assert asyncio.run(go("127.0.0.1")) == ""
    assert asyncio.run(go("::1")) == ""


def test_the_probe_leaves_from_the_namespace(node: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    netns.create([other])

    async def go() -> str:
        async with serving(node, saying("")) as port:
            return await tcp_connect(other, "127.0.0.1", port, LIMIT)

    try:
        assert "connection refused" in asyncio.run(go())
    finally:
        netns.remove([other])


@pytest.mark.needs("openssl")
def test_https_believes_any_certificate(node: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=nobody"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def go() -> HttpAnswer:
        async with serving(node, saying("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), context) as port:
            return await http_get(node, f"https://127.0.0.1:{port}/", (), LIMIT)

    assert asyncio.run(go()) == HttpAnswer(200, "ok")


def test_https_to_a_server_that_speaks_plain_http(node: Path) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def go() -> tuple[HttpAnswer, str]:
        listener = run_in(node, lambda: socket.create_server(("127.0.0.1", 0)))
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        async with await asyncio.start_server(plain, sock=listener):
            return await http_get(node, url, (), LIMIT), url

    answer, url = asyncio.run(go())
    assert answer == HttpAnswer(error=f'Get "{url}": http: server gave HTTP response to HTTPS client')
