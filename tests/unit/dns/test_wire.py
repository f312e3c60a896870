"""Messages: bytes in, bytes out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.update
import pytest
import yaml

from klab.dns.wire import Forward, answer
from klab.dns.zone import Zone

CLUSTER = yaml.safe_load((Path(__file__).parents[2] / "dns_table.yaml").read_text())
ECHO = "echoserver.default.svc.cluster.local."


@pytest.fixture(scope="module")
def zone() -> Zone:
    made = Zone()
    for obj in CLUSTER["objects"]:
        made.set(obj)
    many = [{"addresses": [f"10.200.{i // 250}.{i % 250 + 1}"]} for i in range(300)]
    labels = {"kubernetes.io/service-name": "many"}
    made.set({"kind": "Service", "metadata": {"name": "many", "namespace": "default"}, "spec": {"clusterIP": "None"}})
    made.set(
        {"kind": "EndpointSlice", "metadata": {"name": "many", "namespace": "default", "labels": labels}, "ports": [{"port": 80}], "endpoints": many}
    )
    return made


def ask(zone: Zone, query: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
    reply = answer(query.to_wire(), zone, tcp=tcp)
    assert isinstance(reply, bytes)
    response = dns.message.from_wire(reply)
    assert query.is_response(response)
    return response


def lines(response: dns.message.Message) -> set[str]:
    """Give the answer section as the table writes it."""
    own = response.question[0].name
    return {
        f"{'' if rrset.name == own else f'{rrset.name} '}{dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in response.answer
        for rdata in rrset
    }


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_look_up_table(zone: Zone, tcp: bool) -> None:
    for name, kind, rcode, *answers in CLUSTER["lookups"]:
        response = ask(zone, dns.message.make_query(name, kind), tcp=tcp)
        assert (name, kind, dns.rcode.to_text(response.rcode()), lines(response)) == (name, kind, rcode, set(answers))


def test_flags_are_coredns(zone: Zone) -> None:
    assert ask(zone, dns.message.make_query(ECHO, "A")).flags == dns.flags.QR | dns.flags.AA | dns.flags.RD
    unknown = ask(zone, dns.message.make_query("example.com", "A", flags=0))
    assert (unknown.rcode(), unknown.flags & (dns.flags.AA | dns.flags.RD | dns.flags.RA)) == (dns.rcode.REFUSED, 0)


def test_the_questions_letter_case_is_kept(zone: Zone) -> None:
    response = ask(zone, dns.message.make_query("eChOsErVeR.DEFAULT.svc.cluster.local.", "A"))
    assert [str(rrset) for rrset in response.answer] == ["eChOsErVeR.DEFAULT.svc.cluster.local. 5 IN A 10.99.153.85"]


def test_srv_answers_carry_addresses_beside_them(zone: Zone) -> None:
    response = ask(zone, dns.message.make_query("_pg._tcp.db.shop.svc.cluster.local.", "SRV"))
    assert {(str(rrset.name).partition(".")[0], dns.rdatatype.to_text(rrset.rdtype)) for rrset in response.additional} == {
        ("db-0", "A"),
        ("db-0", "AAAA"),
        ("10-244-1-6", "A"),
        ("fd00-244-1--0", "AAAA"),
    }


def test_addresses_come_in_changing_order(zone: Zone) -> None:
    query = dns.message.make_query("many.default.svc.cluster.local.", "A")
    first = {str(ask(zone, query, tcp=True).answer[0][0]) for _ in range(20)}
    assert len(first) > 1


@pytest.mark.parametrize(("payload", "size"), [(None, 512), (0, 512), (1232, 1232), (60000, 4096)])
def test_udp_answers_are_cut_to_what_the_client_takes(zone: Zone, payload: int | None, size: int) -> None:
    options: dict[str, Any] = {"use_edns": False} if payload is None else {"use_edns": 0, "payload": payload}
    query = dns.message.make_query("many.default.svc.cluster.local.", "A", **options)
    wire = answer(query.to_wire(), zone, tcp=False)
    assert isinstance(wire, bytes)
    response = dns.message.from_wire(wire)
    fixed = 12 + len("many.default.svc.cluster.local.") + 1 + 4 + (0 if payload is None else 11)  # header, question, OPT
    assert (len(wire) <= size, len(response.answer[0])) == (True, (size - fixed) // 16)
    assert response.flags & dns.flags.TC
    full = ask(zone, query, tcp=True)
    assert (len(full.answer[0]), full.flags & dns.flags.TC) == (300, 0)


def test_additional_records_go_before_the_answer_is_cut(zone: Zone) -> None:
    query = dns.message.make_query("_pg._tcp.db.shop.svc.cluster.local.", "SRV", use_edns=False)
    small = ask(zone, query)
    assert (len(small.answer[0]), small.flags & dns.flags.TC) == (3, 0)
    wide = dns.message.make_query("many.default.svc.cluster.local.", "SRV", use_edns=0, payload=1232)
    cut = ask(zone, wide)
    assert cut.flags & dns.flags.TC
    assert (cut.additional, 0 < len(cut.answer[0]) < 300) == ([], True)


def test_edns_is_answered_with_edns_and_only_then(zone: Zone) -> None:
    assert ask(zone, dns.message.make_query(ECHO, "A", use_edns=False)).edns == -1
    response = ask(zone, dns.message.make_query(ECHO, "A", use_edns=0, want_dnssec=True))
    assert (response.edns, response.payload, bool(response.ednsflags & dns.flags.DO)) == (0, 1232, True)
    newer = ask(zone, dns.message.make_query(ECHO, "A", use_edns=1))
    assert (newer.rcode(), newer.edns, newer.answer) == (dns.rcode.BADVERS, 0, [])


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_zone_transfers_are_refused(zone: Zone, kind: str) -> None:
    assert ask(zone, dns.message.make_query("cluster.local.", kind), tcp=True).rcode() == dns.rcode.REFUSED


def test_other_classes_are_refused(zone: Zone) -> None:
    assert ask(zone, dns.message.make_query("version.bind.", "TXT", rdclass="CH")).rcode() == dns.rcode.REFUSED


def test_any_has_no_answer_but_tells_whether_the_name_exists(zone: Zone) -> None:
    assert [ask(zone, dns.message.make_query(name, "ANY")).rcode() for name in (ECHO, "no.default.svc.cluster.local.")] == [
        dns.rcode.NOERROR,
        dns.rcode.NXDOMAIN,
    ]


def test_other_opcodes_are_not_implemented(zone: Zone) -> None:
    for query in (dns.update.UpdateMessage("cluster.local."), dns.message.make_query(ECHO, "A")):
        wire = bytearray(query.to_wire())
        if not isinstance(query, dns.update.UpdateMessage):
            wire[2] |= 0x10  # STATUS
        reply = answer(bytes(wire), zone, tcp=False)
        assert isinstance(reply, bytes)
        assert (reply[:2], reply[2] & 0x80, reply[3] & 0xF) == (bytes(wire[:2]), 0x80, dns.rcode.NOTIMP)


def test_malformed_requests_are_form_errors(zone: Zone) -> None:
    whole = dns.message.make_query(ECHO, "A").to_wire()
    none, two = bytearray(whole), bytearray(whole)
    none[4:6] = b"\0\0"
    two[4:6] = b"\0\2"
    for request in (whole[:20], bytes(none[:12]), bytes(two), whole[:12] + b"\xc0\x0c\0\1\0\1", whole[:12] + b"\x80" * 20):
        reply = answer(request, zone, tcp=False)
        assert isinstance(reply, bytes)
        assert (reply[:2], reply[3] & 0xF, len(reply)) == (request[:2], dns.rcode.FORMERR, 12)


def test_what_is_no_request_is_not_answered(zone: Zone) -> None:
    """A response answered with an error would be answered with an error."""
    response = dns.message.make_response(dns.message.make_query(ECHO, "A")).to_wire()
    for data in (b"", b"x", b"\0" * 11, response):
        assert answer(data, zone, tcp=False, forwarding=True) is None


def test_noise_never_raises(zone: Zone) -> None:
    noise = random.Random(7)
    whole = dns.message.make_query("_pg._tcp.db.shop.svc.cluster.local.", "SRV").to_wire()
    for _ in range(3000):
        request = bytearray(whole)
        for _ in range(noise.randrange(1, 6)):
            request[noise.randrange(len(request))] = noise.randrange(256)
        answer(bytes(request[: noise.randrange(len(request) + 1)]), zone, tcp=bool(noise.randrange(2)), forwarding=bool(noise.randrange(2)))


def test_odd_labels_are_only_names_that_do_not_exist(zone: Zone) -> None:
    for name in (dns.name.Name([b"a.b", b"default", b"svc", b"cluster", b"local", b""]), dns.name.from_text("\\000\\255.svc.cluster.local.")):
        assert ask(zone, dns.message.make_query(name, "A")).rcode() == dns.rcode.NXDOMAIN


def forwarded(zone: Zone, query: dns.message.Message) -> Forward:
    forward = answer(query.to_wire(), zone, tcp=False, forwarding=True)
    assert isinstance(forward, Forward)
    return forward


def reply_to(query: bytes, *records: str, rcode: str = "NOERROR") -> bytes:
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.from_text(rcode))
    response.answer = [dns.rrset.from_text(name, int(ttl), *rest) for name, ttl, *rest in (record.split(maxsplit=4) for record in records)]
    return response.to_wire()


@pytest.mark.parametrize("name", ["example.com.", "4.3.2.1.in-addr.arpa."])
def test_names_of_elsewhere_are_handed_on_as_they_are(zone: Zone, name: str) -> None:
    query = dns.message.make_query(name, "A")
    forward = forwarded(zone, query)
    assert forward.query == query.to_wire()
    other_id = b"\x12\x34" + forward.query[2:]
    assert lines(dns.message.from_wire(forward.finish(reply_to(other_id, f"{name} 60 IN A 192.0.2.9")))) == {"A 192.0.2.9"}
    failure = dns.message.from_wire(forward.finish(None))
    assert (failure.id, failure.rcode()) == (query.id, dns.rcode.SERVFAIL)


def test_names_of_the_zone_are_never_handed_on(zone: Zone) -> None:
    for name in (ECHO, "no.default.svc.cluster.local.", "85.153.99.10.in-addr.arpa."):
        assert isinstance(answer(dns.message.make_query(name, "A").to_wire(), zone, tcp=False, forwarding=True), bytes)


def test_an_external_name_is_followed_to_the_upstream(zone: Zone) -> None:
    query = dns.message.make_query("outside.default.svc.cluster.local.", "A")
    forward = forwarded(zone, query)
    asked = dns.message.from_wire(forward.query).question[0]
    assert (str(asked.name), asked.rdtype) == ("www.example.com.", dns.rdatatype.A)
    response = dns.message.from_wire(forward.finish(reply_to(forward.query, "www.example.com. 60 IN A 192.0.2.9")))
    assert (response.id, response.rcode(), lines(response)) == (query.id, 0, {"CNAME www.example.com.", "www.example.com. A 192.0.2.9"})
    missing = dns.message.from_wire(forward.finish(reply_to(forward.query, rcode="NXDOMAIN")))
    assert (missing.rcode(), lines(missing)) == (dns.rcode.NXDOMAIN, {"CNAME www.example.com."})
    for nothing in (None, b"noise, no message"):
        failure = dns.message.from_wire(forward.finish(nothing))
        assert (failure.rcode(), lines(failure)) == (dns.rcode.SERVFAIL, {"CNAME www.example.com."})
