"""The floor: how fast the kernel itself can be asked to build NODES x PODS, and to remove them: floor.py NODES PODS_PER_NODE.

Each node is a namespace with a bridge (cbr0) and an uplink into the bridge of a fabric namespace; each pod is a namespace with a veth into its
node's bridge, an address and a default route; each node has a route to the pods of every other. Netlink messages packed by hand, one socket a
namespace, sent in batches. Prints `{"up": seconds, "down": seconds}`.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

CLONE_NEWNET, MS_BIND, MNT_DETACH = 0x40000000, 4096, 2
RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 20, 24
REQUEST_ACK, CREATE_EXCLUSIVELY = 0x1 | 0x4, 0x400 | 0x200
NLMSG_ERROR = 2
BATCH = 32
FABRIC_BRIDGE, NODE_BRIDGE, UPLINK, FIRST_PORT = 10, 10, 5, 100

libc = ctypes.CDLL(None, use_errno=True)
sequence = count(1)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace, a descriptor of it, and a netlink socket in it."""

    path: Path
    fd: int
    netlink: socket.socket


def check(result: int) -> None:
    """Raise what a C function refused."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_namespace(name: str) -> Namespace:
    """Create a namespace, name it as `ip netns` does, and stay in it."""
    check(libc.unshare(CLONE_NEWNET))
    path = Path(f"/run/netns/floor-{name}")
    path.touch(exist_ok=False)
    check(libc.mount(b"/proc/thread-self/ns/net", str(path).encode(), b"none", MS_BIND, None))
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    return Namespace(path, os.open("/proc/thread-self/ns/net", os.O_RDONLY), netlink)


def attribute(kind: int, data: bytes) -> bytes:
    """Pack one netlink attribute."""
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """Pack one netlink message that asks for an ack."""
    return struct.pack("IHHII", 16 + len(body), kind, flags | REQUEST_ACK, next(sequence), 0) + body


def link(index: int = 0, up: bool = False) -> bytes:
    """Pack struct ifinfomsg."""
    return struct.pack("BxHiII", 0, 0, index, int(up), int(up))


def set_up(index: int) -> bytes:
    """Ask for `ip link set INDEX up`."""
    return message(RTM_NEWLINK, 0, link(index, up=True))


def add_bridge(index: int, name: str) -> bytes:
    """Ask for `ip link add NAME up type bridge`."""
    info = attribute(18, attribute(1, b"bridge"))
    return message(RTM_NEWLINK, CREATE_EXCLUSIVELY, link(index, up=True) + attribute(3, f"{name}\0".encode()) + info)


def add_veth(name: str, index: int, bridge: int, peer: Namespace) -> bytes:
    """Ask for a port NAME of the bridge whose other end is `eth0` in the peer's namespace."""
    other = link(UPLINK) + attribute(3, b"eth0\0") + attribute(28, struct.pack("I", peer.fd))
    info = attribute(18, attribute(1, b"veth") + attribute(2, attribute(1, other)))
    body = link(index, up=True) + attribute(3, f"{name}\0".encode()) + attribute(10, struct.pack("I", bridge)) + info
    return message(RTM_NEWLINK, CREATE_EXCLUSIVELY, body)


def add_address(index: int, ip: str, length: int) -> bytes:
    """Ask for `ip address add IP/LENGTH dev INDEX`."""
    packed = socket.inet_aton(ip)
    body = struct.pack("BBBBI", socket.AF_INET, length, 0, 0, index) + attribute(2, packed) + attribute(1, packed)
    return message(RTM_NEWADDR, CREATE_EXCLUSIVELY, body)


def add_route(gateway: str, destination: str | None = None, length: int = 0) -> bytes:
    """Ask for `ip route add DESTINATION/LENGTH via GATEWAY`, the default route if there is no destination."""
    header = struct.pack("BBBBBBBBI", socket.AF_INET, length, 0, 0, 254, 3, 0, 1, 0)
    to = attribute(1, socket.inet_aton(destination)) if destination else b""
    return message(RTM_NEWROUTE, CREATE_EXCLUSIVELY, header + to + attribute(5, socket.inet_aton(gateway)))


def send(namespace: Namespace, messages: list[bytes]) -> None:
    """Send messages in batches and read their acks; the first refusal is raised."""
    for start in range(0, len(messages), BATCH):
        part = messages[start : start + BATCH]
        namespace.netlink.send(b"".join(part))
        acks = 0
        while acks < len(part):
            data, offset = namespace.netlink.recv(1 << 18), 0
            while offset < len(data):
                length, kind = struct.unpack_from("IH", data, offset)
                if kind == NLMSG_ERROR:
                    error = struct.unpack_from("i", data, offset + 16)[0]
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    acks += 1
                offset += (length + 3) & ~3


def build(nodes: int, pods: int) -> list[Namespace]:
    """Build the cluster; the calling thread ends in the last namespace."""
    fabric = make_namespace("fabric")
    send(fabric, [set_up(1), add_bridge(FABRIC_BRIDGE, "fabric")])
    cluster = {n: (make_namespace(f"node{n}"), [make_namespace(f"pod{n}-{p}") for p in range(pods)]) for n in range(1, nodes + 1)}
    for n, (node, members) in cluster.items():
        send(fabric, [add_veth(f"port{n}", FIRST_PORT + n, FABRIC_BRIDGE, node)])
        send(node, [set_up(1), set_up(UPLINK), add_address(UPLINK, f"172.16.0.{n}", 16)])
        send(node, [add_bridge(NODE_BRIDGE, "cbr0"), add_address(NODE_BRIDGE, f"10.{n}.0.1", 16)])
        send(node, [add_veth(f"veth{p}", FIRST_PORT + p, NODE_BRIDGE, member) for p, member in enumerate(members)])
        send(node, [add_route(f"172.16.0.{m}", f"10.{m}.0.0", 16) for m in cluster if m != n])
        for p, member in enumerate(members, start=2):
            send(member, [set_up(1), set_up(UPLINK), add_address(UPLINK, f"10.{n}.{p // 250}.{p % 250 + 2}", 16), add_route(f"10.{n}.0.1")])
    return [fabric, *(namespace for node, members in cluster.values() for namespace in (node, *members))]


def main() -> None:
    """Build, leave, remove; print the seconds of both."""
    nodes, pods = int(sys.argv[1]), int(sys.argv[2])
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    Path("/run/netns").mkdir(exist_ok=True)
    begun = time.perf_counter()
    made = build(nodes, pods)
    built = time.perf_counter()
    check(libc.setns(home, CLONE_NEWNET))
    for namespace in made:
        namespace.netlink.close()
        os.close(namespace.fd)
        check(libc.umount2(str(namespace.path).encode(), MNT_DETACH))
        namespace.path.unlink()
    print(json.dumps({"up": built - begun, "down": time.perf_counter() - built}))


if __name__ == "__main__":
    main()
