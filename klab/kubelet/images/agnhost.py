"""registry.k8s.io/e2e-test-images/agnhost: its subcommands that serve; those that print and end are klab.runtime.agnhost.

After kubernetes test/images/agnhost (2.63), the README's list of subcommands.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kubelet.images import files, netexec
from klab.kubelet.images.behaviour import Behaviour, Context, Conversation, Launch, Listener, Port, Steps, Wait
from klab.kubelet.images.golog import logged, marshal
from klab.kubelet.images.http import Request, Response, fail, text
from klab.kubelet.images.launch import Flags

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS = frozenset({"connect", "dns-server-list", "dns-suffix", "entrypoint-tester", "etc-hosts", "logs-generator", "mounttest"})
"""Subcommands that are run as programs."""


def behave(launch: Launch) -> Behaviour:
    """Do what the subcommand says; without one, pause."""
    subcommand, *rest = launch.args or ("pause",)
    serve = _SERVERS.get(subcommand)
    if serve is None:
        known = ", ".join(sorted({*_SERVERS, *TOOLS}))
        raise KlabError(f'Error: unknown command "{subcommand}" for "app"; the built-in agnhost has {known}')
    return serve(Launch(launch.image, tuple(rest), launch.ports, launch.env))


class OneAnswer:
    """A connection on which the server says one thing by itself and hangs up."""

    done = True
    reset = False

    def __init__(self, answer: bytes) -> None:
        """Keep the answer."""
        self._answer = answer

    def open(self) -> bytes:
        """Say it."""
        return self._answer

    def receive(self, data: bytes) -> bytes:
        """Say nothing more."""
        return data[:0]


class Reset:
    """A connection that the server resets as soon as the client has said something."""

    reset = True

    def __init__(self) -> None:
        """Wait for the client."""
        self.done = False

    def open(self) -> bytes:
        """Say nothing."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Hang up."""
        self.done = True
        return data[:0]


class Guestbook:
    """`agnhost guestbook`: a key-value store whose primary passes every change on to its replicas."""

    def __init__(self, backend_port: int, replica_of: str) -> None:
        """Hold nothing yet."""
        self._backend_port = backend_port
        self._replica_of = replica_of
        self._store: dict[str, str] = {}
        self._replicas: list[str] = []

    def respond(self, request: Request, context: Context) -> Steps[Response]:
        """Answer /register, /get, /set and /guestbook."""
        fields = request.fields
        key, value = fields.get("key", ""), fields.get("value", "")
        yield logged(context, f"GET {request.target}")
        match request.path:
            case "/register":
                self._replicas.append(fields.get("host", ""))
                return text(marshal({"data": self._store}))
            case "/get":
                return text(marshal({"data": self._store.get(key, "") if key else self._store}))
            case "/set":
                return (yield from self._set(key, value))
            case "/guestbook":
                return (yield from self._proxy(fields.get("cmd", "").lower(), key, value))
        return fail("404 page not found", 404)

    def register(self, context: Context) -> Steps[None]:
        """Ask the primary, for at most 15 seconds, to be told every change."""
        for _ in range(15 if self._replica_of else 0):
            yield logged(context, f"Registering to primary: {self._replica_of}:{self._backend_port}/register?host={context.identity.pod_ip}")
            body, error = yield from netexec.ask("http", self._replica_of, self._backend_port, f"register?host={context.identity.pod_ip}")
            if not error:
                self._store.update(json.loads(body)["data"])
                yield logged(context, f"Registered to node: {self._replica_of}")
                return
            yield logged(context, f"encountered error while registering to primary: {error}. Retrying in 1s.")
            yield Wait(1.0)

    def _set(self, key: str, value: str) -> Steps[Response]:
        if not key:
            return fail("cannot set with empty key.", 400)
        self._store[key] = value
        for replica in self._replicas:
            _, error = yield from netexec.ask("http", replica, self._backend_port, f"set?key={key}&value={value}")
            if error:
                return fail(f"encountered error while propagating to replica '{replica}': {error}", 417)
        return text(marshal({"message": "Updated"}))

    def _proxy(self, command: str, key: str, value: str) -> Steps[Response]:
        if command not in {"get", "set"}:
            return fail(f"unsupported cmd: '{command}'", 400)
        if command == "set" and not key:
            return fail("cannot set with empty key.", 400)
        host = "agnhost-replica" if command == "get" else "agnhost-primary"
        body, error = yield from netexec.ask("http", host, self._backend_port, f"{command}?key={key}&value={value}")
        return fail(f"encountered error: {error}", 417) if error else text(body)


def _pause(_: Launch) -> Behaviour:
    return Behaviour(log=("Paused", "Signals registered"), stop_code=2)


def _serve_hostname(launch: Launch) -> Behaviour:
    flags = Flags.of(launch.args, frozenset({"tcp", "udp", "http", "close"}))
    port = flags.number("port", 9376)
    tcp, udp, http = flags.boolean("tcp"), flags.boolean("udp"), flags.boolean("http", default=True)
    if http and (tcp or udp):
        raise KlabError("Can't server TCP/UDP mode and HTTP mode at the same time")
    close = (("Connection", "close"),) if flags.boolean("close") else ()

    def respond(_: Request, context: Context) -> Steps[Response]:
        yield logged(context, f"HTTP request from {context.client}")
        return text(context.hostname, headers=close)

    def reply(_: bytes, context: Context) -> Steps[bytes | None]:
        yield logged(context, f"UDP request from {context.client}")
        return context.hostname.encode()

    def talk(context: Context) -> Conversation:
        return OneAnswer(context.hostname.encode())

    listeners = []
    if tcp:
        listeners.append(Listener(Port(port), talk=talk))
    if udp:
        listeners.append(Listener(Port(port, "UDP"), datagram=reply))
    if http:
        listeners.append(Listener(Port(port), http=respond))
    return Behaviour(tuple(listeners), log=(f"Serving on port {port}.",))


def _porter(launch: Launch) -> Behaviour:
    as_json = Flags.of(launch.args, frozenset({"json-response"})).boolean("json-response")
    listeners = []
    for name, value in launch.env.items():
        match name.removeprefix("SERVE_").split("_") if name.startswith("SERVE_") else []:
            case ["PORT", port] | ["TCP", "PORT", port]:
                listeners.append(Listener(Port(int(port)), http=_say(value, as_json=as_json)))
            case ["UDP", "PORT", port]:
                listeners.append(Listener(Port(int(port), "UDP"), datagram=_reply(value)))
            case ["SCTP", "PORT", port]:
                listeners.append(Listener(Port(int(port), "SCTP"), talk=_greet(value)))
    return Behaviour(tuple(listeners))


def _say(value: str, *, as_json: bool) -> Callable[[Request, Context], Response]:
    def respond(request: Request, _: Context) -> Response:
        if as_json:
            return Response(marshal({"Method": request.method, "Body": value}).encode(), 200, (("Content-Type", "application/json"),))
        return text(value)

    return respond


def _reply(value: str) -> Callable[[bytes, Context], bytes]:
    return lambda _data, _context: value.encode()


def _greet(value: str) -> Callable[[Context], Conversation]:
    return lambda _: OneAnswer(value.encode())


def _tcp_reset(launch: Launch) -> Behaviour:
    port = Flags.of(launch.args).number("port", 8080)
    return Behaviour((Listener(Port(port), talk=lambda _: Reset()),), log=(f"Serving on port {port}.",))


def _fake_gitserver(_: Launch) -> Behaviour:
    return Behaviour((Listener(Port(8000), http=lambda _request, _context: text("I am a fake git server")),))


def _liveness(_: Launch) -> Behaviour:
    def respond(request: Request, context: Context) -> Response:
        age = context.now - context.started
        match request.path:
            case "/started":
                return text(f"{age:.9f}s")
            case "/healthz":
                return text("ok") if age <= 10 else text(f"error: {age}", 500)  # noqa: PLR2004 (that is its purpose)
            case "/redirect":
                return Response(b"", 302, (("Location", request.fields.get("loc", "")),))
        return fail("404 page not found", 404)

    return Behaviour((Listener(Port(8080), http=respond),))


def _no_snat_test(launch: Launch) -> Behaviour:
    port = Flags.of(launch.args).number("port", 8080)
    pod_ip, node_ip = launch.env.get("POD_IP"), launch.env.get("NODE_IP")
    for name, value in (("POD_IP", pod_ip), ("NODE_IP", node_ip)):
        if value is None:
            raise KlabError(f"{name} env var was not present in the environment")

    def respond(request: Request, context: Context) -> Steps[Response]:
        if request.path == "/whoami":
            return text(str(context.client))
        if request.path != "/checknosnat":
            return fail("404 page not found", 404)
        errors = []
        for address in request.fields.get("ips", "").split(","):
            host, _, number = address.rpartition(":")
            body, error = yield from netexec.ask("http", host or address, int(number) if host else 80, "whoami")
            seen = body.split(":")[0]
            if error or seen != pod_ip:
                errors.append(error or f'Returned ip "{seen}" != my Pod ip "{pod_ip}"{", == my Node ip - SNAT" if seen == node_ip else ""}')
        return text(", ".join(errors), 500 if errors else 200)

    return Behaviour((Listener(Port(port), http=respond),))


def _guestbook(launch: Launch) -> Behaviour:
    flags = Flags.of(launch.args)
    book = Guestbook(flags.number("backend-port", 6379), flags.text("replicaof"))
    return Behaviour((Listener(Port(flags.number("http-port", 80)), http=book.respond),), background=book.register)


_SERVERS: dict[str, Callable[[Launch], Behaviour]] = {
    "fake-gitserver": _fake_gitserver,
    "guestbook": _guestbook,
    "liveness": _liveness,
    "netexec": netexec.behave,
    "no-snat-test": _no_snat_test,
    "pause": _pause,
    "porter": _porter,
    "serve-hostname": _serve_hostname,
    "tcp-reset": _tcp_reset,
    "test-webserver": files.test_webserver,
}
