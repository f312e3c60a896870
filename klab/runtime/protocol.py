"""What the kubelet and the container runtime say to each other: one JSON value a line, over RUN_DIR/runtime.sock.

- a request, with an id of the client's: `{"id": 7, "method": "start", "params": {"containers": [SPEC, ...]}}`
- its answer, in any order: `{"id": 7, "result": [STATUS, ...]}`
- or its failure, a class of klab.errors: `{"id": 7, "error": {"type": "NotFoundError", "message": "..."}}`
- an event, pushed to every connection: `{"event": "exited", "container": STATUS}`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klab.kernel.sandbox import Mount, Sandbox
from klab.kubelet.images.behaviour import Identity, Port

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_LIMIT = 1 << 26  # bytes of one message: thousands of containers in one request

CREATED = "created"
RUNNING = "running"
EXITED = "exited"

__all__ = ["CREATED", "EXITED", "RUNNING", "ContainerSpec", "ContainerStatus", "ExecResult", "Identity", "Mount", "Port", "Sandbox"]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to start.

    `id` is the kubelet's, unique among all attempts ("UID/web/0"). `argv` is the manifest's command and args where there is a command;
    None means the image's own entry point with `args` (klab.kubelet.images.catalog.plan_program says what comes of either). `env` is the environment
    beside what every image has, `ports` are the declared containerPorts; `stdin` tells that the container's `stdin` or `tty` is set, so that reading
    waits instead of ending. Of containers with one `root_dir` the latest keeps it, and finds it empty.
    """

    id: str
    sandbox: Sandbox
    image: str
    identity: Identity
    log_path: str
    argv: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    ports: tuple[Port, ...] = ()
    stdin: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        sandbox = self.sandbox
        return {
            "id": self.id,
            "sandbox": [
                sandbox.netns,
                sandbox.hostname,
                sandbox.root_dir,
                sandbox.etc_dir,
                [(m.source, m.target, m.read_only) for m in sandbox.mounts],
            ],
            "image": self.image,
            "identity": list(self.identity),
            "logPath": self.log_path,
            "argv": self.argv,
            "args": self.args,
            "env": self.env,
            "workingDir": self.working_dir,
            "ports": self.ports,
            "stdin": self.stdin,
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ContainerSpec:
        """Read the JSON form."""
        netns, hostname, root_dir, etc_dir, mounts = raw["sandbox"]
        argv = raw["argv"]
        return cls(
            raw["id"],
            Sandbox(netns, hostname, root_dir, etc_dir, tuple(Mount(*mount) for mount in mounts)),
            raw["image"],
            Identity(*raw["identity"]),
            raw["logPath"],
            None if argv is None else tuple(argv),
            tuple(raw["args"]),
            raw["env"],
            raw["workingDir"],
            tuple(Port(*port) for port in raw["ports"]),
            raw["stdin"],
        )


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as the runtime sees it.

    `state` is "created" (about to start), "running" or "exited"; times are seconds since the epoch, 0 where there is none; `pid` is None for a
    built-in image and after the exit. `reason` is Completed, Error, StartError or Unknown, as containerd gives it; `unknown_image` tells that klab
    knows no behaviour of the image.
    """

    id: str
    state: str
    pid: int | None = None
    exit_code: int | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    reason: str = ""
    message: str = ""
    unknown_image: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {
            "id": self.id,
            "state": self.state,
            "pid": self.pid,
            "exitCode": self.exit_code,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "reason": self.reason,
            "message": self.message,
            "unknownImage": self.unknown_image,
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ContainerStatus:
        """Read the JSON form."""
        return cls(
            raw["id"],
            raw["state"],
            raw["pid"],
            raw["exitCode"],
            raw["startedAt"],
            raw["finishedAt"],
            raw["reason"],
            raw["message"],
            raw["unknownImage"],
        )


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a program run in a container ended: exit code (124 where it ran out of time, as `timeout` has it) and what it printed, both streams."""

    code: int
    output: str
    timed_out: bool = False
