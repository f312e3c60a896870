# ruff: noqa: ASYNC240 (files are looked at between two answers of the runtime)
"""The container runtime with real namespaces, sockets, programs and file systems; each test has a lab directory of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from klab.errors import KlabError, NotFoundError
from klab.kernel import netns
from klab.kernel.process import kill_owned, observe_owned, wait_exit
from klab.kernel.rootfs import MOUNTINFO, remove_mounts_below
from klab.kernel.sandbox import run_in
from klab.runtime.client import RuntimeClient
from klab.runtime.launch import ensure_runtime
from klab.runtime.protocol import EXITED, RUNNING, ContainerSpec, ContainerStatus, Identity, Mount, Port, Sandbox

pytestmark = pytest.mark.root

T = TypeVar("T")
ECHOSERVER = "gcr.io/google_containers/echoserver:1.4"
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.40"


@dataclass
class Lab:
    """A run directory with a runtime; pods are bare namespaces with their loopback."""

    directory: Path
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    def pod(self, name: str) -> Path:
        path = self.directory / "netns" / name
        if not path.exists():
            netns.create([path])
        return path

    def spec(self, pod: str, image: str = "busybox", *argv: str, container: str = "c", **more: Any) -> ContainerSpec:
        root = self.directory / "pods" / pod / container
        sandbox = Sandbox(str(self.pod(pod)), pod, str(root), str(self.directory / "etc" / pod))
        spec = ContainerSpec(f"{pod}/{container}/0", sandbox, image, Identity(pod, "default", "127.0.0.1", "node1", container), str(root) + ".log")
        return replace(spec, argv=argv or None, **more)

    def curl(self, pod: str, *args: str) -> str:
        done = run_in(self.pod(pod), lambda: subprocess.run(["curl", "-s", *args], capture_output=True, text=True, check=False, timeout=20))
        return done.stdout if done.returncode == 0 else f"curl ended with {done.returncode}"

    def log(self, spec: ContainerSpec) -> str:
        return Path(spec.log_path).read_text()

    def runtime_pid(self) -> int:
        return int((self.directory / "runtime.pid").read_text())


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(Path("/run") / f"klab-test-{uuid.uuid4().hex[:8]}")
    (made.directory / "netns").mkdir(parents=True)
    try:
        yield made
    finally:
        kill_owned(made.owner)
        remove_mounts_below(made.directory)
        shutil.rmtree(made.directory)


def with_runtime(lab: Lab, work: Callable[[RuntimeClient, Events], Awaitable[T]]) -> T:
    """Start the lab's runtime if need be and do `work` with a connection to it."""

    async def session() -> T:
        ensure_runtime(lab.directory, lab.owner)
        events = Events()
        client = RuntimeClient(events.heard)
        await client.connect(lab.directory)
        try:
            async with asyncio.timeout(60):
                return await work(client, events)
        finally:
            await client.close()

    return asyncio.run(session())


class Events:
    """What the runtime told by itself."""

    def __init__(self) -> None:
        self.statuses: dict[str, ContainerStatus] = {}
        self._news = asyncio.Event()

    def heard(self, status: ContainerStatus) -> None:
        self.statuses[status.id] = status
        self._news.set()

    async def exited(self, spec: ContainerSpec) -> ContainerStatus:
        while spec.id not in self.statuses:
            self._news.clear()
            await self._news.wait()
        return self.statuses[spec.id]


async def ask(lab: Lab, pod: str, *args: str) -> str:
    return await asyncio.to_thread(lab.curl, pod, *args)


def test_run_in_uses_a_thread_that_is_never_used_again(lab: Lab) -> None:
    home, inode = netns.inode(Path("/proc/self/ns/net")), netns.inode(lab.pod("a"))
    seen: list[tuple[int, int]] = []

    def look() -> str:
        seen.append((netns.inode(Path("/proc/thread-self/ns/net")), threading.get_native_id()))
        return "done"

    assert run_in(lab.pod("a"), look) == "done"
    assert run_in(lab.pod("a"), look) == "done"
    assert [number for number, _ in seen] == [inode, inode]
    assert {thread.native_id for thread in threading.enumerate()}.isdisjoint(thread for _, thread in seen)
    assert netns.inode(Path("/proc/self/ns/net")) == home
    with pytest.raises(ZeroDivisionError):
        run_in(lab.pod("a"), lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        run_in(lab.directory / "netns" / "nobody", look)


def test_builtin_images_serve_in_their_pods_and_nowhere_else(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        specs = [lab.spec("one", ECHOSERVER), lab.spec("two", AGNHOST, args=("netexec",)), lab.spec("three", "acme/cart", ports=(Port(9000),))]
        assert [(status.state, status.unknown_image) for status in await runtime.start(specs)] == [
            (RUNNING, False),
            (RUNNING, False),
            (RUNNING, True),
        ]
        assert "client_address=127.0.0.1\ncommand=GET\nreal path=/a\n" in await ask(lab, "one", "127.0.0.1:8080/a")
        assert "client_address=::1\n" in await ask(lab, "one", "-g", "[::1]:8080/")
        assert await ask(lab, "two", "127.0.0.1:8080/hostname") == "two"
        assert json.loads(await ask(lab, "two", "127.0.0.1:8080/shell?cmd=hostname")) == {"output": "two\n"}
        dialled = await ask(lab, "two", "127.0.0.1:8080/dial?host=127.0.0.1&port=8081&protocol=udp&request=hostname")
        assert json.loads(dialled) == {"responses": ["two"]}
        assert "hostname=three\n" in await ask(lab, "three", "127.0.0.1:9000")
        assert await ask(lab, "three", "127.0.0.1:8080") == "curl ended with 7"
        assert {status.id: status.state for status in await runtime.list()} == {spec.id: RUNNING for spec in specs}

    with_runtime(lab, work)


def test_big_transfers_flow_both_ways(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        await runtime.start([lab.spec("one", ECHOSERVER), lab.spec("two", "kennethreitz/httpbin")])
        big = lab.directory / "big"
        big.write_bytes(b"x" * 10_000_000)
        assert (await ask(lab, "one", "--data-binary", f"@{big}", "127.0.0.1:8080")).endswith("x" * 10_000_000)
        assert len(await ask(lab, "two", "-o", str(lab.directory / "got"), "-w", "%{size_download}", "127.0.0.1/range/10000000")) > 0
        assert (lab.directory / "got").stat().st_size == 10_000_000

    with_runtime(lab, work)


def test_two_that_want_one_port(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        second = lab.spec("one", "nginx", container="d")
        first, failed = await runtime.start([lab.spec("one", "nginx"), second])
        assert first.state == RUNNING
        assert (failed.state, failed.exit_code, failed.reason) == (EXITED, 1, "Error")
        assert failed.message == "bind 0.0.0.0:80: Address already in use"
        assert lab.log(second) == "bind 0.0.0.0:80: Address already in use\n"
        assert await events.exited(second) == failed

    with_runtime(lab, work)


def test_a_program_cannot_bind_what_a_builtin_image_holds(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        binder = "import socket; socket.socket().bind(('0.0.0.0', 8080))"
        program = lab.spec("one", "python", "python3", "-c", binder, container="d")
        await runtime.start([lab.spec("one", ECHOSERVER)])
        await runtime.start([program])
        assert (await events.exited(program)).exit_code == 1
        assert "Address already in use" in lab.log(program)

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_programs_end_with_their_codes_and_output_in_the_log(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        specs = [
            lab.spec("a", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"),
            lab.spec("b", "busybox", "true"),
            lab.spec("c", "busybox", "sh", "-c", "kill -9 $$"),
            lab.spec("d", "busybox"),
        ]
        await runtime.start(specs)
        ends = [await events.exited(spec) for spec in specs]
        assert [(end.exit_code, end.reason) for end in ends] == [(3, "Error"), (0, "Completed"), (137, "Error"), (0, "Completed")]
        assert all(end.finished_at >= end.started_at > 0 for end in ends)
        assert lab.log(specs[0]) == "out\nerr\n"

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_programs_that_cannot_start(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        wishes = [
            lab.spec("a", "x", "no-such-program"),
            lab.spec("b", "x", "/no/such"),
            lab.spec("c", "x", "/etc/passwd"),
            replace(
                lab.spec("d", "x", "true"), sandbox=Sandbox(str(lab.pod("d")), "d", str(lab.directory / "d"), mounts=(Mount("/no/such", "/mnt"),))
            ),
        ]
        ends = await runtime.start(wishes)
        assert {(end.state, end.exit_code, end.reason) for end in ends} == {(EXITED, 128, "StartError")}
        assert [end.message for end in ends[:3]] == [
            'exec: "no-such-program": executable file not found in $PATH',
            'exec: "/no/such": stat /no/such: no such file or directory',
            'exec: "/etc/passwd": permission denied',
        ]
        assert 'error mounting "/no/such" to "/mnt": no such file or directory' in ends[3].message

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_a_program_sees_its_pod(lab: Lab) -> None:
    etc = lab.directory / "etc" / "a"
    etc.mkdir(parents=True)
    for name, text in (("hosts", "10.0.0.5\ta\n"), ("resolv.conf", "nameserver 10.96.0.10\n"), ("hostname", "a\n")):
        (etc / name).write_text(text)
    volume = lab.directory / "volume"
    volume.mkdir()
    (volume / "file").write_text("content\n")

    async def work(runtime: RuntimeClient, events: Events) -> None:
        script = (
            "hostname; pwd; echo $GREETING $HOSTNAME; cat /etc/hosts /etc/resolv.conf /etc/hostname /data/file; ls /sys/class/net; ls -A /run; "
            "echo new > /var/run/v/made; echo x > /ro/file; readlink /proc/self/ns/net"
        )
        spec = lab.spec("a", "busybox", "sh", "-c", script, env={"GREETING": "hello"}, working_dir="/some/where")
        mounts = (Mount(str(volume), "/data"), Mount(str(volume), "/ro", read_only=True), Mount(str(volume), "/var/run/v"))
        spec = replace(spec, sandbox=replace(spec.sandbox, mounts=mounts))
        await runtime.start([spec])
        await events.exited(spec)
        assert lab.log(spec).splitlines() == [
            *("a", "/some/where", "hello a", "10.0.0.5\ta", "nameserver 10.96.0.10", "a", "content", "lo", "lock", "v"),
            "sh: 1: cannot create /ro/file: Read-only file system",
            f"net:[{netns.inode(lab.pod('a'))}]",
        ]
        assert (volume / "made").read_text() == "new\n"

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_files_are_the_containers_own_and_all_its_programs_share_them(lab: Lab) -> None:
    name = f"/etc/klab-test-{uuid.uuid4().hex}"

    async def work(runtime: RuntimeClient, _: Events) -> None:
        await runtime.start([lab.spec("a", "busybox", "sleep", "1000"), lab.spec("b", "busybox", "sleep", "1000")])
        await runtime.exec("a/c/0", ["sh", "-c", f"echo written > {name}; rm /etc/passwd"])
        assert (await runtime.exec("a/c/0", ["cat", name])).output == "written\n"
        assert (await runtime.exec("a/c/0", ["ls", "/etc/passwd"])).code == 2
        assert (await runtime.exec("b/c/0", ["cat", name])).code == 1
        assert not Path(name).exists()
        assert Path("/etc/passwd").exists()

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_a_started_program_keeps_no_other_pods_namespace_alive(lab: Lab) -> None:
    """Its mount namespace has no copy of the files in the lab's netns directory."""

    async def work(runtime: RuntimeClient, _: Events) -> None:
        lab.pod("other")
        status = (await runtime.start([lab.spec("a", "busybox", "sleep", "1000")]))[0]
        table = Path(f"/proc/{status.pid}/mountinfo").read_text()
        assert str(lab.directory / "netns") not in table
        assert table.splitlines()[0].split()[4] == "/"

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_exec_tells_code_output_and_timeouts(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        ended = lab.spec("b", "busybox", "true")
        await runtime.start([lab.spec("a", AGNHOST, args=("netexec",)), ended])
        result = await runtime.exec("a/c/0", ["sh", "-c", "hostname; echo err >&2; exit 7"])
        assert (result.code, result.output, result.timed_out) == (7, "a\nerr\n", False)
        result = await runtime.exec("a/c/0", ["sh", "-c", "echo begun; sleep 1000"], timeout_seconds=0.5)
        assert (result.code, result.output, result.timed_out) == (124, "begun\n", True)
        assert (await runtime.exec("a/c/0", ["no-such"])).code == 127
        assert (await runtime.exec("a/c/0", ["/agnhost", "connect", "127.0.0.1:8080"])).code == 0
        assert (await runtime.exec("a/c/0", ["/agnhost", "connect", "127.0.0.1:1"])).output == "REFUSED\n"
        await events.exited(ended)
        with pytest.raises(KlabError, match="is exited"):
            await runtime.exec(ended.id, ["true"])
        with pytest.raises(NotFoundError):
            await runtime.exec("nobody", ["true"])

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_stop_is_polite_first_and_leaves_nothing(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        polite = lab.spec("a", "busybox", "sh", "-c", "trap 'echo bye; exit 5' TERM; touch /ready; while :; do sleep 0.05; done")
        deaf = lab.spec("b", "busybox", "sh", "-c", "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.05; done")
        waiting = lab.spec("c", "busybox", stdin=True)
        await runtime.start([polite, deaf, waiting])
        await runtime.exec(polite.id, ["sh", "-c", "until test -e /ready; do sleep 0.01; done"])
        ends = await runtime.stop([waiting.id], 0)
        assert [end.exit_code for end in ends] == [137]
        first, second = await asyncio.gather(runtime.stop([polite.id], 20), runtime.stop([deaf.id], 0.3))
        assert [end.exit_code for end in (*first, *second)] == [5, 137]
        assert lab.log(polite).endswith("bye\n")
        assert observe_owned(lab.owner) == [lab.runtime_pid()]

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_a_stopping_server_lets_its_requests_finish(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        spec = lab.spec("a", AGNHOST, args=("netexec",))
        await runtime.start([spec])
        slow = asyncio.create_task(ask(lab, "a", "127.0.0.1:8080/shell?cmd=touch%20/begun;sleep%201;echo%20finished"))
        await runtime.exec(spec.id, ["sh", "-c", "until test -e /begun; do sleep 0.01; done"])
        stopping = asyncio.create_task(runtime.stop([spec.id], 20))
        assert json.loads(await slow) == {"output": "finished\n"}
        assert (await stopping)[0].exit_code == 0
        assert await ask(lab, "a", "127.0.0.1:8080/") == "curl ended with 7"

    with_runtime(lab, work)


def test_a_server_ends_itself_where_it_is_told_to(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        spec = lab.spec("a", AGNHOST, args=("netexec",))
        await runtime.start([spec])
        assert await ask(lab, "a", "127.0.0.1:8080/exit?code=3") == "curl ended with 52"
        assert (await events.exited(spec)).exit_code == 3
        assert await ask(lab, "a", "127.0.0.1:8080/") == "curl ended with 7"

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_remove_takes_files_and_mounts_away(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        spec = lab.spec("a", "nginx", "sleep", "1000")
        await runtime.start([spec])
        await runtime.exec(spec.id, ["sh", "-c", "echo x > /etc/x"])
        assert str(lab.directory) in MOUNTINFO.read_text()
        await runtime.remove([spec.id, "nobody"])
        assert await runtime.list() == []
        assert not Path(spec.sandbox.root_dir).exists()
        assert f"{lab.directory}/pods" not in MOUNTINFO.read_text()

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_the_next_attempt_finds_fresh_files(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, events: Events) -> None:
        spec = lab.spec("a", "busybox", "sh", "-c", "test ! -e /etc/mark && touch /etc/mark")
        again = replace(spec, id="a/c/1")
        for attempt in (spec, again):
            await runtime.start([attempt])
            assert (await events.exited(attempt)).exit_code == 0
        await runtime.start([replace(again, id="a/c/2", argv=("sleep", "1000"))])
        await runtime.remove([spec.id, again.id])
        assert (await runtime.exec("a/c/2", ["true"])).code == 0

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_nginx_serves_its_page_what_is_put_there_and_volumes(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        volume = lab.directory / "volume"
        volume.mkdir()
        shared = lab.spec("b", "nginx")
        shared = replace(shared, sandbox=replace(shared.sandbox, mounts=(Mount(str(volume), "/usr/share/nginx/html"),)))
        await runtime.start([lab.spec("a", "nginx"), shared])
        assert "Welcome to nginx!" in await ask(lab, "a", "127.0.0.1")
        await runtime.exec("a/c/0", ["sh", "-c", "echo mine > /usr/share/nginx/html/index.html"])
        assert await ask(lab, "a", "127.0.0.1") == "mine\n"
        assert "403 Forbidden" in await ask(lab, "b", "127.0.0.1")
        (volume / "index.html").write_text("pulled\n")
        assert await ask(lab, "b", "127.0.0.1") == "pulled\n"
        assert "404 Not Found" in await ask(lab, "b", "127.0.0.1/../../etc/passwd", "--path-as-is")

    with_runtime(lab, work)


@pytest.mark.needs("overlay")
def test_a_killed_runtime_comes_back_to_its_containers(lab: Lab) -> None:
    server, program = lab.spec("a", ECHOSERVER), lab.spec("b", "busybox", "sleep", "1000")
    ended, lost = lab.spec("c", "busybox", "sh", "-c", "exit 4"), lab.spec("d", "busybox", "sleep", "1000")

    async def before(runtime: RuntimeClient, events: Events) -> dict[str, ContainerStatus]:
        await runtime.start([server, program, ended, lost])
        await events.exited(ended)
        return {status.id: status for status in await runtime.list()}

    async def after(runtime: RuntimeClient, events: Events) -> dict[str, ContainerStatus]:
        statuses = {status.id: status for status in await runtime.list()}
        assert "command=GET" in await ask(lab, "a", "127.0.0.1:8080")
        assert (await runtime.exec(program.id, ["hostname"])).output == "b\n"
        await runtime.stop([program.id], 20)
        assert (await events.exited(program)).state == EXITED
        return statuses

    then = with_runtime(lab, before)
    first = lab.runtime_pid()
    os.kill(first, signal.SIGKILL)
    assert wait_exit(first, 10)
    gone = then[lost.id].pid
    assert gone
    os.kill(gone, signal.SIGKILL)
    assert wait_exit(gone, 10)
    now = with_runtime(lab, after)
    assert lab.runtime_pid() != first
    assert (now[program.id].state, now[program.id].pid) == (RUNNING, then[program.id].pid)
    assert now[server.id].state == RUNNING
    assert now[ended.id] == then[ended.id]
    assert (now[lost.id].exit_code, now[lost.id].reason) == (255, "Unknown")


def test_one_runtime_a_lab_and_shutdown_ends_it(lab: Lab) -> None:
    async def work(runtime: RuntimeClient, _: Events) -> None:
        await runtime.start([lab.spec("a", ECHOSERVER)])
        ensure_runtime(lab.directory, lab.owner)
        pid = lab.runtime_pid()
        assert observe_owned(lab.owner, {netns.inode(lab.pod("a"))}) == [pid]
        assert (lab.directory / "runtime.sock").stat().st_mode & 0o777 == 0o600
        await runtime.shutdown()
        assert await asyncio.to_thread(wait_exit, pid, 10)
        with pytest.raises(KlabError):
            await runtime.list()

    with_runtime(lab, work)
    assert (lab.directory / "runtime.log").read_text() == ""


def test_processes_are_known_by_mark_or_namespace_and_killed(lab: Lab) -> None:
    marked = subprocess.Popen(["sleep", "1000"], env={"KLAB_OWNER": lab.owner}, start_new_session=True)
    inside = run_in(lab.pod("a"), lambda: subprocess.Popen(["env", "-i", "sleep", "1000"]))
    stranger = subprocess.Popen(["sleep", "1000"], env={"KLAB_OWNER": lab.owner + "0"})
    try:
        inodes = {netns.inode(lab.pod("a"))}
        assert sorted(observe_owned(lab.owner, inodes)) == sorted([marked.pid, inside.pid])
        assert kill_owned(lab.owner, inodes) == 2
        assert (marked.wait(), inside.wait(), stranger.poll()) == (-9, -9, None)
        assert kill_owned(lab.owner, inodes) == 0
    finally:
        for process in (marked, inside, stranger):
            process.kill()
            process.wait()


def test_a_thousand_pods_cost_little(lab: Lab) -> None:
    """1000 built-in containers are one process, and small ones."""
    paths = [lab.directory / "netns" / f"p{number}" for number in range(1000)]
    netns.create(paths)

    async def work(runtime: RuntimeClient, _: Events) -> None:
        specs = [lab.spec(path.name, ECHOSERVER) for path in paths]
        assert {status.state for status in await runtime.start(specs)} == {RUNNING}
        assert "command=GET" in await ask(lab, "p999", "127.0.0.1:8080")
        resident = next(line for line in Path(f"/proc/{lab.runtime_pid()}/status").read_text().splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 120_000
        assert observe_owned(lab.owner) == [lab.runtime_pid()]
        await runtime.remove([spec.id for spec in specs])

    with_runtime(lab, work)
