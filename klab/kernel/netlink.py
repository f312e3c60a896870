"""rtnetlink with many messages a system call: packing, sending, acknowledgements, dumps.

pyroute2 packs and parses the same messages in 60-340 microseconds each; a thousand pods need ten thousand of them, so the few shapes that klab
uses are packed by hand here (about 5 microseconds). Formats: rtnetlink(7), linux/if_link.h, linux/rtnetlink.h, linux/neighbour.h.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ERROR_HAS_ATTRIBUTES = 0x200
_SOL_NETLINK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 11, 12
_SIOCGIFINDEX = 0x8933
_NESTED = 0x8000
_BATCH = 48
_RECEIVE = 1 << 18

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Message:
    """A request without its sequence number: rtnetlink type, flags beside REQUEST and ACK, family header and attributes."""

    type: int
    flags: int
    body: bytes


class NetlinkRefusedError(OSError):
    """The kernel answered one message of a batch with an error; `index` is its place in the batch."""

    def __init__(self, index: int, errno: int, text: str) -> None:
        """Keep the place, the errno and the kernel's own explanation (extended ack), if it gave one."""
        super().__init__(errno, text or os.strerror(errno))
        self.index = index


def attribute(kind: int, data: bytes) -> bytes:
    """Pack one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(data) + 4, kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Pack attributes into one."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """Pack a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """Pack a 32-bit number in the machine's byte order."""
    return attribute(kind, _U32.pack(value))


def attributes(data: memoryview) -> dict[int, memoryview]:
    """Unpack a run of attributes; of a repeated one the last stays."""
    found: dict[int, memoryview] = {}
    offset, end = 0, len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class RouteSocket:
    """A NETLINK_ROUTE socket; it stays in the network namespace where it was opened, whatever thread uses it later."""

    def __init__(self) -> None:
        """Open it in the calling thread's network namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def index_of(self, name: str) -> int:
        """Give the index of an interface, 0 where there is none of that name."""
        request = struct.pack("16si20x", name.encode(), 0)
        try:
            return int(struct.unpack_from("16si", fcntl.ioctl(self._socket, _SIOCGIFINDEX, request))[1])
        except OSError:
            return 0

    def send(self, messages: Sequence[Message], fine: frozenset[int] = frozenset()) -> None:
        """Send all and wait for the acknowledgements.

        Raise NetlinkRefusedError for the first that was refused with an errno not in `fine`; later ones of its batch may have been done.
        """
        for start in range(0, len(messages), _BATCH):
            part = messages[start : start + _BATCH]
            first = self._sequence + 1
            packed = []
            for message in part:
                self._sequence += 1
                length = _HEADER.size + len(message.body)
                packed.append(_HEADER.pack(length, message.type, message.flags | REQUEST | ACK, self._sequence, 0) + message.body)
            self._socket.send(b"".join(packed))
            self._collect(first, len(part), start, fine)

    def _collect(self, first: int, count: int, start: int, fine: frozenset[int]) -> None:
        refused: NetlinkRefusedError | None = None
        while count:
            for kind, flags, sequence, body in _split(self._socket.recv(_RECEIVE)):
                if kind != _NLMSG_ERROR:
                    continue
                count -= 1
                (code,) = struct.unpack_from("=i", body)
                if code and -code not in fine and refused is None:
                    refused = NetlinkRefusedError(start + sequence - first, -code, _explanation(flags, body))
        if refused:
            raise refused

    def dump(self, kind: int, header: bytes) -> Iterator[tuple[int, memoryview]]:
        """Ask for all objects of a kind; yield each answer's type and its bytes after the netlink header."""
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(header), kind, REQUEST | DUMP, self._sequence, 0) + header)
        while True:
            for answer, _flags, _sequence, body in _split(self._socket.recv(_RECEIVE)):
                if answer == _NLMSG_DONE:
                    return
                if answer == _NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", body)
                    raise OSError(-code, os.strerror(-code))
                yield answer, body


def _split(data: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
    view, offset = memoryview(data), 0
    while offset < len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, view[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _explanation(flags: int, body: memoryview) -> str:
    """Take the kernel's words (NLMSGERR_ATTR_MSG) out of an extended acknowledgement."""
    if not flags & _ERROR_HAS_ATTRIBUTES:
        return ""
    (length,) = _U32.unpack_from(body, 4)
    offset = 4 + (_HEADER.size if flags & 0x100 else length)  # NLM_F_CAPPED: only the header of the request is echoed
    message = attributes(body[offset:]).get(1)
    return bytes(message).rstrip(b"\0").decode() if message else ""
