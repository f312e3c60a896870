"""`agnhost netexec`: an HTTP, UDP and SCTP server with an endpoint for every network test.

After kubernetes test/images/agnhost/netexec/netexec.go (agnhost 2.63); no TLS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Address, Ask, Behaviour, Context, Exit, Launch, Listener, Port, Ran, Run, Steps, Wait, Write
from klab.kubelet.images.golog import canonical, logged, marshal, now, quote
from klab.kubelet.images.http import Request, Response, fail, parse_response, render, text
from klab.kubelet.images.launch import Flags, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_DELAYS = 5.0
_MULTIPART_NAME = re.compile(rb'name="([^"]*)"')
_MAX_PORT = 65535


def behave(launch: Launch) -> Behaviour:
    """Read the flags and serve."""
    flags = Flags.of(launch.args)
    http_port, udp_port, sctp_port = flags.number("http-port", 8080), flags.number("udp-port", 8081), flags.number("sctp-port", -1)
    if flags.text("tls-cert-file"):
        raise KlabError("the built-in agnhost serves no TLS; leave --tls-cert-file out, or give the container a command that runs a TLS server")
    server = Netexec(http_port, flags.text("http-override"))
    listeners = [Listener(Port(http_port), http=server.respond)]
    log = [f"Started HTTP server on port {http_port}"]
    if udp_port != -1:
        for host in (flags.text("udp-listen-addresses") or "").split(","):
            listeners.append(Listener(Port(udp_port, "UDP"), datagram=answer_command, host=host))
            log.append(f"Started UDP server on port {host} {udp_port}")
    if sctp_port != -1:
        listeners.append(Listener(Port(sctp_port, "SCTP"), talk=Commands))
        log.append("Started SCTP server")
    return Behaviour(tuple(listeners), log=tuple(log), stop_delay=float(flags.number("delay-shutdown", 0)))


class Netexec:
    """The HTTP endpoints."""

    def __init__(self, port: int, override: str) -> None:
        """Serve on `port`; `override` is the target that stands for every request's, "" for none."""
        self._port = port
        self._override = override
        self._routes: dict[str, Callable[[Request, Context], Steps[Response]]] = {
            "/clientip": _client_ip,
            "/serverport": self._server_port,
            "/header": _header,
            "/dial": dial,
            "/echo": _echo,
            "/exit": _exit,
            "/healthz": _healthz,
            "/readyz": _readyz,
            "/hostname": _hostname,
            "/hostName": _hostname,
            "/redirect": _redirect,
            "/shell": _shell,
            "/upload": _upload,
            "/shutdown": _shutdown,
        }

    def respond(self, request: Request, context: Context) -> Steps[Response]:
        """Answer at the endpoint; any other path gives the time."""
        if self._override:
            request = Request("GET", self._override, (("Host", request.header("host")),))
        return self._routes.get(request.path, _root)(request, context)

    def _server_port(self, _: Request, context: Context) -> Steps[Response]:
        yield logged(context, "GET /serverport")
        return text(str(self._port))


class Commands:
    """The SCTP server: one command a connection."""

    reset = False

    def __init__(self, context: Context) -> None:
        """Know who asks."""
        self._context = context
        self.done = False

    def open(self) -> bytes:
        """Say nothing first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Answer the command."""
        self.done = True
        return _obey(data, self._context) or b""


def answer_command(data: bytes, context: Context) -> Steps[bytes | None]:
    """Answer a datagram: hostname, echo TEXT, clientip, serverport; anything else gets no answer."""
    command = _command(data)
    answer = _obey(data, context)
    if answer is not None:
        yield logged(context, f"Answering {quote(command)} of UDP client {context.client}")
    elif command:
        yield logged(context, f"Unknown UDP command received from {context.client}: {command}")
    return answer


def _command(data: bytes) -> str:
    return data[:2048].decode(errors="replace").strip().lower()


def _obey(data: bytes, context: Context) -> bytes | None:
    command = _command(data)
    match command:
        case "hostname":
            return context.hostname.encode()
        case "clientip":
            return str(context.client).encode()
        case "serverport":
            return str(context.server.port).encode()
    # upstream trims first, so that "echo " and no more is no command
    return command.removeprefix("echo ").encode() if command.startswith("echo ") else None


def _root(_: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /")
    return text(f"NOW: {now(context)}")


def _client_ip(_: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /clientip")
    return text(str(context.client))


def _hostname(request: Request, context: Context) -> Steps[Response]:
    yield logged(context, f"GET {request.path}")
    return text(context.hostname)


def _header(request: Request, context: Context) -> Steps[Response]:
    key = request.fields.get("key", "")
    if key:
        yield logged(context, f"GET /header?key={key}")
        values = [value for name, value in request.headers if name.lower() == key.lower() != "host"]
        return text(values[0] if values else "")
    yield logged(context, "GET /header")
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name.lower() != "host":  # Go keeps it apart
            headers.setdefault(canonical(name), []).append(value)
    return text(marshal(headers))


def _echo(request: Request, context: Context) -> Steps[Response]:
    message, code = request.fields.get("msg", ""), request.fields.get("code", "")
    yield logged(context, f"GET /echo?msg={message}&code={code}")
    if not code:
        return text(message)
    if not _is_number(code):
        return text(f"argument 'code' must be an integer or empty, got {quote(code)}\n")
    return text(message, int(code))


def _redirect(request: Request, context: Context) -> Steps[Response]:
    location, code = request.fields.get("location", ""), request.fields.get("code", "")
    yield logged(context, f"{request.method} /redirect?msg={location}&code={code}")
    if code and not _is_number(code):
        return text(f"argument 'code' must be an integer or empty, got {quote(code)}\n")
    status = int(code) if code else 302
    body = f'<a href="{location}">Found</a>.\n\n' if request.method in {"GET", "HEAD"} else ""
    return Response(body.encode(), status, (("Content-Type", "text/html; charset=utf-8"), ("Location", location)))


def _healthz(_: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /healthz")
    return Response()


def _readyz(_: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /readyz")
    return text("shutting down", 503) if context.stopping else text("ok")


def _exit(request: Request, context: Context) -> Steps[Response]:
    fields = request.fields
    code, timeout, wait = fields.get("code", ""), fields.get("timeout", ""), fields.get("wait", "")
    yield logged(context, f"GET /exit?code={code}&timeout={timeout}&wait={wait}")
    for name, value in (("timeout", timeout), ("wait", wait)):
        if value and _duration(value) is None:
            return text(f"argument '{name}' must be a valid golang duration or empty, got {quote(value)}\n")
    if code and not _is_number(code):
        return text(f"argument 'code' must be an integer [0-127] or empty, got {quote(code)}\n")
    yield logged(
        context, f"Will begin shutdown in {wait or '0s'}, allowing {timeout or '0s'} for connections to close, then will exit with {code or 0}"
    )
    yield Wait(_duration(wait) or 0.0)
    yield Exit(int(code or 0) & 0xFF)
    return Response()


def _shutdown(_: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /shutdown")
    yield Exit(0)
    return Response()


def _shell(request: Request, context: Context) -> Steps[Response]:
    command = request.fields.get("shellCommand") or request.fields.get("cmd", "")
    yield logged(context, f"GET /shell?cmd={command}")
    ran: Ran = yield Run(("/bin/sh", "-c", command))
    output = {}
    if ran.output:
        output["output"] = ran.output.decode(errors="replace")
    if ran.code:
        output["error"] = f"exit status {ran.code}"
    yield logged(context, f"Output: map[{' '.join(f'{name}:{value}' for name, value in output.items())}]")
    return text(marshal(output))


def _upload(request: Request, context: Context) -> Steps[Response]:
    yield logged(context, "GET /upload")
    content = _uploaded(request)
    if content is None:
        return text(marshal({"error": "Unable to upload file."}))
    path = f"/uploads/upload{int(context.now * 1e6) % 10**9}"
    yield Write(path, content, 0o700)
    yield logged(context, f"Wrote upload to {path}")
    return text(marshal({"output": path}), 201)


def _uploaded(request: Request) -> bytes | None:
    """Give the file of a multipart form's field "file" (RFC 7578)."""
    kind, _, boundary = request.header("content-type").partition("boundary=")
    if not kind.startswith("multipart/form-data") or not boundary:
        return None
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary.strip('"').encode())[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _MULTIPART_NAME.search(head)
        if blank and name and name.group(1) == b"file":
            return content
    return None


def dial(request: Request, context: Context) -> Steps[Response]:
    """Ask another server, several times, and tell all answers."""
    fields = request.fields
    host, port, asked, protocol, tries = (fields.get(name, "") for name in ("host", "port", "request", "protocol", "tries"))
    yield logged(context, f"GET /dial?host={host}&protocol={protocol}&port={port}&request={asked}&tries={tries}")
    if tries and not _is_number(tries):
        return fail(f'tries parameter is invalid. strconv.Atoi: parsing "{tries}": invalid syntax', 400)
    if not asked:
        return fail("request parameter not specified. <nil>", 400)
    kind = protocol.lower() or "http"
    if kind not in {"http", "udp", "sctp"}:
        return fail(f"unsupported protocol. {protocol}", 400)
    if not port.isdecimal() or int(port) > _MAX_PORT:
        return fail(f"host and/or port param are invalid. address {port}: invalid port", 400)
    responses, errors = [], []
    response = ""
    for _ in range(int(tries or 1)):
        response, error = yield from ask(kind, host, int(port), asked)
        if error:
            errors.append(error)
        else:
            responses.append(response)
    output = {}
    if response:
        output["responses"] = responses
    if errors:
        output["errors"] = errors
    return text(marshal(output))


def ask(kind: str, host: str, port: int, asked: str) -> Steps[tuple[str, str]]:
    """Ask an HTTP server for the path `asked`, or send it as a UDP or SCTP message: the answer and the error, one of them empty."""
    if kind != "http":
        answer = yield Ask(kind, host, port, asked.encode(), _DELAYS)
        words = (
            f"{kind} dial failed. err:{answer.error}"
            if answer.error.startswith("lookup")
            else f"reading from {kind} connection failed. err:'{answer.error}'"
        )
        return answer.data.decode(errors="replace"), words if answer.error else ""
    where = str(Address(host, port))
    answer = yield Ask("tcp", host, port, render(Request("GET", f"/{asked}", (("User-Agent", "Go-http-client/1.1"),)), where), _DELAYS)
    url = f'Get "http://{where}/{asked}": '
    if answer.error:
        return "", url + answer.error
    try:
        _, body = parse_response(answer.data)
    except ValueError as error:
        return "", url + str(error)
    return body.decode(errors="replace"), ""


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _duration(word: str) -> float | None:
    try:
        return parse_duration(word) if word else None
    except ValueError:
        return None
