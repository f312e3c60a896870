"""The sockets of one container at work: connections and datagrams go to its image's behaviour, effects to the container's `Effects`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Address, Context, Conversation, Effect, Listener, Log
from klab.kubelet.images.http import HttpSession, Request, Response, looks_like_http, text

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

CHUNK = 1 << 16
_DATAGRAMS_AT_ONCE = 64
_PAUSE = 0.1  # seconds without accepting, where descriptors ran out
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close means reset


class ContainerEndedError(Exception):
    """The container ended while it answered."""


class Effects(Protocol):
    """What carries out effects in a container."""

    async def perform(self, effect: Effect) -> Any:
        """Do it and give the result; ContainerEndedError where the container does not outlive it."""

    def log(self, line: str) -> None:
        """Write a line to the container's log."""

    def context(self, client: Address, server: Address) -> Context:
        """Tell a behaviour who is asked and by whom."""


class Service:
    """A container's listeners in the event loop, until `close`."""

    def __init__(self, listeners: Sequence[tuple[Listener, socket.socket]], effects: Effects) -> None:
        """Begin to serve, each listener on its socket."""
        self._effects = effects
        self._loop = asyncio.get_running_loop()
        self._sockets = [opened for _, opened in listeners]
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._closing = False
        for listener, opened in listeners:
            self._listen(listener, opened)

    async def accompany(self, steps: Generator[Effect, Any, None]) -> None:
        """Carry out what the container does beside its listeners."""
        with contextlib.suppress(ContainerEndedError):
            await self._run(steps)

    async def close(self, grace_seconds: float) -> None:
        """Take no more connections, let those that are at work finish, and cut what is left after the grace."""
        self._closing = True
        self._release()
        for task in list(self._idle):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        self.abort()

    def abort(self) -> None:
        """Cut everything at once, as the end of a process does; the task that asks for it is left to end by itself."""
        self._closing = True
        self._release()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _listen(self, listener: Listener, opened: socket.socket) -> None:
        if opened in self._sockets:
            self._loop.add_reader(opened.fileno(), self._datagrams if listener.datagram else self._accept, listener, opened)

    def _release(self) -> None:
        for opened in self._sockets:
            self._loop.remove_reader(opened.fileno())
            opened.close()
        self._sockets = []

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, listener: Listener, opened: socket.socket) -> None:
        """Take a connection; while there is no free descriptor for it, it waits in the backlog."""
        try:
            connection, client = opened.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                raise
            self._loop.remove_reader(opened.fileno())
            self._loop.call_later(_PAUSE, self._listen, listener, opened)
            return
        connection.setblocking(False)
        self._track(self._loop.create_task(self._connection(listener, connection, _address(client))))

    async def _connection(self, listener: Listener, connection: socket.socket, client: Address) -> None:
        try:
            server = _address(connection.getsockname())
            reader, writer = await asyncio.open_connection(sock=connection, limit=CHUNK)
        except OSError:  # the client is gone already
            connection.close()
            return
        context = self._effects.context(client, server)
        try:
            await self._talk(listener, context, reader, writer)
        except (ConnectionError, TimeoutError, ContainerEndedError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()

    async def _talk(self, listener: Listener, context: Context, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Find out what the client speaks, where that is open, and serve it."""
        data = b""
        if listener.http and listener.talk:
            while (judgement := looks_like_http(data)) is None:
                more = await self._read(reader)
                data += more
                if not more:
                    judgement = False
                    break
        else:
            judgement = listener.http is not None
        if judgement and listener.http:
            await self._serve_http(listener.http, context, data, reader, writer)
        elif listener.talk:
            await self._converse(listener.talk(context), data, reader, writer)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """Wait for the client; a stopping container hangs up on one that says nothing."""
        task = asyncio.current_task()
        if self._closing or task is None:
            raise ContainerEndedError
        self._idle.add(task)
        try:
            return await reader.read(CHUNK)
        finally:
            self._idle.discard(task)

    async def _serve_http(
        self, handler: Callable[[Request, Context], Any], context: Context, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        session = HttpSession()
        if data:
            session.receive(data)
        while not session.closed:
            item = session.next_request()
            if isinstance(item, Request):
                asked = self._effects.context(context.client, context.server)
                response = await self._answer(handler, item, asked)
                for part in session.answer(response, close=self._closing):
                    writer.write(part)
                    await writer.drain()
            elif item is not None:
                writer.write(item)
                await writer.drain()
            elif not session.closed:
                session.receive(await (self._read(reader) if session.idle else reader.read(CHUNK)))

    async def _answer(self, handler: Callable[[Request, Context], Any], request: Request, context: Context) -> Response:
        """Ask the image for an answer; what klab cannot do for it is a server's error."""
        try:
            response: Response = await self._run(handler(request, context))
        except (KlabError, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            self._effects.log(f"klab: {request.method} {request.target}: {error}")
            return text(f"{error}\n", 500)
        return response

    async def _converse(self, conversation: Conversation, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(conversation.open())
        while not conversation.done:
            if not data:
                await writer.drain()
                data = await self._read(reader)
                if not data:
                    break
            writer.write(conversation.receive(data))
            data = b""
        await writer.drain()
        if conversation.reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _run(self, answer: Any) -> Any:
        """Carry out what an answer needs, and give it."""
        if not isinstance(answer, Generator):
            return answer
        result: Any = None
        try:
            while True:
                effect = answer.send(result)
                result = await self._effects.perform(effect)
        except StopIteration as stop:
            return stop.value
        finally:
            answer.close()

    def _datagrams(self, listener: Listener, opened: socket.socket) -> None:
        """Answer the datagrams that wait, at once where no effect is needed but the log."""
        if listener.datagram is None:
            return
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data, client = opened.recvfrom(CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error for a former answer
                continue
            context = self._effects.context(_address(client), _address(opened.getsockname()))
            answer = listener.datagram(data, context)
            if isinstance(answer, Generator):
                finished, value = _run_logging(answer, self._effects)
                if not finished:
                    self._track(self._loop.create_task(self._answer_later(answer, value, opened, client)))
                    continue
                answer = value
            _reply(opened, answer, client)

    async def _answer_later(self, answer: Generator[Effect, Any, bytes | None], effect: Effect, opened: socket.socket, client: Any) -> None:
        """Go on with an answer that needs `effect` first."""

        def rest() -> Generator[Effect, Any, bytes | None]:
            result = yield effect
            try:
                while True:
                    result = yield answer.send(result)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]

        with contextlib.suppress(ContainerEndedError):
            _reply(opened, await self._run(rest()), client)


def _run_logging(answer: Generator[Effect, Any, Any], effects: Effects) -> tuple[bool, Any]:
    """Run an answer as far as it only logs: (True, the answer) or (False, the effect it waits for)."""
    try:
        effect = next(answer)
        while isinstance(effect, Log):
            effects.log(effect.line)
            effect = answer.send(None)
    except StopIteration as stop:
        return True, stop.value
    return False, effect


def _reply(opened: socket.socket, answer: bytes | None, client: Any) -> None:
    """Send a datagram; like every datagram it may get lost, here too: no route, a full buffer."""
    if answer is not None and opened.fileno() >= 0:
        with contextlib.suppress(OSError):
            opened.sendto(answer, client)


def _address(name: Any) -> Address:
    """Read a socket's address; an IPv4 address in its own form."""
    host = str(name[0]).partition("%")[0]
    return Address(host.removeprefix("::ffff:") if "." in host else host, name[1])
