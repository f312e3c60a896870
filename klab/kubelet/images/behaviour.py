"""The words in which an image says what it does.

A behaviour holds listeners; a listener turns what came in into an answer. An answer may need effects: it is then a generator that yields `Effect`
values, is sent the result of each, and returns the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from klab.kubelet.images.http import Request, Response

T = TypeVar("T")


class Identity(NamedTuple):
    """Who a container is; `pod_ip` is "" on a node's own network without an address."""

    pod: str
    namespace: str
    pod_ip: str
    node: str
    container: str


class Port(NamedTuple):
    """A port and its protocol: TCP, UDP or SCTP."""

    number: int
    protocol: str = "TCP"


class Address(NamedTuple):
    """One end of a connection; an IPv4 address never in its IPv6 form."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as Go's net.JoinHostPort."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Launch:
    """What a container is started with: its image, the arguments for the image's entry point, the declared ports and the environment."""

    image: str
    args: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """Who is asked, by whom, where and when; times are seconds since the epoch. `stopping` tells that the container got SIGTERM."""

    identity: Identity
    image: str
    hostname: str
    client: Address
    server: Address
    now: float
    started: float
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line to the container's log; gives None."""

    line: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass; gives None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exit:
    """End the container at once, open connections and all; nothing comes back."""

    code: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run a program in the container; gives `Ran`."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its exit code (128 + n after signal n) and what it wrote to both streams."""

    code: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Read a file of the container; gives `File`, `Directory`, or None where there is nothing."""

    path: str


@dataclass(frozen=True, slots=True)
class File:
    """A file's content and the time of its last change."""

    content: bytes
    changed: float


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory's entries, sorted; those of directories end with a slash."""

    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file of the container, its directory included; gives None."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Ask:
    """Send bytes to a server from the container's network and read what it answers; gives `Answer`.

    `protocol` is tcp (the answer is all until the server closes), udp or sctp (the first message).
    """

    protocol: str
    host: str
    port: int
    data: bytes
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `error` in Go's words ("connect: connection refused", "i/o timeout"), "" where all went well."""

    data: bytes = b""
    error: str = ""


Effect: TypeAlias = Log | Wait | Exit | Run | Read | Write | Ask
Steps: TypeAlias = Generator[Effect, Any, T]


class Conversation(Protocol):
    """One connection of a protocol other than HTTP."""

    @property
    def done(self) -> bool:
        """Tell whether the server closes the connection now."""

    @property
    def reset(self) -> bool:
        """Tell whether it does so rudely, with a TCP reset."""

    def open(self) -> bytes:
        """Give what the server says first."""

    def receive(self, data: bytes) -> bytes:
        """Take what the client sent and give the answer."""


HttpHandler: TypeAlias = "Callable[[Request, Context], Response | Steps[Response]]"
DatagramHandler: TypeAlias = Callable[[bytes, Context], "bytes | Steps[bytes | None] | None"]
ConversationMaker: TypeAlias = Callable[[Context], Conversation]


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that is served: by `http`, by `talk` (where both are there, the first bytes decide), each datagram by `datagram`.

    One with `dns` is served by the cluster's DNS server. `host` is an address to bind, "" for all. An `optional` one is left out where the kernel
    lacks its protocol (SCTP).
    """

    port: Port
    http: HttpHandler | None = None
    talk: ConversationMaker | None = None
    datagram: DatagramHandler | None = None
    dns: bool = False
    host: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container does: what it logs at first, what it serves, what it does beside, how it ends.

    `background` runs beside the listeners until it is through. `exit_code` is set for an image that ends at once; `stop_code` is the exit code after
    SIGTERM, `stop_delay` how many seconds it goes on serving first. `unknown` says that klab knows nothing of the image.
    """

    listeners: tuple[Listener, ...] = ()
    log: tuple[str, ...] = ()
    background: Callable[[Context], Steps[None]] | None = None
    exit_code: int | None = None
    stop_code: int = 0
    stop_delay: float = 0.0
    unknown: bool = False
