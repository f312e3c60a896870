"""Real HAProxy and nginx with the files that klab writes, in a namespace of their own, asked over real connections.

127.0.0.1:80, :443 HAProxy or nginx ── 127.0.1.N:8080 backends that answer with their address
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from klab.cluster.reloading import reload_haproxy
from klab.ingress import haproxy, nginx
from klab.ingress.rules import ANY, Backend, Certificate, Host, Route, Routing
from klab.ingress.template import Controller
from klab.kernel import netns
from klab.kernel.sandbox import run_in

pytestmark = pytest.mark.root

PROGRAMS = [pytest.param(module, marks=pytest.mark.needs(module.CONTROLLER.name), id=module.CONTROLLER.name) for module in (haproxy, nginx)]
SECONDS = 10
Answer = tuple[int, str]


class Echo(BaseHTTPRequestHandler):
    """Answers with the address that it was asked on, the path, and the headers of proxies."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen = [str(self.connection.getsockname()[0]), self.path, self.headers["Host"], self.headers.get("X-Forwarded-Proto", "")]
        body = " ".join(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Let HAProxy's health checks end as they do, with a reset."""


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a namespace with ten backends."""
    path = tmp_path_factory.mktemp("netns") / "ingress"
    netns.create([path])
    subprocess.run(["nsenter", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
    servers = [run_in(path, lambda number=number: Server((f"127.0.1.{number}", 8080), Echo)) for number in range(1, 11)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield path
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
        netns.remove([path])


@dataclass(slots=True)
class Proxy:
    """A running program and the directory that it reads."""

    controller: Controller
    render: Callable[[Routing], dict[str, str]]
    namespace: Path
    directory: Path
    pid: int = 0

    def write(self, routing: Routing) -> None:
        for name, text in self.render(routing).items():
            file = self.directory / name
            file.parent.mkdir(exist_ok=True)
            fresh = file.with_name(f".{file.name}.new")
            fresh.write_text(text)
            fresh.rename(file)

    def reload(self) -> None:
        if self.controller == haproxy.CONTROLLER:
            asyncio.run(reload_haproxy(Path(f"/proc/{self.pid}/root/run")))
        else:
            command = ["nsenter", f"--target={self.pid}", "--mount", "--net", *nginx.RELOAD]
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)

    def connect(self, port: int = 80) -> socket.socket:
        return run_in(self.namespace, lambda: socket.create_connection(("127.0.0.1", port), SECONDS))

    def ask(self, host: str, path: str, connection: socket.socket | None = None) -> Answer:
        client = http.client.HTTPConnection("proxy")
        client.sock = connection or self.connect()
        try:
            client.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            client.putheader("Host", host)
            client.endheaders()
            response = client.getresponse()
            return response.status, response.read().decode()
        finally:
            client.close()


@contextmanager
def run_proxy(module: object, namespace: Path, directory: Path, routing: Routing) -> Iterator[Proxy]:
    """Run a program with its directory, and a /run of its own, until it is not needed any more."""
    controller: Controller = module.CONTROLLER  # type: ignore[attr-defined]
    proxy = Proxy(controller, module.render_files, namespace, directory)  # type: ignore[attr-defined]
    proxy.write(routing)
    mounts = f'mount -t tmpfs none /run && mount --bind {directory} {controller.directory} && exec "$@"'
    command = ["nsenter", f"--net={namespace}", "unshare", "--mount", "sh", "-ec", mounts, "sh", *controller.command]
    with (directory.parent / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process:
        proxy.pid = process.pid
        try:
            wait_until(lambda: healthy(proxy, process), f"{controller.name} is healthy; it said: {(directory.parent / 'log').read_text()}")
            yield proxy
        finally:
            process.terminate()
            process.wait(SECONDS)


def healthy(proxy: Proxy, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, (proxy.directory.parent / "log").read_text()
    with suppress(ConnectionError):
        return proxy.ask("any", "/healthz", proxy.connect(proxy.controller.health_port))[0] == 200
    return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # a program in another process has no event for us


def servers(*numbers: int) -> tuple[str, ...]:
    return tuple(f"127.0.1.{number}:8080" for number in numbers)


def prefix(path: str, backend: str) -> Route:
    return Route(path, exact=False, backend=backend)


def exact(path: str, backend: str) -> Route:
    return Route(path, exact=True, backend=backend)


ROUTING = Routing(
    backends=(*(Backend(f"default-s{number}-80", servers(number)) for number in range(1, 7)), Backend("default-empty-80")),
    hosts=(
        Host(
            "exact.foo.com",
            (exact("/foo", "default-s1-80"), prefix("/foo/bar", "default-s2-80"), prefix("/foo", "default-s3-80"), prefix("", "default-s4-80")),
        ),
        Host("odd.test", (exact("/it's{a}$x;", "default-s1-80"), prefix('/"q"', "default-s2-80"), prefix("/-%20a", "default-s3-80"))),
        Host("slash.test", (exact("/foo/", "default-s1-80"), prefix("/none", "default-empty-80"))),
        Host("*.foo.com", (prefix("", "default-s4-80"),)),
        Host(ANY, (prefix("/anybody", "default-s5-80"), exact("/", "default-s6-80"))),
    ),
)


@pytest.mark.parametrize("module", PROGRAMS)
def test_requests_go_where_the_routes_say(module: object, namespace: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    expected: dict[tuple[str, str], int] = {
        ("exact.foo.com", "/foo"): 1,
        ("EXACT.foo.COM:80", "/foo?a=b"): 1,
        ("exact.foo.com", "/foo/"): 3,
        ("exact.foo.com", "/foo/barx"): 3,
        ("exact.foo.com", "/foo/bar"): 2,
        ("exact.foo.com", "/foo/bar/baz"): 2,
        ("exact.foo.com", "/foox"): 4,
        ("exact.foo.com", "/"): 4,
        ("bar.foo.com", "/any"): 4,
        ("bar.fooXcom", "/any"): 404,
        ("baz.bar.foo.com", "/any"): 404,
        ("foo.com", "/any"): 404,
        ("x.org", "/anybody/there"): 5,
        ("127.0.0.1", "/"): 6,
        ("x.org", "/nobody"): 404,
        ("slash.test", "/foo"): 404,
        ("slash.test", "/foo/"): 1,
        ("slash.test", "/none/x"): 503,
        ("odd.test", "/it's{a}$x;"): 1,
        ("odd.test", '/"q"/x'): 2,
        ("odd.test", "/-%20a"): 3,
    }
    with run_proxy(module, namespace, tmp_path / "files", ROUTING) as proxy:
        found = {}
        for host, path in expected:
            status, body = proxy.ask(host, path)
            found[host, path] = int(body.split()[0].rpartition(".")[2]) if status == 200 else status
            if status == 200:
                assert body.split()[1:3] == [path, host]
    assert found == expected


@pytest.mark.parametrize("module", PROGRAMS)
def test_no_request_is_lost_while_servers_come_and_go(module: object, namespace: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()

    def serve(*numbers: int) -> Routing:
        return Routing((Backend("b", servers(*numbers)),), (Host(ANY, (prefix("", "b"),)),))

    wishes: list[Sequence[int]] = [range(1, 11), (3, 4), range(1, 6), range(5, 11), (7,), range(1, 11)]
    with run_proxy(module, namespace, tmp_path / "files", serve(1, 2)) as proxy:
        crowd = Crowd(proxy)
        with crowd:
            for numbers in wishes:
                before = len(crowd.answers)
                proxy.write(serve(*numbers))
                proxy.reload()
                wait_until(lambda before=before: len(crowd.answers) > before + 100, "requests go on")  # type: ignore[misc]
            crowd.answers.clear()
            wait_until(lambda: {body.split()[0] for _, body in crowd.answers} >= {f"127.0.1.{number}" for number in range(1, 11)}, "all ten are hit")
        assert crowd.failures == []


class Crowd:
    """Clients that ask without a pause, each over a new connection every time."""

    size: ClassVar = 4

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self.over = threading.Event()
        # One thread in the namespace for each client: entering it for each connection would be most of the work.
        self.threads = [threading.Thread(target=run_in, args=(proxy.namespace, self.ask)) for _ in range(self.size)]

    def __enter__(self) -> None:
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def ask(self) -> None:
        while not self.over.is_set():
            try:
                answer = self.proxy.ask("any", "/", socket.create_connection(("127.0.0.1", 80), SECONDS))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            else:
                self.answers.append(answer)
                if answer[0] != 200:
                    self.failures.append(str(answer))


def make_pem(folder: Path, name: str) -> str:
    """Make a self-signed certificate for a name, and its key."""
    key, crt = folder / f"{name}.key", folder / f"{name}.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    subprocess.run(["openssl", "req", "-x509", *curve, "-subj", f"/CN={name}", "-keyout", key, "-out", crt], check=True, capture_output=True)
    return crt.read_text() + key.read_text()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("with_default", [False, True])
@pytest.mark.parametrize("module", PROGRAMS)
def test_the_certificate_is_that_of_the_name_asked_for(module: object, with_default: bool, namespace: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    own = Certificate("default_own", ("a.test", "*.b.test"), make_pem(tmp_path, "own"))
    rest = Certificate("default_rest", (), make_pem(tmp_path, "rest"))
    routes = (prefix("", "default-s1-80"),)
    hosts = tuple(Host(name, routes) for name in ("a.test", "plain.test", "*.b.test", ANY))
    routing = Routing(ROUTING.backends, hosts, (own, rest) if with_default else (own,))
    with run_proxy(module, namespace, tmp_path / "files", routing) as proxy:
        shown = {name: show(proxy, name) for name in ("a.test", "x.b.test", "y.x.b.test", "plain.test")}
        assert proxy.ask("a.test", "/")[0] == 200
    other = "rest https" if with_default else "refused"
    assert shown == {"a.test": "own https", "x.b.test": "own https", "y.x.b.test": other, "plain.test": other}


def show(proxy: Proxy, name: str) -> str:
    """Give the common name of the certificate that is shown for a name, and what the backend hears of the scheme."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        secured = context.wrap_socket(proxy.connect(443), server_hostname=name)
    except (ssl.SSLError, ConnectionError):
        return "refused"
    der = secured.getpeercert(binary_form=True)
    assert der
    common_name = "own" if b"\x03own" in der else "rest"
    return f"{common_name} {proxy.ask(name, '/', secured)[1].split()[-1]}"
