"""An image driven by hand: requests in, effects answered by the test, responses out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from klab.kubelet.images.behaviour import Address, Behaviour, Context, Effect, Identity, Launch, Listener, Log
from klab.kubelet.images.catalog import lookup
from klab.kubelet.images.http import Request, Response


@dataclass
class Driver:
    """A container of one image."""

    behaviour: Behaviour
    context: Context
    do: Callable[[Effect], Any]
    effects: list[Effect] = field(default_factory=list)

    def listener(self, protocol: str = "TCP") -> Listener:
        return next(listener for listener in self.behaviour.listeners if listener.port.protocol == protocol)

    def run(self, answer: Any) -> Any:
        if not isinstance(answer, Generator):
            return answer
        result = None
        try:
            while True:
                effect = answer.send(result)
                self.effects.append(effect)
                result = None if isinstance(effect, Log) else self.do(effect)
        except StopIteration as stop:
            return stop.value

    def ask(self, target: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        handler = self.listener().http
        assert handler
        return self.run(handler(Request(method, target, tuple({"Host": "10.0.0.5:8080", **(headers or {})}.items()), body), self.context))

    def text(self, target: str, **more: Any) -> str:
        body = self.ask(target, **more).body
        return (body if isinstance(body, bytes) else b"".join(body)).decode()

    def send(self, data: bytes, protocol: str = "UDP") -> bytes | None:
        handler = self.listener(protocol).datagram
        assert handler
        return self.run(handler(data, self.context))


@pytest.fixture
def container() -> Callable[..., Driver]:
    """Start a container: `container("nginx:1.25", "--flag", do=lambda effect: ...)`."""

    def start(image: str, *args: str, ports: tuple = (), env: dict[str, str] | None = None, do: Callable[[Effect], Any] = lambda _: None) -> Driver:
        behaviour = lookup(Launch(image, args, ports, env or {}))
        identity = Identity("web-1", "default", "10.0.0.5", "node1", "web")
        context = Context(identity, image, "web-1", Address("10.0.1.7", 40000), Address("10.0.0.5", 8080), now=1700000005.25, started=1700000000.0)
        return Driver(behaviour, context, do)

    return start
