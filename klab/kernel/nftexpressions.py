"""Rules of nftables as the kernel's expressions, for the forms that change with endpoints and services (linux/netfilter/nf_tables.h).

A rule is read as `nft list` prints it, statement by statement. A form that is not here raises UnknownFormError: the program nft knows them all.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from klab.kernel.netlink import attribute, nested, text

_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_OFFSETS = {("ip", "saddr"): 12, ("ip", "daddr"): 16, ("ip6", "saddr"): 8, ("ip6", "daddr"): 24}
_FAMILIES = {"ip": 2, "ip6": 10}
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_CODES = {"drop": 0, "jump": -3, "goto": -4, "return": -5}
_EQUAL, _UNEQUAL = 0, 1
_META_L4PROTO, _FIB_ADDRESS_TYPE, _FIB_SOURCE, _LOCAL = 16, 3, 1, 2
_RANDOM, _UPDATE, _DESTINATION_NAT, _PORT_IS_GIVEN = 1, 1, 1, 2
_COMMENT = re.compile(r' comment "([^"]*)"$')

ANONYMOUS_MAP = "__map%d"


class UnknownFormError(Exception):
    """Something that only the program nft can translate."""


@dataclass(slots=True)
class Expressions:
    """A rule being put together: its expressions, its comment, and the elements of the verdict map that it brings along."""

    family: str
    map_id: int
    packed: list[bytes] = field(default_factory=list)
    comment: str = ""
    map: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, name: str, *attributes: bytes) -> None:
        """Append one expression."""
        self.packed.append(nested(1, text(1, name), nested(2, *attributes)))


def encode_rule(family: str, rule: str, map_id: int) -> Expressions:
    """Translate one rule of a table of `family`; a verdict map of its own gets the number `map_id`."""
    found = Expressions(family, map_id)
    if comment := _COMMENT.search(rule):
        found.comment = comment[1]
        rule = rule[: comment.start()]
    while rule:
        for pattern, encode in _FORMS:
            if matched := pattern.match(rule):
                encode(found, *matched.groups())
                rule = rule[matched.end() :]
                break
        else:
            raise UnknownFormError(rule)
    return found


def number(kind: int, value: int) -> bytes:
    """Pack a 32-bit number, big-endian as all numbers of nf_tables are."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def value(kind: int, data: bytes) -> bytes:
    """Pack bytes to compare with or to load."""
    return nested(kind, attribute(1, data))


def verdict(words: str) -> bytes:
    """Pack "drop", "return", "jump CHAIN", "goto CHAIN" as data."""
    word, _space, chain = words.partition(" ")
    return nested(2, number(1, _CODES[word]), *([text(2, chain)] if chain else []))


def comment(kind: int, words: str) -> bytes:
    """Pack a comment as the program nft keeps it, in the userdata of a rule or an element."""
    data = words.encode() + b"\0"
    return attribute(kind, bytes((0, len(data))) + data)


def _payload(rule: Expressions, base: int, offset: int, length: int) -> None:
    rule.add("payload", number(1, 1), number(2, base), number(3, offset), number(4, length))


def _compare(rule: Expressions, data: bytes, operator: int = _EQUAL) -> None:
    rule.add("cmp", number(1, 1), number(2, operator), value(3, data))


def _protocol(rule: Expressions, name: str) -> None:
    rule.add("meta", number(1, 1), number(2, _META_L4PROTO))
    _compare(rule, bytes((_PROTOCOLS[name],)))


def _port(rule: Expressions, name: str, port: str) -> None:
    _protocol(rule, name)
    _payload(rule, _TRANSPORT_HEADER, 2, 2)
    _compare(rule, struct.pack(">H", int(port)))


def _address(rule: Expressions, family: str, side: str, unequal: str | None, cidr: str) -> None:
    """Compare an address, or the beginning of it; what is left of a prefix after whole bytes is masked."""
    network = ipaddress.ip_network(cidr)
    operator = _UNEQUAL if unequal else _EQUAL
    whole, rest = divmod(network.prefixlen, 8)
    packed = network.network_address.packed
    if not whole:
        raise UnknownFormError(cidr)
    if not rest:
        _payload(rule, _NETWORK_HEADER, _OFFSETS[family, side], whole)
        _compare(rule, packed[:whole], operator)
        return
    _payload(rule, _NETWORK_HEADER, _OFFSETS[family, side], len(packed))
    mask = number(1, 1) + number(2, 1) + number(3, len(packed)) + value(4, network.netmask.packed) + value(5, bytes(len(packed)))
    rule.add("bitwise", mask)
    _compare(rule, packed, operator)


def _member(rule: Expressions, family: str, side: str, name: str) -> None:
    _payload(rule, _NETWORK_HEADER, _OFFSETS[family, side], 4 if family == "ip" else 16)
    rule.add("lookup", number(2, 1), text(1, name))


def _remember(rule: Expressions, name: str, family: str) -> None:
    _payload(rule, _NETWORK_HEADER, _OFFSETS[family, "saddr"], 4 if family == "ip" else 16)
    rule.add("dynset", number(4, 1), number(3, _UPDATE), text(1, name))


def _from_local(rule: Expressions) -> None:
    rule.add("fib", number(3, _FIB_SOURCE), number(2, _FIB_ADDRESS_TYPE), number(1, 1))
    _compare(rule, struct.pack("=I", _LOCAL))


def _choose(rule: Expressions, modulus: str, choices: str) -> None:
    """Draw a number and look it up in a map of verdicts that belongs to the rule."""
    rule.add("numgen", number(1, 1), number(2, int(modulus)), number(3, _RANDOM), number(4, 0))
    rule.add("lookup", number(2, 1), number(3, 0), text(1, ANONYMOUS_MAP), number(4, rule.map_id))
    for choice in choices.split(", "):
        key, _colon, words = choice.partition(" : ")
        rule.map.append((int(key), verdict(words)))


def _translate(rule: Expressions, address: str, port: str) -> None:
    rule.add("immediate", number(1, 1), value(2, ipaddress.ip_address(address.strip("[]")).packed))
    rule.add("immediate", number(1, 2), value(2, struct.pack(">H", int(port))))
    rule.add("nat", number(1, _DESTINATION_NAT), number(2, _FAMILIES[rule.family]), number(3, 1), number(5, 2), number(7, _PORT_IS_GIVEN))


def _decide(rule: Expressions, words: str) -> None:
    rule.add("immediate", number(1, 0), nested(2, verdict(words)))


_CIDR = r"([0-9a-f.:]+(?:/\d+)?)"
_FORMS: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = tuple(
    (re.compile(rf"{form}(?: |$)"), encode)
    for form, encode in (
        (rf"(ip6?) ([sd]addr) (!= )?{_CIDR}", _address),
        (r"(ip6?) (saddr) @(\S+)", _member),
        (r"(tcp|udp|sctp) dport (\d+)", _port),
        (r"meta l4proto (tcp|udp|sctp)", _protocol),
        (r"dnat to (\S+):(\d+)", _translate),
        (r"update @(\S+) \{ (ip6?) saddr \}", _remember),
        (r"fib saddr type local", _from_local),
        (r"numgen random mod (\d+) vmap \{ (.*) \}", _choose),
        (r"(drop|return|(?:jump|goto) \S+)", _decide),
    )
)
