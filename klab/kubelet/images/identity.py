"""An image that klab does not know: whatever it is asked, and by whatever protocol, it tells which pod it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klab.kubelet.images.behaviour import Behaviour, Context, Launch, Listener, Port
from klab.kubelet.images.http import Request, Response, text

if TYPE_CHECKING:
    from collections.abc import Iterable


class Telling:
    """A connection on which every message is answered by the container's identity."""

    done = False
    reset = False

    def __init__(self, context: Context) -> None:
        """Know whom to tell."""
        self._context = context

    def open(self) -> bytes:
        """Say nothing before the client does."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Answer whatever came, in one line."""
        return describe(data, self._context)


def describe(_: bytes, context: Context) -> bytes:
    """Tell the container's identity in one line."""
    return (" ".join(_facts(context)) + "\n").encode()


def respond(request: Request, context: Context) -> Response:
    """Tell the container's identity and the request, one fact a line."""
    facts = [*_facts(context), f"server_address={context.server}", f"request={request.method} {request.target}", f"host={request.header('host')}"]
    return text("".join(f"{fact}\n" for fact in facts))


def listeners(ports: Iterable[Port]) -> tuple[Listener, ...]:
    """Serve these ports with the container's identity."""
    return tuple(
        Listener(port, datagram=describe) if port.protocol == "UDP" else Listener(port, http=respond, talk=Telling, optional=port.protocol == "SCTP")
        for port in ports
    )


def behave(launch: Launch) -> Behaviour:
    """Serve the declared ports; without any there is nothing to do but wait."""
    return Behaviour(listeners(dict.fromkeys(launch.ports)), unknown=True)


def _facts(context: Context) -> list[str]:
    who = context.identity
    return [
        f"hostname={context.hostname}",
        f"pod={who.pod}",
        f"namespace={who.namespace}",
        f"pod_ip={who.pod_ip}",
        f"node={who.node}",
        f"container={who.container}",
        f"image={context.image}",
        f"client_address={context.client.host}",
    ]
