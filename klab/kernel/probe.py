"""Does a kubelet's HTTP and TCP probes: from the network namespace of the node, with the error texts of Go's net and net/http.

After pkg/probe/http, pkg/probe/tcp of Kubernetes. Names are not looked up: a probe's host is an address, or "localhost".
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import h11

from klab.kernel.sandbox import run_in

USER_AGENT = "kube-probe/1.36"
MAX_BODY = 10 * 1024
_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CHUNK = 65536

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an HTTP probe met: a status and the beginning of the body, or the `error` that came instead.

    `errored` marks an answer that broke off in its body: Kubernetes draws no conclusion from that.
    """

    status: int = 0
    body: str = ""
    error: str = ""
    errored: bool = False


class NetError(Exception):
    """A connection or an exchange came to nothing; the text is Go's. It does not leave the kernel room."""


async def tcp_connect(netns: str | Path, host: str, port: int, limit: float) -> str:
    """Connect to a port from the namespace at `netns` and close again; "" where that works within `limit` seconds, else Go's error."""
    try:
        async with asyncio.timeout(limit):
            connection = await connect(netns, host, port)
    except TimeoutError:
        return f"dial tcp {join_address(host, port)}: i/o timeout"
    except NetError as error:
        return str(error)
    connection.close()
    return ""


async def http_get(netns: str | Path, url: str, headers: Headers, limit: float) -> HttpAnswer:
    """GET `url` from the namespace at `netns`, within `limit` seconds; redirects are followed as long as they stay on the same host."""
    deadline = asyncio.get_running_loop().time() + limit
    first = urlsplit(url).hostname
    for _ in range(_MAX_REDIRECTS):
        exchange = _Exchange(netns, url, headers)
        try:
            async with asyncio.timeout_at(deadline):
                await exchange.begin()
            location = exchange.location
            if location is None or urlsplit(urljoin(url, location)).hostname != first:
                return await exchange.finish(deadline)
        except TimeoutError:
            return HttpAnswer(error=f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
        except NetError as error:
            return HttpAnswer(error=f'Get "{url}": {error}')
        finally:
            exchange.close()
        url = urljoin(url, location)
    return HttpAnswer(error=f'Get "{location}": stopped after 10 redirects')


class _Exchange:
    """One request and its answer on a connection of its own."""

    def __init__(self, netns: str | Path, url: str, headers: Headers) -> None:
        self._netns, self._url, self._headers = netns, urlsplit(url), headers
        self._http = h11.Connection(h11.CLIENT)
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader()
        self._received = b""  # the first bytes, for the message about what is no HTTP
        self._status = 0
        self.location: str | None = None
        """Where the answer redirects to."""

    async def begin(self) -> None:
        """Connect, send the request, read the head of the answer; NetError says what went wrong."""
        scheme, host = self._url.scheme, self._url.hostname or ""
        connection = await connect(self._netns, host, self._url.port or _DEFAULT_PORTS[scheme])
        context = _tls_context() if scheme == "https" else None
        try:
            self._reader, self._writer = await asyncio.open_connection(sock=connection, ssl=context, server_hostname=host if context else None)
        except ssl.SSLError as error:
            not_tls = error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}
            raise NetError("http: server gave HTTP response to HTTPS client" if not_tls else f"tls: {error.reason}") from error
        except OSError as error:
            raise NetError(_reason(error)) from error
        self._writer.write(self._request())
        while not isinstance(event := await self._next_event(), h11.Response):
            pass
        self._status = event.status_code
        if self._status in _REDIRECTS:
            self.location = next((value.decode("latin-1") for name, value in event.headers if name == b"location"), None)

    async def finish(self, deadline: float) -> HttpAnswer:
        """Read the beginning of the body."""
        body = b""
        try:
            async with asyncio.timeout_at(deadline):
                while len(body) < MAX_BODY and isinstance(event := await self._next_event(), h11.Data):
                    body += event.data
        except TimeoutError:
            error = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
            return HttpAnswer(self._status, error=error, errored=True)
        except NetError as error:
            return HttpAnswer(self._status, error=str(error), errored=True)
        return HttpAnswer(self._status, body[:MAX_BODY].decode(errors="replace"))

    def close(self) -> None:
        """Let the connection go."""
        if self._writer is not None:
            self._writer.transport.abort()

    def _request(self) -> bytes:
        given = {name.lower(): value for name, value in self._headers}
        headers = [("Host", given.get("host") or self._url.netloc)]
        if "user-agent" not in given:
            headers.append(("User-Agent", USER_AGENT))
        headers += [(name, value) for name, value in self._headers if name.lower() != "host" and (value or name.lower() != "accept")]
        if "accept" not in given:
            headers.append(("Accept", "*/*"))
        headers.append(("Connection", "close"))
        target = quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{self._url.query}" if self._url.query else "")
        return (self._http.send(h11.Request(method="GET", target=target, headers=headers)) or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    async def _next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._reader.read(_CHUNK)
                if not data and not self._received:
                    raise NetError("EOF")
                self._received = self._received or data
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise NetError(self._broken()) from error
        except OSError as error:
            raise NetError(f"read tcp {self._path()}: read: {_reason(error)}") from error
        return event

    def _broken(self) -> str:
        """Say how the answer is none."""
        if self._status or self._received.startswith(b"HTTP/1."):
            return "unexpected EOF"
        line = self._received.split(b"\n")[0].rstrip(b"\r")
        quoted = line.decode("latin-1").encode("unicode_escape").decode().replace('"', '\\"')
        return f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{quoted}"'

    def _path(self) -> str:
        info = self._writer.get_extra_info if self._writer else (lambda _: ("", 0))
        return "->".join(join_address(*(info(name) or ("", 0))[:2]) for name in ("sockname", "peername"))


async def connect(netns: str | Path, host: str, port: int) -> socket.socket:
    """Connect a socket made in the namespace; NetError in Go's words."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise NetError(f"dial tcp: lookup {host}: no such host") from None
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 (IP version 4)
    connection = run_in(netns, lambda: socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    try:
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except OSError as error:
        connection.close()
        raise NetError(f"dial tcp {join_address(str(address), port)}: connect: {_reason(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _tls_context() -> ssl.SSLContext:
    """Believe any certificate, as the kubelet does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def join_address(host: str, port: int) -> str:
    """Write an address and a port as Go does (net.JoinHostPort)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
