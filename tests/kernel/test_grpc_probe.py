"""gRPC probes over a real socket; the server's bytes are what grpc-go sends, its header blocks left out (they are skipped unread)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from klab.kernel import netns
from klab.kernel.grpc_probe import GrpcAnswer, grpc_check
from klab.kernel.sandbox import run_in

pytestmark = pytest.mark.root

SETTINGS, PING, HEADERS, DATA, GOAWAY = 4, 6, 1, 0, 7
REFUSED = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health), or knows no such service"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def message(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4, "big") + payload


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "node"
    netns.create([path])
    yield path
    netns.remove([path])


def check(node: Path, said: bytes, service: str = "", limit: float = 5.0, *, hang: bool = False) -> tuple[GrpcAnswer, list[bytes]]:
    """Ask a server that says `said` once it has the call; give also the frames that it was sent."""
    frames: list[bytes] = []

    async def go() -> GrpcAnswer:
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            while not frames or frames[-1][3] != DATA:
                head = await reader.readexactly(9)
                frames.append(head + await reader.readexactly(int.from_bytes(head[:3], "big")))
            writer.write(said)
            if hang:
                await done.wait()
            writer.close()

        listener = run_in(node, lambda: socket.create_server(("127.0.0.1", 0)))
        async with await asyncio.start_server(serve, sock=listener):
            answer = await grpc_check(node, "127.0.0.1", listener.getsockname()[1], service, limit)
            done.set()
            return answer

    return asyncio.run(go()), frames


@pytest.mark.parametrize(("payload", "status"), [(b"\x08\x01", 1), (b"\x08\x02", 2), (b"", 0)])
def test_the_status_is_read_among_other_frames(node: Path, payload: bytes, status: int) -> None:
    whole = message(payload)
    said = frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0) + frame(PING, 0, 0, bytes(8)) + frame(HEADERS, 4, 1, b"\x88")
    split = frame(DATA, 0, 1, whole[:3]) + frame(DATA, 8, 1, b"\2" + whole[3:] + bytes(2))
    assert check(node, said + split)[0] == GrpcAnswer(status)


def test_the_call(node: Path) -> None:
    _, frames = check(node, frame(DATA, 0, 1, message(b"\x08\x01")), "data" * 40)
    settings, headers, data = frames
    assert settings == frame(SETTINGS, 0, 0)
    assert headers[3:9] == bytes((HEADERS, 4, 0, 0, 0, 1))
    assert b"/grpc.health.v1.Health/Check" in headers
    assert b"application/grpc" in headers
    assert data == frame(DATA, 1, 1, message(b"\x0a\xa0\x01" + b"data" * 40))


@pytest.mark.parametrize("said", [frame(HEADERS, 5, 1, b"\x88"), frame(DATA, 1, 1), frame(GOAWAY, 0, 0, bytes(8))])
def test_an_end_without_a_message(node: Path, said: bytes) -> None:
    assert check(node, said)[0] == GrpcAnswer(error=REFUSED)


def test_a_server_that_goes_away_or_never_answers(node: Path) -> None:
    assert "error reading from server" in check(node, b"")[0].error
    assert check(node, b"", limit=0.1, hang=True)[0].error == "timeout: health rpc did not complete within 0.1s"


def test_nobody_listens(node: Path) -> None:
    answer = asyncio.run(grpc_check(node, "127.0.0.1", 81, "", 1))
    assert answer.error == 'timeout: failed to connect service "127.0.0.1:81" within 1s: context deadline exceeded'
