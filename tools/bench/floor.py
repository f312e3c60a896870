"""The floor: how fast the kernel itself can be asked to build NODES x PODS, by hand-packed netlink and nothing else.

Each node is a namespace with a bridge (cbr0) and an uplink into a fabric namespace's bridge; each pod is a namespace with a veth into its node's
bridge, an address, lo and eth0 up, and a default route; each node has a route to every other node's pod CIDR. One socket a namespace, many messages
a system call. Usage: floor.py NODES PODS_PER_NODE; prints one line of JSON with the seconds of each phase, and leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

_CLONE_NEWNET, _MS_BIND, _MNT_DETACH = 0x40000000, 4096, 2
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_CREATE = 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
_REQUEST_ACK = 1 | 4
_ACK = 2  # NLMSG_ERROR; an acknowledgement has error 0
_BATCH = 32
_ETH0, _BRIDGE = 5, 10  # interface numbers of our choice

_libc = ctypes.CDLL(None, use_errno=True)
_sequence = count(1)


class Member(NamedTuple):
    """A namespace: its file, a descriptor of it, and a netlink socket in it."""

    path: Path
    descriptor: int
    socket: socket.socket


def build(nodes: int, pods: int, directory: Path) -> dict[str, float]:
    """Build it below `directory`, take it down again, and give the seconds of each phase."""
    made: list[Member] = []
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        fabric = _namespace(directory / "fabric", made)
        _send(fabric, [_up(1), _bridge(b"fabric")])
        cluster = []
        for n in range(1, nodes + 1):
            node = _namespace(directory / f"node{n}", made)
            cluster.append((n, node, [_namespace(directory / f"pod{n}-{p}", made) for p in range(pods)]))
        namespaces = time.perf_counter()
        for n, node, members in cluster:
            _send(fabric, [_veth(f"port{n}".encode(), 100 + n, node)])
            _send(node, [_up(1), _up(_ETH0), _address(_ETH0, f"172.16.0.{n}"), _bridge(b"cbr0"), _address(_BRIDGE, f"10.{n}.0.1")])
            _send(node, [_veth(f"veth{p}".encode(), 100 + p, member) for p, member in enumerate(members)])
        links = time.perf_counter()
        for n, node, members in cluster:
            _send(node, [_route(f"172.16.0.{m}", f"10.{m}.0.0") for m in range(1, nodes + 1) if m != n])
            for p, member in enumerate(members):
                _send(member, [_up(1), _up(_ETH0), _address(_ETH0, f"10.{n}.{(p + 2) // 250}.{(p + 2) % 250 + 2}"), _route(f"10.{n}.0.1")])
        config = time.perf_counter()
        cpu = time.process_time() - cpu
    finally:
        _check(_libc.setns(home, _CLONE_NEWNET))
        down = time.perf_counter()
        for member in made:
            member.socket.close()
            os.close(member.descriptor)
            _libc.umount2(os.fsencode(member.path), _MNT_DETACH)
            member.path.unlink()
        down = time.perf_counter() - down
    phases = {"namespaces": namespaces - begun, "links": links - namespaces, "config": config - links}
    return {**phases, "total": config - begun, "cpu": cpu, "down": down}


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _namespace(path: Path, made: list[Member]) -> Member:
    _check(_libc.unshare(_CLONE_NEWNET))
    path.touch()
    _check(_libc.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", _MS_BIND, None))
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    made.append(Member(path, os.open("/proc/thread-self/ns/net", os.O_RDONLY), opened))
    return made[-1]


def _send(member: Member, messages: Sequence[bytes]) -> None:
    for start in range(0, len(messages), _BATCH):
        part = messages[start : start + _BATCH]
        member.socket.send(b"".join(part))
        acknowledged = 0
        while acknowledged < len(part):
            data, offset = member.socket.recv(1 << 18), 0
            while offset < len(data):
                length, kind = struct.unpack_from("IH", data, offset)
                if kind == _ACK:
                    (error,) = struct.unpack_from("i", data, offset + 16)
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    acknowledged += 1
                offset += (length + 3) & ~3


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST_ACK, next(_sequence), 0) + body


def _link(index: int, *, up: bool = False) -> bytes:
    return struct.pack("BxHiII", 0, 0, index, int(up), int(up))


def _up(index: int) -> bytes:
    return _message(_NEWLINK, 0, _link(index, up=True))


def _bridge(name: bytes) -> bytes:
    return _message(_NEWLINK, _CREATE, _link(_BRIDGE, up=True) + _attribute(3, name + b"\0") + _attribute(18, _attribute(1, b"bridge")))


def _veth(name: bytes, index: int, far: Member) -> bytes:
    peer = _link(_ETH0) + _attribute(3, b"eth0\0") + _attribute(28, struct.pack("I", far.descriptor))
    info = _attribute(18, _attribute(1, b"veth") + _attribute(2, _attribute(1, peer)))
    return _message(_NEWLINK, _CREATE, _link(index, up=True) + _attribute(3, name + b"\0") + _attribute(10, struct.pack("I", _BRIDGE)) + info)


def _address(index: int, ip: str) -> bytes:
    packed = socket.inet_aton(ip)
    return _message(_NEWADDR, _CREATE, struct.pack("BBBBI", socket.AF_INET, 16, 0, 0, index) + _attribute(2, packed) + _attribute(1, packed))


def _route(gateway: str, dst: str = "") -> bytes:
    body = struct.pack("BBBBBBBBI", socket.AF_INET, 16 if dst else 0, 0, 0, 254, 3, 0, 1, 0)
    return _message(_NEWROUTE, _CREATE, body + (_attribute(1, socket.inet_aton(dst)) if dst else b"") + _attribute(5, socket.inet_aton(gateway)))


def main() -> None:
    """Build once and print."""
    nodes, pods = int(sys.argv[1]), int(sys.argv[2])
    with TemporaryDirectory(prefix="klab-floor-", dir="/run") as directory:
        print(json.dumps(build(nodes, pods, Path(directory))))


if __name__ == "__main__":
    main()
