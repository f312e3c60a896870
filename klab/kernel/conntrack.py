"""Connection tracking of the calling thread's network namespace, over netlink (linux/netfilter/nfnetlink_conntrack.h): list flows, delete some."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator

from klab.kernel.netlink import Message, RouteSocket, attribute, attributes
from klab.linux.conntrack import Flow, Frontends, is_stale

_NETLINK_NETFILTER, _CTNETLINK = 12, 1
_GET, _DELETE = _CTNETLINK << 8 | 1, _CTNETLINK << 8 | 2
_ORIGINAL, _REPLY, _ID, _ZONE = 1, 2, 12, 18
_IP, _PROTO = 1, 2
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_NESTED = 0x8000
_PROTOCOLS = {6: "TCP", 17: "UDP", 132: "SCTP"}
_GONE = frozenset({errno.ENOENT})


class _NetfilterSocket(RouteSocket):
    """A netfilter netlink socket."""

    def __init__(self) -> None:
        """Open it in the calling thread's network namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._sequence = 0

    def flows(self, family: int) -> Iterator[tuple[Flow, Message]]:
        """Read all flows of TCP, UDP and SCTP, each with the message that deletes it."""
        header = struct.pack("=BBH", family, 0, 0)
        for _kind, body in self.dump(_GET, header):
            found = attributes(body[4:])
            number, source, destination, ports = _tuple(found[_ORIGINAL])
            if number in _PROTOCOLS:
                flow = Flow(_PROTOCOLS[number], source, ports[0], destination, ports[1], _tuple(found[_REPLY])[1])
                named = attribute(_ORIGINAL | _NESTED, bytes(found[_ORIGINAL]))
                named += b"".join(attribute(kind, bytes(found[kind])) for kind in (_ID, _ZONE) if kind in found)
                yield flow, Message(_DELETE, 0, header + named)


def flush_stale(frontends: Frontends) -> list[Flow]:
    """Delete the UDP flows of this namespace that lead to somebody who no longer serves; give what was deleted. Nothing to look for is fine."""
    if not frontends:
        return []
    netfilter = _NetfilterSocket()
    try:
        stale = [
            (flow, deletion)
            for family in (socket.AF_INET, socket.AF_INET6)
            for flow, deletion in netfilter.flows(family)
            if is_stale(flow, frontends)
        ]
        netfilter.send([deletion for _flow, deletion in stale], _GONE)
    finally:
        netfilter.close()
    return [flow for flow, _deletion in stale]


def _tuple(data: memoryview) -> tuple[int, str, str, tuple[int, int]]:
    """Read one direction of a flow: protocol number, source, destination, their ports (0 where the protocol has none)."""
    found = attributes(data)
    addresses = [str(ipaddress.ip_address(bytes(value))) for _kind, value in sorted(attributes(found[_IP]).items())]
    proto = attributes(found[_PROTO])
    source_port, destination_port = (int.from_bytes(proto.get(kind, b""), "big") for kind in (_SOURCE_PORT, _DESTINATION_PORT))
    return proto[_NUMBER][0], addresses[0], addresses[1], (source_port, destination_port)
