"""IPVS of the calling thread's network namespace, over generic netlink (linux/ip_vs.h): batches of messages, dumps.

A TCP real server that is taken out keeps the connections that it has, as with kube-proxy's graceful termination: its weight becomes 0, and it goes
for good when a later removal behind the same virtual server finds it without any.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from klab.errors import KernelError, MissingError
from klab.kernel.netlink import Message, NetlinkRefusedError, RouteSocket, attribute, attributes, nested, text, u32
from klab.linux.diff import Operation
from klab.linux.ipvs import RealServer, VirtualServer
from klab.linux.objects import KernelObject
from klab.linux.steps import objects

_NEW_SERVICE, _SET_SERVICE, _DEL_SERVICE, _GET_SERVICE = 1, 2, 3, 4
_NEW_DEST, _SET_DEST, _DEL_DEST, _GET_DEST = 5, 6, 7, 8
_SERVICE, _DEST = 1, 2
_AF, _PROTOCOL, _ADDRESS, _PORT, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK = 1, 2, 3, 4, 6, 7, 8, 9
_DEST_ADDRESS, _DEST_PORT, _DEST_METHOD, _DEST_WEIGHT, _DEST_UPPER, _DEST_LOWER, _DEST_ACTIVE, _DEST_INACTIVE, _DEST_FAMILY = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    11,
)
_PERSISTENT, _HASH_PORTS = 0x1, 0x10
_NETLINK_GENERIC = 16
_MASQUERADE = 0
_IPV4_BYTES = 4
_GENERIC = struct.Struct("=BBH")
_CONTROLLER, _GET_FAMILY, _FAMILY_NAME, _FAMILY_ID = 16, 3, 2, 1
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_NAMES = {number: name for name, number in _PROTOCOLS.items()}

_EXISTS = frozenset({errno.EEXIST})
_ABSENT = frozenset({errno.ENOENT, errno.ESRCH})


class _IpvsSocket(RouteSocket):
    """A generic netlink socket that speaks to IPVS."""

    def __init__(self) -> None:
        """Open it in the calling thread's network namespace; MissingError where the kernel has no IPVS."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        self._sequence = 0
        try:
            self.send([Message(_CONTROLLER, 0, _GENERIC.pack(_GET_FAMILY, 1, 0) + text(_FAMILY_NAME, "IPVS"))])  # by name: has the module loaded
        except NetlinkRefusedError as error:
            self.close()
            raise MissingError(
                "Lab.spec.services.proxy is ipvs, and this kernel has no IPVS; load it with `modprobe ip_vs`, or choose iptables or nftables"
            ) from error
        families = [attributes(body[4:]) for _kind, body in self.dump(_CONTROLLER, _GENERIC.pack(_GET_FAMILY, 1, 0))]
        self.family = next(_number(found[_FAMILY_ID]) for found in families if bytes(found[_FAMILY_NAME]).rstrip(b"\0") == b"IPVS")

    def message(self, command: int, *parts: bytes) -> Message:
        """Pack a request."""
        return Message(self.family, 0, _GENERIC.pack(command, 1, 0) + b"".join(parts))

    def servers(self, netns: str) -> list[VirtualServer]:
        """Read all virtual servers."""
        answers = self.dump(self.family, _GENERIC.pack(_GET_SERVICE, 1, 0))
        return [_parse_service(attributes(attributes(body[4:])[_SERVICE]), netns) for _kind, body in answers]

    def real_servers(self, server: VirtualServer) -> list[tuple[RealServer, int]]:
        """Read the real servers behind one, each with the number of its connections."""
        answers = self.dump(self.family, _GENERIC.pack(_GET_DEST, 1, 0) + _service(server))
        return [_parse_dest(attributes(attributes(body[4:])[_DEST]), server) for _kind, body in answers]


def check() -> None:
    """Raise MissingError where the running kernel has no IPVS, after the kernel had the chance to load its module."""
    _IpvsSocket().close()


def apply(operations: Sequence[Operation]) -> None:
    """Carry out operations on virtual and real servers of one namespace."""
    ipvs = _IpvsSocket()
    try:
        _apply(ipvs, operations)
    except NetlinkRefusedError as error:
        raise KernelError("ipvsadm --restore", error.errno or 0, error.strerror or "") from error
    finally:
        ipvs.close()


def _apply(ipvs: _IpvsSocket, operations: Sequence[Operation]) -> None:
    made, changed, gone = (objects(operations, VirtualServer, verb) for verb in ("create", "change", "delete"))
    ipvs.send([ipvs.message(_NEW_SERVICE, _service(item, whole=True)) for item in made], _EXISTS)
    ipvs.send([ipvs.message(_SET_SERVICE, _service(item, whole=True)) for item in (*made, *changed)])
    real = objects(operations, RealServer, "create", "change")
    ipvs.send([ipvs.message(_NEW_DEST, _service(item), _dest(item)) for item in real], _EXISTS)
    ipvs.send([ipvs.message(_SET_DEST, _service(item), _dest(item)) for item in real])
    lost = {item.key for item in gone}
    _drain(ipvs, [item for item in objects(operations, RealServer, "delete") if item.virtual_key not in lost])
    ipvs.send([ipvs.message(_DEL_SERVICE, _service(item)) for item in gone], _ABSENT)


def _drain(ipvs: _IpvsSocket, leaving: Sequence[RealServer]) -> None:
    """Take real servers out: those of TCP that still have connections stay with weight 0 until a later call finds them without."""
    at_once = [item for item in leaving if item.protocol != "TCP"]
    ipvs.send([ipvs.message(_SET_DEST, _service(item), _dest(replace(item, weight=0))) for item in leaving if item.protocol == "TCP"], _ABSENT)
    virtual = {
        item.virtual_key: VirtualServer(netns=item.netns, protocol=item.protocol, address=item.address, port=item.port)
        for item in leaving
        if item.protocol == "TCP"
    }
    for server in virtual.values():
        at_once += [item for item, connections in ipvs.real_servers(server) if not item.weight and not connections]
    ipvs.send([ipvs.message(_DEL_DEST, _service(item), _dest(item)) for item in at_once], _ABSENT)


def observe(name: str) -> Iterator[KernelObject]:
    """Read every virtual and real server of the namespace; `name` is its short name."""
    ipvs = _IpvsSocket()
    try:
        for server in ipvs.servers(name):
            yield server
            yield from (item for item, _connections in ipvs.real_servers(server))
    finally:
        ipvs.close()


def _service(item: VirtualServer | RealServer, *, whole: bool = False) -> bytes:
    """Pack what names a virtual server, and with `whole` what it is like."""
    family, address = _address(item.address)
    parts = [
        attribute(_AF, struct.pack("=H", family)),
        attribute(_PROTOCOL, struct.pack("=H", _PROTOCOLS[item.protocol])),
        attribute(_ADDRESS, address),
        attribute(_PORT, struct.pack(">H", item.port)),
    ]
    if whole and isinstance(item, VirtualServer):
        flags = (_PERSISTENT if item.persistence else 0) | (_HASH_PORTS if item.hash_ports else 0)
        parts += [
            text(_SCHEDULER, item.scheduler),
            attribute(_FLAGS, struct.pack("=II", flags, _PERSISTENT | _HASH_PORTS)),
            u32(_TIMEOUT, item.persistence),
            attribute(_NETMASK, b"\xff" * 4 if family == socket.AF_INET else struct.pack("=I", 128)),
        ]
    return nested(_SERVICE, *parts)


def _dest(item: RealServer) -> bytes:
    """Pack a real server that is reached by masquerading."""
    family, address = _address(item.real_address)
    return nested(
        _DEST,
        attribute(_DEST_FAMILY, struct.pack("=H", family)),
        attribute(_DEST_ADDRESS, address),
        attribute(_DEST_PORT, struct.pack(">H", item.real_port)),
        u32(_DEST_METHOD, _MASQUERADE),
        u32(_DEST_WEIGHT, item.weight),
        u32(_DEST_UPPER, 0),
        u32(_DEST_LOWER, 0),
    )


def _address(address: str) -> tuple[int, bytes]:
    """Give the family and the sixteen bytes of a union nf_inet_addr."""
    packed = ipaddress.ip_address(address).packed
    return (socket.AF_INET if len(packed) == _IPV4_BYTES else socket.AF_INET6), packed.ljust(16, b"\0")


def _parse_service(found: dict[int, memoryview], netns: str) -> VirtualServer:
    (flags,) = struct.unpack_from("=I", found[_FLAGS])
    return VirtualServer(
        netns=netns,
        protocol=_PROTOCOL_NAMES[_number(found[_PROTOCOL])],
        address=_parse_address(_number(found[_AF]), found[_ADDRESS]),
        port=_port(found[_PORT]),
        scheduler=bytes(found[_SCHEDULER]).rstrip(b"\0").decode(),
        persistence=_number(found[_TIMEOUT]) if flags & _PERSISTENT else 0,
        hash_ports=bool(flags & _HASH_PORTS),
    )


def _parse_dest(found: dict[int, memoryview], server: VirtualServer) -> tuple[RealServer, int]:
    real = RealServer(
        netns=server.netns,
        protocol=server.protocol,
        address=server.address,
        port=server.port,
        real_address=_parse_address(_number(found[_DEST_FAMILY]), found[_DEST_ADDRESS]),
        real_port=_port(found[_DEST_PORT]),
        weight=_number(found[_DEST_WEIGHT]),
    )
    return real, _number(found[_DEST_ACTIVE]) + _number(found[_DEST_INACTIVE])


def _parse_address(family: int, data: memoryview) -> str:
    return str(ipaddress.ip_address(bytes(data[:_IPV4_BYTES] if family == socket.AF_INET else data)))


def _number(data: memoryview) -> int:
    """Read an unsigned number of whatever width in the machine's byte order."""
    return int.from_bytes(data, sys.byteorder)


def _port(data: memoryview) -> int:
    return int.from_bytes(data, "big")
