"""Small servers that answer every request with a few words: who they are, what was asked, or what they were told to say.

traefik/whoami, hashicorp/http-echo, jmalloc/echo-server, ealen/echo-server, google-samples/hello-app, google-samples/kubernetes-bootcamp,
nginxdemos/hello, paulbouwer/hello-kubernetes.
"""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Behaviour, Context, Launch, Listener, Port, Steps, Wait
from klab.kubelet.images.golog import canonical, logged
from klab.kubelet.images.http import Request, Response, as_json, fail, text
from klab.kubelet.images.launch import Flags, parse_duration, tcp_ports

if TYPE_CHECKING:
    from collections.abc import Collection

    from klab.kubelet.images.behaviour import HttpHandler

_TAG = re.compile(r":v?(\d+)(?:\.(\d+))?(?:\.(\d+))?$")
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_PIECE = 1 << 16


def whoami(launch: Launch) -> Behaviour:
    """Tell hostname, addresses and the request, as traefik/whoami."""
    flags = Flags.of(launch.args, frozenset({"verbose"}))
    name = flags.text("name", launch.env.get("WHOAMI_NAME", ""))
    port = flags.number("port", int(launch.env.get("WHOAMI_PORT_NUMBER", "0")))

    def respond(request: Request, context: Context) -> Steps[Response]:
        if wait := request.fields.get("wait"):
            yield Wait(_seconds(wait))
        match request.path:
            case "/health":
                return Response()
            case "/bench":
                return Response(b"1", headers=(("Connection", "keep-alive"), ("Content-Type", "text/plain")))
            case "/data":
                return _data(request)
            case "/api":
                sent_headers = {canonical(key): [value] for key, value in request.headers if key.lower() != "host"}
                facts = {"hostname": context.hostname, "ip": _addresses(context), "headers": sent_headers, "url": request.target}
                return as_json({**facts, "host": request.header("host"), "method": request.method, **({"name": name} if name else {})})
        lines = [f"Name: {name}"] if name else []
        lines += [f"Hostname: {context.hostname}", *(f"IP: {address}" for address in _addresses(context)), f"RemoteAddr: {context.client}"]
        host, agent = request.header("host"), request.header("user-agent", "Go-http-client/1.1")
        others = _headers(request, {"host", "user-agent"}, end="\r")
        sent = f"{request.method} {request.target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{others}\r\n"
        return text("".join(f"{line}\n" for line in lines) + sent)

    return _serve(respond, (Port(port),) if port else tcp_ports(launch, 80))


def http_echo(launch: Launch) -> Behaviour:
    """Say the words of -text, as hashicorp/http-echo."""
    flags = Flags.of(launch.args, frozenset({"version"}))
    words = flags.text("text", launch.env.get("ECHO_TEXT", ""))
    if not words:
        raise KlabError("Missing -text option!")
    status = flags.number("status-code", 200)
    names = (("X-App-Name", "http-echo"), ("X-App-Version", "1.0.0"))

    def respond(request: Request, context: Context) -> Steps[Response]:
        yield logged(context, f'{request.header("host")} {context.client} "{request.method} {request.target} HTTP/{request.version}" {status}')
        if request.path == "/health":
            return as_json({"status": "ok"}, end="\n")
        return text(f"{words}\n", status, names)

    listen = flags.text("listen", "")
    number = int(listen.rpartition(":")[2] or 5678) if listen else 0
    return _serve(respond, (Port(number),) if number else tcp_ports(launch, 5678))


def echo_server(launch: Launch) -> Behaviour:
    """Write the request back: as text (jmalloc/echo-server), or as JSON (ealen/echo-server)."""
    if "ealen/" in launch.image.lower():
        return _serve(_ealen, (Port(int(launch.env["PORT"])),) if "PORT" in launch.env else tcp_ports(launch, 80))
    return _serve(_jmalloc, (Port(int(launch.env["PORT"])),) if "PORT" in launch.env else tcp_ports(launch, 8080))


def hello_app(launch: Launch) -> Behaviour:
    """Say hello with version and hostname, as gcr.io/google-samples/hello-app."""
    version = ".".join(number or "0" for number in _tag(launch))

    def respond(request: Request, context: Context) -> Steps[Response]:
        yield logged(context, f"Serving request: {request.path}")
        return text(f"Hello, world!\nVersion: {version}\nHostname: {context.hostname}\n")

    return _serve(respond, (Port(int(launch.env["PORT"])),) if "PORT" in launch.env else tcp_ports(launch, 8080))


def bootcamp(launch: Launch) -> Behaviour:
    """Say hello as gcr.io/google-samples/kubernetes-bootcamp."""
    version = _tag(launch)[0]

    def respond(_: Request, context: Context) -> Response:
        return text(f"Hello Kubernetes bootcamp! | Running on: {context.hostname} | v={version}\n")

    return _serve(respond, tcp_ports(launch, 8080))


def nginx_hello(launch: Launch) -> Behaviour:
    """Tell server and request: nginxdemos/hello, plain or as a page."""
    plain = "plain-text" in launch.image

    def respond(request: Request, context: Context) -> Response:
        facts = {
            "Server address": str(context.server),
            "Server name": context.hostname,
            "Date": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context.now)),
            "URI": request.target,
            "Request ID": f"{int(context.now * 1e9):032x}",
        }
        server = ("Server", "nginx/1.29.1")
        if plain:
            return Response("".join(f"{name}: {value}\n" for name, value in facts.items()).encode(), headers=(server, ("Content-Type", "text/plain")))
        rows = "".join(f"<p><span>{name}:</span> <span>{html.escape(value)}</span></p>\n" for name, value in facts.items())
        page = f"<!DOCTYPE html>\n<html>\n<head>\n<title>Hello World</title>\n</head>\n<body>\n{rows}</body>\n</html>\n"
        return Response(page.encode(), headers=(server, ("Content-Type", "text/html")))

    return _serve(respond, tcp_ports(launch, 8080 if "nginx-hello" in launch.image else 80))


def hello_kubernetes(launch: Launch) -> Behaviour:
    """Show a page with the pod's name, as paulbouwer/hello-kubernetes."""
    words = launch.env.get("MESSAGE", "Hello world!")

    def respond(_: Request, context: Context) -> Response:
        rows = f"<tr><th>namespace:</th><td>{context.identity.namespace}</td></tr>\n<tr><th>pod:</th><td>{context.hostname}</td></tr>\n"
        rows += f"<tr><th>node:</th><td>{context.identity.node}</td></tr>\n"
        body = f"<p>{html.escape(words)}</p>\n<table>\n{rows}</table>\n"
        page = f"<!DOCTYPE html>\n<html>\n<head>\n<title>Hello Kubernetes!</title>\n</head>\n<body>\n{body}</body>\n</html>\n"
        return Response(page.encode(), headers=(("Content-Type", "text/html; charset=utf-8"),))

    return _serve(respond, (Port(int(launch.env["PORT"])),) if "PORT" in launch.env else tcp_ports(launch, 8080))


def _serve(respond: HttpHandler, ports: tuple[Port, ...]) -> Behaviour:
    return Behaviour(tuple(Listener(port, http=respond) for port in ports))


def _jmalloc(request: Request, context: Context) -> Response:
    head = f"Request served by {context.hostname}\n\n{request.method} {request.target} HTTP/{request.version}\n\nHost: {request.header('host')}\n"
    body = f"\n{request.body.decode('latin-1')}" if request.body else ""
    return Response((head + _headers(request) + body).encode("latin-1"), headers=(("Content-Type", "text/plain"),))


def _ealen(request: Request, context: Context) -> Response:
    headers = {name.lower(): value for name, value in request.headers}
    path = request.raw_path
    return as_json(
        {
            "host": {"hostname": request.header("host").partition(":")[0], "ip": context.client.host, "ips": []},
            "http": {"method": request.method, "baseUrl": "", "originalUrl": request.target, "protocol": "http"},
            "request": {"params": {"0": path}, "query": request.fields, "cookies": {}, "body": request.body.decode("latin-1"), "headers": headers},
            "environment": {"HOSTNAME": context.hostname},
        },
        content_type="application/json; charset=utf-8",
    )


def _headers(request: Request, without: Collection[str] = ("host",), end: str = "") -> str:
    """Write the headers in Go's form and in the order of names."""
    return "".join(sorted(f"{canonical(name)}: {value}{end}\n" for name, value in request.headers if name.lower() not in without))


def _addresses(context: Context) -> list[str]:
    return ["127.0.0.1", "::1", *([context.identity.pod_ip] if context.identity.pod_ip else [])]


def _data(request: Request) -> Response:
    """Give /data?size=N&unit=KB of letters, in pieces."""
    fields = request.fields
    unit = _UNITS.get(fields.get("unit", "").lower())
    size = fields.get("size", "1")
    if unit is None or not size.isdecimal():
        return fail("invalid size or unit", 400)
    total = int(size) * unit
    pieces = (b"-" * min(_PIECE, total - start) for start in range(0, total, _PIECE))
    return Response(pieces, headers=(("Content-Type", "text/plain"), ("Content-Length", str(total))))


def _seconds(word: str) -> float:
    try:
        return parse_duration(word)
    except ValueError:
        return 0.0


def _tag(launch: Launch) -> tuple[str, str, str]:
    found = _TAG.search(launch.image.partition("@")[0])
    return (found.group(1), found.group(2) or "0", found.group(3) or "0") if found else ("1", "0", "0")
