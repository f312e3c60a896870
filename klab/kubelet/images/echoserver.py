"""gcr.io/google_containers/echoserver:1.4: nginx with a little Lua that tells what a request looked like when it came in."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from klab.kubelet.images.behaviour import Behaviour, Context, Launch, Listener
from klab.kubelet.images.http import Request, Response
from klab.kubelet.images.launch import tcp_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 8080
_PORT_AT_END = re.compile(r":\d*$")


def behave(launch: Launch) -> Behaviour:
    """Serve the echo."""
    return Behaviour(tuple(Listener(port, http=respond) for port in tcp_ports(launch, DEFAULT_PORT)))


def respond(request: Request, context: Context) -> Response:
    """Write the request down as the image's nginx.conf does."""
    headers = _headers(request)
    host = _PORT_AT_END.sub("", request.header("host")).lower()
    lines = [
        "CLIENT VALUES:",
        f"client_address={context.client.host}",
        f"command={request.method}",
        f"real path={request.target}",
        f"query={'nil' if request.query is None else request.query}",
        f"request_version={request.version}",
        f"request_uri=http://{host}:{context.server.port}{request.target}",
        "",
        "SERVER VALUES:",
        "server_version=nginx: 1.10.0 - lua: 10001",
        "",
        "HEADERS RECEIVED:",
        *(f"{name}={value}" for name, value in sorted(headers.items())),
        "BODY:",
        "",
    ]
    body = "\n".join(lines).encode("latin-1") + (request.body or b"-no body in request-")
    return Response((body,), headers=(("Server", "echoserver"), ("Content-Type", "text/plain"), ("X-Served-By", context.identity.pod)))


def _headers(request: Request) -> Mapping[str, str]:
    """Give the headers as ngx.req.get_headers: lower-case names, the values of a repeated one joined."""
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in request.headers:
        values[name.lower()].append(value)
    return {name: ", ".join(found) for name, found in values.items()}
