"""The zone: what it says after each change, and that a change touches only what it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import klab.dns.zone
from klab.dns.delta import make_delta
from klab.dns.names import parse_reverse, reverse_name
from klab.dns.zone import Answer, RRset, Zone

CLUSTER = yaml.safe_load((Path(__file__).parents[2] / "dns_table.yaml").read_text())


def make_zone(*objects: dict[str, Any]) -> Zone:
    zone = Zone()
    for obj in objects:
        zone.set(obj)
    return zone


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": ip, "clusterIPs": [ip], **spec}}


def endpoint_slice(name: str, of: str, *addresses: str) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "ports": [{"port": 80, "name": "http"}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


def rdatas(zone: Zone, name: str, kind: str = "A") -> tuple[str, ...] | str:
    """Give the records of the last name of the answer, else the rcode."""
    found = zone.lookup(name, kind)
    assert found is not None
    return found.answer[-1].rdatas if found.answer else found.rcode


@pytest.mark.parametrize("entry", CLUSTER["lookups"], ids=lambda entry: f"{entry[0]} {entry[1]}")
def test_look_up_table(entry: list[str]) -> None:
    name, kind, rcode, *answers = entry
    found = make_zone(*CLUSTER["objects"]).lookup(f"{name}.", kind)
    if found is None:
        assert rcode == "REFUSED"
        return
    lines = {f"{rrset.owner} {rrset.type} {rdata}" for rrset in found.answer for rdata in rrset.rdatas}
    assert (found.rcode, {line.removeprefix(f"{name}. ") for line in lines}) == (rcode, set(answers))
    assert {rrset.ttl for rrset in found.answer} <= {5, 28800}


def test_every_other_answer_carries_the_soa_with_its_negative_ttl() -> None:
    zone = make_zone(service("web", "10.96.0.2"))
    soa = RRset("cluster.local.", "SOA", ("ns.dns.cluster.local. hostmaster.cluster.local. 2 7200 1800 86400 5",), 5)
    assert zone.lookup("web.default.svc.cluster.local.", "AAAA") == Answer("NOERROR", authority=(soa,))
    assert zone.lookup("wep.default.svc.cluster.local.", "A") == Answer("NXDOMAIN", authority=(soa,))
    reverse = zone.lookup("9.9.9.9.in-addr.arpa.", "PTR")
    assert reverse is not None
    assert (reverse.rcode, reverse.authority[0].owner, reverse.authority[0].type) == ("NXDOMAIN", "in-addr.arpa.", "SOA")


def test_srv_answers_carry_the_targets_addresses() -> None:
    zone = make_zone(service("web", "None"), endpoint_slice("web-1", "web", "10.1.0.5", "10.1.0.6"))
    found = zone.lookup("_http._tcp.web.default.svc.cluster.local.", "SRV")
    assert found is not None
    assert [(rrset.owner, rrset.rdatas) for rrset in found.additional] == [
        ("10-1-0-5.web.default.svc.cluster.local.", ("10.1.0.5",)),
        ("10-1-0-6.web.default.svc.cluster.local.", ("10.1.0.6",)),
    ]


def test_a_cname_loop_is_a_server_failure() -> None:
    def alias(name: str, target: str) -> dict[str, Any]:
        spec = {"type": "ExternalName", "externalName": f"{target}.default.svc.cluster.local"}
        return {"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}

    zone = make_zone(alias("a", "b"), alias("b", "a"), alias("self", "self"))
    for name in ("a", "b", "self"):
        assert zone.lookup(f"{name}.default.svc.cluster.local.", "A") == Answer("SERVFAIL")


def test_a_changed_service_moves_its_names_and_its_reverse_names() -> None:
    zone = make_zone(service("web", "10.96.0.2", ports=[{"name": "http", "port": 80}]))
    assert rdatas(zone, "web.default.svc.cluster.local.") == ("10.96.0.2",)
    zone.set(service("web", "10.96.0.3", ports=[{"name": "https", "port": 443}]))
    assert rdatas(zone, "web.default.svc.cluster.local.") == ("10.96.0.3",)
    assert rdatas(zone, "_http._tcp.web.default.svc.cluster.local.", "SRV") == "NXDOMAIN"
    assert rdatas(zone, "_https._tcp.web.default.svc.cluster.local.", "SRV") == ("0 100 443 web.default.svc.cluster.local.",)
    assert rdatas(zone, "2.0.96.10.in-addr.arpa.", "PTR") == "NXDOMAIN"
    assert rdatas(zone, "3.0.96.10.in-addr.arpa.", "PTR") == ("web.default.svc.cluster.local.",)
    zone.remove("Service/default/web")
    assert rdatas(zone, "web.default.svc.cluster.local.") == "NXDOMAIN"
    assert rdatas(zone, "3.0.96.10.in-addr.arpa.", "PTR") == "NXDOMAIN"
    assert rdatas(zone, "default.svc.cluster.local.") == "NXDOMAIN"


def test_endpoints_come_and_go_in_any_order_of_objects() -> None:
    zone = make_zone(endpoint_slice("web-1", "web", "10.1.0.5"))
    assert rdatas(zone, "web.default.svc.cluster.local.") == "NXDOMAIN"
    assert rdatas(zone, "5.0.1.10.in-addr.arpa.", "PTR") == "NXDOMAIN"
    zone.set(service("web", "None"))
    zone.set(endpoint_slice("web-2", "web", "10.1.0.6"))
    assert rdatas(zone, "web.default.svc.cluster.local.") == ("10.1.0.5", "10.1.0.6")
    zone.set(endpoint_slice("web-1", "web", "10.1.0.7"))
    assert set(rdatas(zone, "web.default.svc.cluster.local.")) == {"10.1.0.6", "10.1.0.7"}
    assert rdatas(zone, "5.0.1.10.in-addr.arpa.", "PTR") == "NXDOMAIN"
    assert rdatas(zone, "7.0.1.10.in-addr.arpa.", "PTR") == ("10-1-0-7.web.default.svc.cluster.local.",)
    zone.remove("EndpointSlice/default/web-2")
    zone.remove("EndpointSlice/default/web-2")
    assert rdatas(zone, "web.default.svc.cluster.local.") == ("10.1.0.7",)
    zone.set(endpoint_slice("web-1", "other", "10.1.0.7"))
    assert rdatas(zone, "web.default.svc.cluster.local.") == "NXDOMAIN"


def test_a_service_that_was_not_ready_is_published_by_its_own_wish() -> None:
    piece = endpoint_slice("web-1", "web", "10.1.0.5")
    piece["endpoints"][0]["conditions"] = {"ready": False}
    assert rdatas(make_zone(piece, service("web", "None")), "web.default.svc.cluster.local.") == "NXDOMAIN"
    assert rdatas(make_zone(piece, service("web", "None", publishNotReadyAddresses=True)), "web.default.svc.cluster.local.") == ("10.1.0.5",)


def test_an_address_of_two_services_has_two_names() -> None:
    zone = make_zone(service("a", "None"), service("b", "10.96.0.9"), endpoint_slice("a-1", "a", "10.1.0.5"), endpoint_slice("b-1", "b", "10.1.0.5"))
    assert rdatas(zone, "5.0.1.10.in-addr.arpa.", "PTR") == ("10-1-0-5.a.default.svc.cluster.local.", "10-1-0-5.b.default.svc.cluster.local.")


def test_a_namespace_exists_with_its_object_or_with_a_service_in_it() -> None:
    zone = Zone()
    assert rdatas(zone, "shop.svc.cluster.local.") == rdatas(zone, "1-2-3-4.shop.pod.cluster.local.") == "NXDOMAIN"
    zone.set({"kind": "Namespace", "metadata": {"name": "shop"}})
    assert rdatas(zone, "shop.svc.cluster.local.") == "NOERROR"
    assert rdatas(zone, "1-2-3-4.shop.pod.cluster.local.") == ("1.2.3.4",)
    zone.set(service("web", "10.96.0.2"))
    assert zone.namespaces() == ("default", "shop")
    zone.remove("Namespace//shop")
    assert rdatas(zone, "shop.svc.cluster.local.") == "NXDOMAIN"
    assert rdatas(zone, "default.svc.cluster.local.") == "NOERROR"


def test_another_domain() -> None:
    zone = Zone("Lab.Example.")
    zone.set(service("web", "10.96.0.2"))
    assert rdatas(zone, "web.default.svc.lab.example.") == ("10.96.0.2",)
    assert zone.lookup("web.default.svc.cluster.local.", "A") is None


def test_each_change_moves_the_serial() -> None:
    zone = Zone()
    serials = [zone.serial]
    for change in (
        lambda: zone.set(service("web", "10.96.0.2")),
        lambda: zone.set(endpoint_slice("web-1", "web", "10.1.0.5")),
        lambda: zone.remove("Service/default/web"),
        lambda: zone.apply(make_delta([], reset=True)),
    ):
        change()
        serials.append(zone.serial)
    assert serials == sorted(set(serials))


def test_one_change_among_many_services_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    calc = klab.dns.zone.calc_table

    def counted(service: Any, *rest: Any) -> Any:
        made.append(service.name)
        return calc(service, *rest)

    monkeypatch.setattr(klab.dns.zone, "calc_table", counted)
    zone = make_zone(*(service(f"s{i}", f"10.97.{i // 250}.{i % 250 + 1}") for i in range(1000)))
    assert made == []
    assert rdatas(zone, "s1.default.svc.cluster.local.") == rdatas(zone, "S1.default.svc.cluster.local.") == ("10.97.0.2",)
    zone.set(service("s7", "10.96.0.7"))
    assert rdatas(zone, "s1.default.svc.cluster.local.") == ("10.97.0.2",)
    assert rdatas(zone, "s7.default.svc.cluster.local.") == ("10.96.0.7",)
    assert made == ["s1", "s7"]


@pytest.mark.parametrize("address", ["10.0.0.1", "255.255.255.255", "fd00::1", "2001:db8::567:89ab"])
def test_reverse_names_there_and_back(address: str) -> None:
    assert parse_reverse(reverse_name(address)) == address


@pytest.mark.parametrize("name", ["10.in-addr.arpa.", "1.2.3.4.5.in-addr.arpa.", "x.0.0.10.in-addr.arpa.", "1.ip6.arpa.", "300.1.1.1.in-addr.arpa."])
def test_names_that_are_no_address(name: str) -> None:
    assert parse_reverse(name) == ""
    assert rdatas(Zone(), name, "PTR") == "NXDOMAIN"
