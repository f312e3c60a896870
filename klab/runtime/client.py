"""The kubelet's side of the runtime's socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klab import errors
from klab.errors import KlabError
from klab.runtime.names import LOG_NAME, SOCKET_NAME
from klab.runtime.protocol import LINE_LIMIT, ContainerSpec, ContainerStatus, ExecResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class RuntimeClient:
    """A connection to the runtime; many requests may be under way at once.

    `on_exit` hears of every container that ends while the connection is there; `on_lost` is called once when it breaks (not by `close`).
    """

    def __init__(self, on_exit: Callable[[ContainerStatus], None] | None = None, on_lost: Callable[[], None] | None = None) -> None:
        """Hold no connection yet."""
        self._on_exit = on_exit
        self._on_lost = on_lost
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self, run_dir: Path) -> None:
        """Connect; KlabError where no runtime listens."""
        path = run_dir / SOCKET_NAME
        try:
            reader, self._writer = await asyncio.open_unix_connection(str(path), limit=LINE_LIMIT)
        except OSError as error:
            raise KlabError(f"the container runtime does not answer on {path}: {error.strerror}; see {run_dir / LOG_NAME}") from error
        self._listening = asyncio.get_running_loop().create_task(self._listen(reader))

    async def start(self, specs: Sequence[ContainerSpec]) -> list[ContainerStatus]:
        """Start containers; each status tells how that went."""
        return _statuses(await self._ask("start", {"containers": [spec.to_json() for spec in specs]}))

    async def stop(self, containers: Sequence[str], grace_seconds: float) -> list[ContainerStatus]:
        """End containers and wait for that; NotFoundError where one is not known."""
        return _statuses(await self._ask("stop", {"containers": list(containers), "graceSeconds": grace_seconds}))

    async def remove(self, containers: Sequence[str]) -> None:
        """Forget containers, ending them at once where they run; unknown ones are fine."""
        await self._ask("remove", {"containers": list(containers)})

    async def list(self) -> list[ContainerStatus]:
        """Give all containers."""
        return _statuses(await self._ask("list", {}))

    async def exec(self, container: str, argv: Sequence[str], timeout_seconds: float | None = None) -> ExecResult:
        """Run a program in a container and give what it printed."""
        return ExecResult(*await self._ask("exec", {"container": container, "argv": list(argv), "timeoutSeconds": timeout_seconds}))

    async def feed(self, domain: str, upstreams: Sequence[str], delta: Mapping[str, Any]) -> None:
        """Tell the cluster's DNS servers what changed (klab.dns.delta); the first time everything."""
        await self._ask("feed", {"domain": domain, "upstreams": list(upstreams), "delta": delta})

    async def shutdown(self, grace_seconds: float = 0.0) -> None:
        """Stop and remove all containers, and end the runtime."""
        self._on_lost = None
        await self._ask("shutdown", {"graceSeconds": grace_seconds})
        if self._listening:
            await self._listening

    async def close(self) -> None:
        """Hang up."""
        self._on_lost = None
        if self._writer:
            self._writer.close()
        if self._listening:
            await self._listening

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        if self._writer is None or self._writer.is_closing():
            raise KlabError("there is no connection to the container runtime; `klab up` starts it anew")
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": number, "method": method, "params": params}, separators=(",", ":")).encode() + b"\n")
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._receive(json.loads(line))
        except ConnectionError:
            pass  # the same as the end of the stream
        finally:
            if self._writer:
                self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(KlabError("the container runtime went away before it answered; `klab up` starts it anew"))
            if self._on_lost:
                self._on_lost()

    def _receive(self, message: dict[str, Any]) -> None:
        if "event" in message:
            if self._on_exit:
                self._on_exit(ContainerStatus.of(message["container"]))
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return
        if error := message.get("error"):
            future.set_exception(_ERRORS.get(error["type"], KlabError)(error["message"]))
        else:
            future.set_result(message["result"])


_ERRORS: dict[str, type[KlabError]] = {
    kind.__name__: kind for kind in (errors.NotFoundError, errors.UsageError, errors.MissingError, errors.AlreadyExistsError, KlabError)
}


def _statuses(raw: list[dict[str, Any]]) -> list[ContainerStatus]:
    return [ContainerStatus.of(status) for status in raw]
