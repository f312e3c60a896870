"""A server on a unix socket, in a thread of its own, and ways to talk to it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any, TypeVar

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver.client import Client
from klab.apiserver.rest import Hooks
from klab.apiserver.server import bind_unix, make_app, serve
from klab.controlplane.store import Store

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    code: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Server:
    """A running API server over an empty store with the default namespace."""

    def __init__(self, path: Path, hooks: Hooks) -> None:
        self.path = path
        self.client = Client(path)
        self.store = Store()
        self.store.create(BUILTIN.of("v1", "Namespace"), {"metadata": {"name": "default"}, "spec": {"finalizers": ["kubernetes"]}})
        self._hooks = hooks
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._started.wait(10)

    async def _serve(self) -> None:
        runner = await serve(make_app(self.store, self._hooks), [bind_unix(self.path)])
        self._started.set()
        await self._ended.wait()
        await runner.cleanup()

    def run(self, call: Callable[..., Answer], *args: Any) -> Answer:
        """Call something of the store in the server's thread."""

        async def within() -> Answer:
            return call(*args)

        return asyncio.run_coroutine_threadsafe(within(), self._loop).result(10)

    def open(self, method: str, path: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
        """Send a request; the answer is still to be read."""
        connection = HTTPConnection("localhost")
        connection.sock = socket(AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.path))
        connection.request(method, path, body, {"Connection": "close", **{name.replace("_", "-"): value for name, value in headers.items()}})
        return connection.getresponse()

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Reply:
        """Send a request and read the whole answer."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with self.open(method, path, data, **({"Content_Type": content_type} if data is not None else {})) as response:
            text = response.read()
            kind = response.headers.get_content_type()
            found = json.loads(text) if kind == "application/json" else text.decode()
            return Reply(response.status, found, dict(response.headers), tuple(response.headers.get_all("Warning") or ()))

    def stop(self) -> None:
        """End the server; all its answers end with it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(10)
            self._loop.close()


@pytest.fixture
def hooks() -> Hooks:
    """Give what the composition root hands in; tests override it."""
    return Hooks()


@pytest.fixture
def server(tmp_path: Path, hooks: Hooks) -> Iterator[Server]:
    """Give a running server."""
    running = Server(tmp_path / "api.sock", hooks)
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Client:
    """Give the CLI's client of it."""
    return server.client
