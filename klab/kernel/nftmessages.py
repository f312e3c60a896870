"""nftables operations as netlink messages, where they are of the few forms that come and go with endpoints and services.

The program nft reads the whole ruleset before each transaction; with ten thousand services that takes longer than the change itself. Messages need
not. What has no known form is left to nft: both lead to the same ruleset. Formats: linux/netfilter/nf_tables.h, nfnetlink.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence
from itertools import count

from klab.kernel.netlink import Message, RouteSocket, attribute, nested, text
from klab.kernel.nftexpressions import ANONYMOUS_MAP, UnknownFormError, comment, encode_rule, number, value, verdict
from klab.linux.diff import Operation
from klab.linux.nft import NftChain, NftElement, NftSet
from klab.linux.objects import KernelObject
from klab.linux.steps import objects

_NETLINK_NETFILTER, _SUBSYSTEM, _BATCH_BEGIN, _BATCH_END = 12, 10, 16, 17
_NEW_CHAIN, _DEL_CHAIN, _NEW_RULE, _DEL_RULE = 3, 5, 6, 8
_NEW_SET, _DEL_SET, _NEW_ELEMENTS, _DEL_ELEMENTS = 9, 11, 12, 14
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_FAMILIES = {"ip": 2, "ip6": 10}
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_ANONYMOUS, _CONSTANT, _MAP, _TIMEOUT, _EVAL = 0x1, 0x2, 0x8, 0x10, 0x20
_TYPE_INTEGER, _TYPE_VERDICT = 4, 0xFFFFFF00
_ADDRESS_TYPES = {"ipv4_addr": (7, 4), "ipv6_addr": (8, 16)}
_HOST_ORDER, _NETWORK_ORDER = 1, 2
_HEADER = struct.Struct("=IHHII")
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _BUFFER = 32, 33, 8 << 20

Addressed = tuple[KernelObject, Message]  # a message and what it is sent for


def encode(operations: Sequence[Operation]) -> list[Addressed]:
    """Give the messages of one transaction; UnknownFormError where an operation has no known form."""
    known = (NftChain, NftElement, NftSet)
    if not all(isinstance(step.object, known) for step in operations):
        raise UnknownFormError
    return list(_messages(operations))


class NftSocket(RouteSocket):
    """A netfilter netlink socket that carries out transactions of nf_tables."""

    def __init__(self) -> None:
        """Open it in the calling thread's network namespace."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._sequence = 0

    def commit(self, messages: Sequence[Message]) -> None:
        """Carry out all or none; NetlinkRefusedError names the first that was refused."""
        frame = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
        first = self._sequence + 1
        packed = [_pack(_BATCH_BEGIN, _REQUEST, self._sequence, frame)]
        packed += [_pack(item.type, _REQUEST | _ACK | item.flags, first + place, item.body) for place, item in enumerate(messages)]
        self._sequence += len(messages) + 1
        packed.append(_pack(_BATCH_END, _REQUEST, self._sequence, frame))
        self._socket.send(b"".join(packed))
        self._collect(first, len(messages), 0, frozenset())


def _messages(operations: Sequence[Operation]) -> Iterator[Addressed]:
    """Take things apart before building, in the order of klab.linux.nft.render_transaction."""
    yield from ((item, _element(item, _DEL_ELEMENTS)) for item in objects(operations, NftElement, "delete", "change"))
    yield from ((item, _about(item, _DEL_RULE, 2)) for item in objects(operations, NftChain, "delete", "change"))
    yield from ((item, _about(item, _DEL_SET, 2)) for item in objects(operations, NftSet, "delete"))
    yield from ((item, _new_set(item)) for item in objects(operations, NftSet, "create", "change"))
    yield from ((item, _new_chain(item)) for item in objects(operations, NftChain, "create"))
    map_ids = count(1)
    for item in objects(operations, NftChain, "create", "change"):
        yield from ((item, message) for rule in item.rules for message in _new_rule(item, rule, next(map_ids)))
    yield from ((item, _element(item, _NEW_ELEMENTS)) for item in objects(operations, NftElement, "create", "change"))
    yield from ((item, _about(item, _DEL_CHAIN, 3)) for item in objects(operations, NftChain, "delete"))


def _about(item: NftChain | NftSet, kind: int, name: int) -> Message:
    """Name a chain or set, whose name is attribute number `name`."""
    return _message(item.family, kind, 0, text(1, item.table), text(name, item.name))


def _new_chain(chain: NftChain) -> Message:
    if chain.hook or chain.comment:
        raise UnknownFormError(chain.name)
    return _message(chain.family, _NEW_CHAIN, _CREATE, text(1, chain.table), text(3, chain.name))


def _message(family: str, kind: int, flags: int, *attributes: bytes) -> Message:
    return Message(_SUBSYSTEM << 8 | kind, flags, struct.pack(">BBH", _FAMILIES[family], 0, 0) + b"".join(attributes))


def _pack(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _new_rule(chain: NftChain, rule: str, map_id: int) -> Iterator[Message]:
    """Make a rule, and before it the map that it brings along."""
    found = encode_rule(chain.family, rule, map_id)
    if found.map:
        yield _message(
            chain.family,
            _NEW_SET,
            _CREATE,
            text(1, chain.table),
            text(2, ANONYMOUS_MAP),
            number(3, _ANONYMOUS | _CONSTANT | _MAP),
            number(4, _TYPE_INTEGER),
            number(5, 4),
            number(6, _TYPE_VERDICT),
            number(7, 0),
            number(10, map_id),
            nested(9, number(1, len(found.map))),
            attribute(13, _byte_orders(_HOST_ORDER, 0)),
        )
        listed = [nested(1, value(1, struct.pack("=I", key)), nested(2, data)) for key, data in found.map]
        body = (text(1, chain.table), text(2, ANONYMOUS_MAP), number(4, map_id), nested(3, *listed))
        yield _message(chain.family, _NEW_ELEMENTS, _CREATE, *body)
    said = [comment(7, found.comment)] if found.comment else []
    where = (text(1, chain.table), text(2, chain.name))
    yield _message(chain.family, _NEW_RULE, _CREATE | _APPEND, *where, nested(4, *found.packed), *said)


def _new_set(group: NftSet) -> Message:
    """Make a set that packets put addresses into, and that forgets them (session affinity)."""
    if group.type not in _ADDRESS_TYPES or group.flags != "dynamic,timeout" or group.comment:
        raise UnknownFormError(group.name)
    kind, length = _ADDRESS_TYPES[group.type]
    return _message(
        group.family,
        _NEW_SET,
        _CREATE,
        text(1, group.table),
        text(2, group.name),
        number(3, _TIMEOUT | _EVAL),
        number(4, kind),
        number(5, length),
        number(10, 1),
        attribute(11, struct.pack(">Q", group.timeout * 1000)),
        attribute(13, _byte_orders(_NETWORK_ORDER, None)),
    )


def _byte_orders(key: int, data: int | None) -> bytes:
    """Pack what the program nft wants to know of a set to print its elements: the byte order of keys and data."""
    return bytes((0, 4)) + struct.pack("=I", key) + (b"" if data is None else bytes((1, 4)) + struct.pack("=I", data))


def _element(item: NftElement, kind: int) -> Message:
    """Add an element with its value and comment, or take it out by its key alone."""
    parts = [value(1, _key(item.element))]
    if kind == _NEW_ELEMENTS and item.value:
        parts.append(nested(2, verdict(item.value)))
    if kind == _NEW_ELEMENTS and item.comment:
        parts.append(comment(6, item.comment))
    flags = _CREATE if kind == _NEW_ELEMENTS else 0
    return _message(item.family, kind, flags, text(1, item.table), text(2, item.set), nested(3, nested(1, *parts)))


def _key(element: str) -> bytes:
    """Pack "10.96.0.1 . tcp . 443": each part padded to four bytes."""
    packed = [_part(part) for part in element.split(" . ")]
    return packed[0] if len(packed) == 1 else b"".join(part + bytes(-len(part) % 4) for part in packed)


def _part(text_part: str) -> bytes:
    if text_part in _PROTOCOLS:
        return bytes((_PROTOCOLS[text_part],))
    if text_part.isdecimal():
        return struct.pack(">H", int(text_part))
    try:
        return ipaddress.ip_address(text_part).packed
    except ValueError as error:
        raise UnknownFormError(text_part) from error
