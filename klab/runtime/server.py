"""The runtime's socket: requests in, answers and events out (klab.runtime.protocol)."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from klab.errors import KlabError, UsageError
from klab.runtime.protocol import LINE_LIMIT, ContainerSpec, ContainerStatus
from klab.runtime.runtime import Runtime

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)


class Server:
    """Serves the runtime to its clients until one of them says `shutdown`."""

    def __init__(self, run_dir: Path, owner: str) -> None:
        """Read the journal in `run_dir`."""
        self._runtime = Runtime(run_dir, owner, self._announce)
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._talking: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def serve(self, listening: socket.socket) -> None:
        """Take over the remembered containers, then answer on the socket."""
        await self._runtime.adopt()
        server = await asyncio.start_unix_server(self._client, sock=listening, limit=LINE_LIMIT)
        await self._over.wait()
        server.close()
        for writer in self._clients:
            writer.close()
        if self._talking:
            await asyncio.wait(self._talking)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        if task := asyncio.current_task():
            self._talking.add(task)
            task.add_done_callback(self._talking.discard)
        try:
            while line := await reader.readline():
                task = asyncio.get_running_loop().create_task(self._request(line, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (ConnectionError, ValueError) as error:  # ValueError: a line beyond the limit
            _log.warning("a client was cut off: %s", error)
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _request(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number = None
        try:
            message = json.loads(line)
            number = message["id"]
            answer = {"id": number, "result": await self._do(message["method"], message.get("params") or {})}
        except KlabError as error:
            answer = {"id": number, "error": {"type": type(error).__name__, "message": str(error)}}
        except Exception as error:  # noqa: BLE001 (told to the client and to the log; the containers of others live on)
            _log.exception("request failed: %.500s", line)
            answer = {"id": number, "error": {"type": "KlabError", "message": f"the container runtime failed: {error!r}; its log tells more"}}
        self._send(writer, answer)

    async def _do(self, method: str, params: Mapping[str, Any]) -> Any:
        match method:
            case "start":
                return _statuses(await self._runtime.start([ContainerSpec.of(raw) for raw in params["containers"]]))
            case "stop":
                return _statuses(await self._runtime.stop(params["containers"], params["graceSeconds"]))
            case "remove":
                await self._runtime.remove(params["containers"])
            case "list":
                return _statuses(self._runtime.list())
            case "exec":
                result = await self._runtime.exec(params["container"], params["argv"], params["timeoutSeconds"])
                return [result.code, result.output, result.timed_out]
            case "feed":
                await self._runtime.name_servers.feed(params["domain"], params["upstreams"], params["delta"])
            case "shutdown":
                await self._runtime.shut_down(params["graceSeconds"])
                asyncio.get_running_loop().call_soon(self._over.set)
            case _:
                raise UsageError(f'the container runtime has no method "{method}"; start, stop, remove, list, exec, feed and shutdown are there')
        return None

    def _announce(self, status: ContainerStatus) -> None:
        for writer in self._clients:
            self._send(writer, {"event": "exited", "container": status.to_json()})

    def _send(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        if not writer.is_closing():
            writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _statuses(statuses: list[ContainerStatus]) -> list[dict[str, Any]]:
    return [status.to_json() for status in statuses]
