"""DNS messages, sans-io: request bytes in; response bytes, or what to ask an upstream first, out (RFC 1035, 2308, 6891, 8020)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from klab.dns.names import REVERSE_ORIGINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from klab.dns.zone import Answer, RRset, Zone

HEADER = 12
MIN_UDP = 512  # what a client takes that says nothing (RFC 1035)
MAX_UDP = 4096
MAX_TCP = 65535
PAYLOAD = 1232  # what klab's server takes itself over UDP (DNS flag day 2020)
_RESPONSE, _OPCODE, _RECURSION_DESIRED = 0x80, 0x78, 0x01  # bits of the header's third byte


@dataclass(frozen=True, slots=True)
class Forward:
    """A question for an upstream: send `query`, then give the client `finish(response)`, of None where no upstream answered."""

    query: bytes
    finish: Callable[[bytes | None], bytes]


def answer(request: bytes, zone: Zone, *, tcp: bool, forwarding: bool = False) -> bytes | Forward | None:
    """Answer a request from the zone; what is in none of its trees is forwarded or, without `forwarding`, REFUSED.

    None means: say nothing (no DNS message, or a response, to which an answer could start a loop). `tcp` tells how the request came.
    """
    if len(request) < HEADER or request[2] & _RESPONSE:
        return None
    query = _read(request)
    if isinstance(query, bytes):
        return query
    name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
    found = zone.lookup(name, kind)
    known = found is not None and not (found.rcode == "NXDOMAIN" and zone.origin_of(name) in REVERSE_ORIGINS)
    if forwarding and not known:
        return _forward(request, query)
    if found is None:
        return _reply(query, dns.rcode.REFUSED).to_wire()
    if forwarding and found.chase:
        return _chase(query, found, tcp=tcp)
    return _fit(_respond(query, found), tcp=tcp)


def _read(request: bytes) -> dns.message.Message | bytes:
    """Read a request, or give its refusal: not a query, malformed, not one question, another EDNS version or class, a zone transfer."""
    if request[2] & _OPCODE:
        return _bare(request, dns.rcode.NOTIMP)
    try:
        query = dns.message.from_wire(request, ignore_trailing=True)
    except dns.exception.DNSException:
        return _bare(request, dns.rcode.FORMERR)
    if len(query.question) != 1:
        return _bare(request, dns.rcode.FORMERR)
    if query.edns > 0:
        return _reply(query, dns.rcode.BADVERS).to_wire()
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in {dns.rdatatype.AXFR, dns.rdatatype.IXFR}:
        return _reply(query, dns.rcode.REFUSED).to_wire()
    return query


def _bare(request: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Answer what could not be read: its id and opcode, the rcode, no sections."""
    flags = request[2] & (_OPCODE | _RECURSION_DESIRED) | _RESPONSE
    return request[:2] + bytes((flags, rcode)) + bytes(8)


def _reply(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    """Start a response: recursion is not offered, as CoreDNS does not; EDNS is answered with EDNS."""
    response = dns.message.make_response(query, our_payload=PAYLOAD)
    if query.ednsflags & dns.flags.DO:
        response.want_dnssec(True)
    response.set_rcode(rcode)
    return response


def _respond(query: dns.message.Message, found: Answer) -> dns.message.Message:
    """Make the authoritative response of a look-up; addresses come in random order, which spreads the clients (CoreDNS' loadbalance)."""
    response = _reply(query, dns.rcode.from_text(found.rcode))
    response.flags |= dns.flags.AA
    response.answer = [_rrset(rrset, shuffle=True) for rrset in found.answer]
    response.authority = [_rrset(rrset) for rrset in found.authority]
    response.additional = [_rrset(rrset) for rrset in found.additional]
    return response


def _rrset(rrset: RRset, *, shuffle: bool = False) -> dns.rrset.RRset:
    rdatas = list(rrset.rdatas)
    if shuffle and rrset.type in {"A", "AAAA"}:
        random.shuffle(rdatas)
    return dns.rrset.from_rdata_list(_name(rrset.owner), rrset.ttl, [_rdata(rrset.type, rdata) for rdata in rdatas])


@lru_cache(maxsize=4096)
def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


@lru_cache(maxsize=4096)
def _rdata(kind: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", kind, text)


def _fit(response: dns.message.Message, *, tcp: bool) -> bytes:
    """Give the bytes, cut to what the client takes: additional records go first, then answers, with TC set, from the end."""
    limit = MAX_TCP if tcp else min(max(response.request_payload, MIN_UDP), MAX_UDP)
    wire = response.to_wire(max_size=MAX_TCP, prefer_truncation=True)
    if len(wire) <= limit:
        return wire
    response.additional = []
    records = [dns.rrset.from_rdata_list(rrset.name, rrset.ttl, [rdata]) for rrset in response.answer for rdata in rrset]
    whole = _wire_of(response, records)
    if len(whole) <= limit:
        return whole
    response.flags |= dns.flags.TC
    fitting, too_many = 0, len(records)
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if len(_wire_of(response, records[:middle])) <= limit:
            fitting = middle
        else:
            too_many = middle
    return _wire_of(response, records[:fitting])


def _wire_of(response: dns.message.Message, records: Sequence[dns.rrset.RRset]) -> bytes:
    response.answer = list(records)
    return response.to_wire(max_size=MAX_TCP, prefer_truncation=True)


def _forward(request: bytes, query: dns.message.Message) -> Forward:
    """Hand the request on as it is; SERVFAIL where nobody answers."""

    def finish(response: bytes | None) -> bytes:
        return _reply(query, dns.rcode.SERVFAIL).to_wire() if response is None else request[:2] + response[2:]

    return Forward(request, finish)


def _chase(query: dns.message.Message, found: Answer, *, tcp: bool) -> Forward:
    """Ask for a CNAME's target elsewhere and append it; the rcode is the target's (RFC 6604), SERVFAIL beside the CNAME where nobody answers."""
    kind = query.question[0].rdtype
    further = dns.message.make_query(found.chase, kind, use_edns=0 if query.edns >= 0 else -1, payload=PAYLOAD)

    def finish(response: bytes | None) -> bytes:
        joined = _respond(query, found)
        try:
            reply = None if response is None else dns.message.from_wire(response)
        except dns.exception.DNSException:
            reply = None
        if reply is None:
            joined.set_rcode(dns.rcode.SERVFAIL)
        else:
            joined.set_rcode(reply.rcode())
            joined.flags |= reply.flags & dns.flags.TC
            joined.answer += reply.answer
            joined.authority += reply.authority
        return _fit(joined, tcp=tcp)

    return Forward(further.to_wire(), finish)
