"""Does a kubelet's gRPC probes: one grpc.health.v1.Health/Check over HTTP/2 (RFC 9113), just as much of it as one call needs.

The answer's message holds the health status; headers and trailers are skipped unread (they would need the whole of HPACK), so that a server without
the health protocol is told by its answer having no message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from klab.kernel.probe import USER_AGENT, NetError, connect, join_address

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_CALL = 1  # the number of the only stream
_MAX_FRAME = 1 << 14
_PATH = "/grpc.health.v1.Health/Check"
_STATUS_FIELD = 0x08  # HealthCheckResponse.status: field 1, a varint
_SERVICE_FIELD = 0x0A  # HealthCheckRequest.service: field 1, a string


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """What a gRPC probe met: HealthCheckResponse.status, or the `error` that came instead."""

    status: int | None = None
    error: str = ""


async def grpc_check(netns: str | Path, host: str, port: int, service: str, limit: float) -> GrpcAnswer:
    """Ask for the health of `service` ("" for the whole server) from the namespace at `netns`, within `limit` seconds."""
    address = join_address(host, port)
    deadline = asyncio.get_running_loop().time() + limit
    try:
        async with asyncio.timeout_at(deadline):
            connection = await connect(netns, host, port)
    except (TimeoutError, NetError):
        return GrpcAnswer(error=f'timeout: failed to connect service "{address}" within {limit:g}s: context deadline exceeded')
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        async with asyncio.timeout_at(deadline):
            writer.write(_render_call(address, service))
            message = await _read_message(reader, writer)
    except TimeoutError:
        return GrpcAnswer(error=f"timeout: health rpc did not complete within {limit:g}s")
    except (OSError, asyncio.IncompleteReadError):
        return GrpcAnswer(error="error: health rpc probe failed: rpc error: code = Unavailable desc = error reading from server: EOF")
    finally:
        writer.transport.abort()
    if message is None:
        return GrpcAnswer(error="error: this server does not implement the grpc health protocol (grpc.health.v1.Health), or knows no such service")
    return GrpcAnswer(_parse_status(message))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _render_call(authority: str, service: str) -> bytes:
    """Give the whole of what the client says: preface, settings, the request's headers (HPACK, RFC 7541, nothing indexed) and its message."""
    headers = b"\x83\x86"  # :method POST, :scheme http
    headers += b"\x04" + _text(_PATH) + b"\x01" + _text(authority)
    for name, value in (("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", USER_AGENT)):
        headers += b"\x00" + _text(name) + _text(value)
    wanted = service.encode()
    request = bytes((_SERVICE_FIELD,)) + _varint(len(wanted)) + wanted if wanted else b""
    message = b"\x00" + len(request).to_bytes(4, "big") + request
    return _PREFACE + _frame(_SETTINGS, 0, 0) + _frame(_HEADERS, _END_HEADERS, _CALL, headers) + _frame(_DATA, _END_STREAM, _CALL, message)


def _text(text: str) -> bytes:
    """Write a string of HPACK as it is; all of ours are shorter than 127 bytes, so that their length is one byte."""
    return bytes((len(text),)) + text.encode()


def _varint(number: int) -> bytes:
    """Write a number as protobuf does."""
    found = b""
    while number > 0x7F:  # noqa: PLR2004 (seven bits a byte)
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


async def _read_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    """Read frames until the answer's message is whole; None where the call ends without one."""
    data = b""
    while True:
        head = await reader.readexactly(9)
        length, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        payload = await reader.readexactly(min(length, _MAX_FRAME))
        if kind in {_SETTINGS, _PING} and not flags & _ACK:
            writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _DATA and stream == _CALL:
            data += payload[1 : -payload[0] or None] if flags & _PADDED else payload
            if len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):  # noqa: PLR2004 (a flag and four bytes of length come first)
                return data[5 : 5 + int.from_bytes(data[1:5], "big")]
        ends = kind == _RST_STREAM or (kind in {_DATA, _HEADERS} and flags & _END_STREAM)
        if (ends and stream == _CALL) or kind == _GOAWAY:
            return None


def _parse_status(message: bytes) -> int:
    """Read HealthCheckResponse; the default 0 (UNKNOWN) is left out on the wire."""
    return message[1] if len(message) > 1 and message[0] == _STATUS_FIELD else 0
