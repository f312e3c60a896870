"""HTTP as the built-in images speak it: requests and responses as values, and one connection as a state machine over h11 (sans-io)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import h11

Headers: TypeAlias = tuple[tuple[str, str], ...]
BODY_LIMIT = 1 << 28  # bytes of a request that are kept in memory
_METHODS = tuple(f"{method} ".encode() for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"))


@dataclass(frozen=True)
class Request:
    """A request; `target` as it was sent, header names as they were sent."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    version: str = "1.1"

    @property
    def raw_path(self) -> str:
        """Give the target without the query."""
        return self.target.partition("?")[0]

    @cached_property
    def path(self) -> str:
        """Give the path, decoded; an absolute target's too."""
        raw = self.raw_path
        if "://" in raw:
            raw = "/" + raw.split("://", 1)[1].partition("/")[2]
        return unquote(raw)

    @property
    def query(self) -> str | None:
        """Give what follows the question mark, None where there is none."""
        _, mark, query = self.target.partition("?")
        return query if mark else None

    @cached_property
    def fields(self) -> dict[str, str]:
        """Give the query's fields and a form's; the first of a name, as Go's FormValue (a form's before the query's)."""
        fields: dict[str, str] = {}
        form = self.body.decode("latin-1") if self.header("content-type").startswith("application/x-www-form-urlencoded") else ""
        for name, value in parse_qsl(form, keep_blank_values=True) + parse_qsl(self.query or "", keep_blank_values=True):
            fields.setdefault(name, value)
        return fields

    def header(self, name: str, default: str = "") -> str:
        """Give a header's value, several joined by commas."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else default


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; a `body` of several parts is sent in chunks, as they come, unless a Content-Length header is given."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Headers = ()


def text(body: str, status: int = 200, headers: Headers = ()) -> Response:
    """Answer with plain text, as a Go server writes a string."""
    return Response(body.encode(errors="surrogateescape"), status, (("Content-Type", "text/plain; charset=utf-8"), *headers))


def fail(message: str, status: int) -> Response:
    """Answer as Go's http.Error."""
    return text(message + "\n", status, (("X-Content-Type-Options", "nosniff"),))


def as_json(value: Any, status: int = 200, *, indent: int | None = None, content_type: str = "application/json", end: str = "") -> Response:
    """Answer with JSON; in one line as Go's Marshal writes it, or indented."""
    separators = None if indent else (",", ":")
    return Response(
        (json.dumps(value, indent=indent, separators=separators, ensure_ascii=False) + end).encode(), status, (("Content-Type", content_type),)
    )


def looks_like_http(data: bytes) -> bool | None:
    """Judge the first bytes of a connection: an HTTP request, something else, or None while both are possible."""
    line, newline, _ = data.partition(b"\n")
    if newline:
        return line.startswith(_METHODS) and line.rsplit(b" ", 1)[-1].startswith(b"HTTP/1.")
    return None if any(method.startswith(line[: len(method)]) for method in _METHODS) else False


def render(request: Request, host: str) -> bytes:
    """Write a request of a client that wants the connection closed afterwards."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in request.headers)]
    length = [f"Content-Length: {len(request.body)}"] if request.body else []
    return "\r\n".join([*lines, *length, "Connection: close", "", ""]).encode() + request.body


def parse_response(data: bytes, method: str = "GET") -> tuple[int, bytes]:
    """Read a whole response: its status and body; ValueError where it is none."""
    if not data:
        raise ValueError("EOF")
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x"), ("Connection", "close")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            match event:
                case h11.Response():
                    status = event.status_code
                case h11.Data():
                    body += event.data
    except h11.RemoteProtocolError as error:
        raise ValueError(f"malformed HTTP response: {error}") from error
    return status, body


class HttpSession:
    """A server's side of one connection: bytes in, requests out; responses in, bytes out."""

    def __init__(self) -> None:
        """Wait for the first request."""
        self._connection = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._method = ""
        self.closed = False

    @property
    def idle(self) -> bool:
        """Tell whether no request is under way."""
        return self._head is None and not self._connection.trailing_data[0]

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, b"" at the end of its stream."""
        self._connection.receive_data(data)

    def next_request(self) -> Request | bytes | None:
        """Give the next whole request; or bytes to send first (100 Continue, or a refusal after which `closed` is set); or None for want of data."""
        try:
            while True:
                if self._head and self._connection.they_are_waiting_for_100_continue:
                    return self._connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                event = self._connection.next_event()
                if isinstance(event, h11.Request):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body.append(bytes(event.data))
                    self._size += len(event.data)
                    if self._size > BODY_LIMIT:
                        return self._refuse(413)
                elif isinstance(event, h11.EndOfMessage):
                    return self._whole()
                elif isinstance(event, h11.ConnectionClosed):
                    self.closed = True
                    return None
                else:
                    return None
        except h11.RemoteProtocolError as error:
            return self._refuse(error.error_status_hint)

    def answer(self, response: Response, *, close: bool = False) -> Iterator[bytes]:
        """Give the bytes of a response part by part, and get ready for the next request; `close` ends the connection with it."""
        names = {name.lower() for name, _ in response.headers}
        headers = [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())), *response.headers]
        if isinstance(response.body, bytes) and "content-length" not in names and response.status not in {204, 304}:
            headers.append(("Content-Length", str(len(response.body))))
        if close and "connection" not in names:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(response.status).phrase if response.status in HTTPStatus._value2member_map_ else "status"
        yield self._connection.send(h11.Response(status_code=response.status, headers=headers, reason=reason.encode())) or b""
        bodiless = self._method == "HEAD" or response.status in {204, 304}
        parts = (response.body,) if isinstance(response.body, bytes) else response.body
        for part in () if bodiless else parts:
            if part:
                yield self._connection.send(h11.Data(data=part)) or b""
        yield self._connection.send(h11.EndOfMessage()) or b""
        if self._connection.our_state is h11.MUST_CLOSE or self._connection.their_state is h11.MUST_CLOSE:
            self.closed = True
        else:
            self._connection.start_next_cycle()

    def _whole(self) -> Request:
        head = self._head
        if head is None:
            raise AssertionError("h11 ends no message that it did not begin")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items())
        self._method = head.method.decode()
        request = Request(self._method, head.target.decode("latin-1"), headers, b"".join(self._body), head.http_version.decode())
        self._head, self._body, self._size = None, [], 0
        return request

    def _refuse(self, status: int) -> bytes:
        self.closed = True
        phrase = HTTPStatus(status).phrase
        body = f"{status} {phrase}"
        return (
            f"HTTP/1.1 {body}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
