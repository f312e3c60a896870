"""CoreDNS as the cluster's DNS server: it answers from what the lab feeds its container runtime, whatever its Corefile says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from klab.kubelet.images.behaviour import Behaviour, Context, Launch, Listener, Port
from klab.kubelet.images.http import Request, Response, fail, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_DNS = 53
_PATHS: Mapping[int, str] = {8080: "/health", 8181: "/ready"}  # where the plugins of these names answer


def behave(launch: Launch) -> Behaviour:
    """Answer DNS on the declared UDP ports (53 without any) over UDP and TCP, and `OK` to health and readiness probes."""
    numbers = dict.fromkeys(port.number for port in launch.ports if port.protocol == "UDP") or {_DNS: None}
    questions = (Listener(Port(number, protocol), dns=True) for number in numbers for protocol in ("UDP", "TCP"))
    probes = (Listener(Port(number), http=_respond) for number in _PATHS if number not in numbers)
    return Behaviour((*questions, *probes), log=tuple(f".:{number}" for number in numbers))


def _respond(request: Request, context: Context) -> Response:
    return text("OK") if request.path == _PATHS[context.server.port] else fail("404 page not found", 404)
