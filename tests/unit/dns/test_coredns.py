"""CoreDNS' files say what the zone says."""

from __future__ import annotations

import re
from pathlib import Path

import dns.zone
import pytest
import yaml

from klab.dns.coredns import next_serial, render_corefile, render_files, render_zone
from klab.dns.zone import Zone

CLUSTER = yaml.safe_load((Path(__file__).parents[2] / "dns_table.yaml").read_text())


@pytest.fixture(scope="module")
def zone() -> Zone:
    made = Zone()
    for obj in CLUSTER["objects"]:
        made.set(obj)
    return made


@pytest.mark.parametrize("origin", ["cluster.local.", "in-addr.arpa.", "ip6.arpa."])
def test_a_zone_file_holds_exactly_what_the_zone_answers(zone: Zone, origin: str) -> None:
    parsed = dns.zone.from_text(render_zone(zone, origin), origin, relativize=False)
    for name, rdataset in parsed.iterate_rdatasets():
        kind = rdataset.rdtype.name
        if kind == "SOA":
            assert rdataset[0].serial == zone.serial
            continue
        found = zone.lookup(str(name), kind)
        assert found is not None
        assert ({str(rdata) for rdata in rdataset}, rdataset.ttl) == (set(found.answer[0].rdatas), found.answer[0].ttl)
    for name, kind, rcode, *answers in CLUSTER["lookups"]:
        if answers and rcode == "NOERROR" and ".pod." not in name and f"{name}.".lower().endswith(origin):
            assert parsed.get_rdataset(f"{name}.", kind) or parsed.get_rdataset(f"{name}.", "CNAME"), name


def test_the_directory_has_the_corefile_and_all_it_names(zone: Zone) -> None:
    files = render_files(zone, ["192.0.2.53"], directory="/there")
    assert (
        set(re.findall(r"file /there/(\S+) ", files["Corefile"]))
        == set(files) - {"Corefile"}
        == {
            "cluster.local.zone",
            "in-addr.arpa.zone",
            "ip6.arpa.zone",
        }
    )


def test_without_upstreams_nothing_is_forwarded() -> None:
    assert "forward" not in render_corefile("cluster.local", ["default"])
    text = render_corefile("cluster.local", ["default"], ["192.0.2.53", "fd00::53"])
    assert "    forward . 192.0.2.53 fd00::53 {\n" in text
    assert text.count("fallthrough in-addr.arpa ip6.arpa") == 3


def test_no_regular_expression_is_longer_than_coredns_takes() -> None:
    text = render_corefile("cluster.local", [f"{i:063}" for i in range(500)])
    expressions = [word for line in text.splitlines() if line.strip().startswith("match ") for word in line.split()[1:]]
    assert len(expressions) == 4 * 5 + 1
    assert max(map(len, expressions)) < 10_000
    for expression in expressions:
        re.compile(expression)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("1-2-3-4.default.pod.cluster.local.", "1.2.3.4"),
        ("255-0-10-199.kube-system.pod.cluster.local.", "255.0.10.199"),
        ("256-0-0-1.default.pod.cluster.local.", None),
        ("01-2-3-4.default.pod.cluster.local.", None),
        ("1-2-3-4.other.pod.cluster.local.", None),
        ("1-2-3-4.default.pod.cluster.locale.", None),
        ("1-2-3-4.defaultXpod.cluster.local.", None),
    ],
)
def test_the_pod_template_matches_pods_names_alone(name: str, address: str | None) -> None:
    text = render_corefile("cluster.local", ["default", "kube-system"])
    match = re.search(re.findall(r"match (\S+)\n", text)[0], name)
    assert (".".join(match.group(*"abcd")) if match else None) == address


def test_without_namespaces_no_pods_name_matches() -> None:
    lines = [line.split() for line in render_corefile("cluster.local", []).splitlines() if "match" in line]
    assert [len(words) for words in lines] == [2, 2, 4]
    for name in ("1-2-3-4.default.pod.cluster.local.", "default.pod.cluster.local.", "fd00--1.default.pod.cluster.local."):
        assert not any(re.search(expression, name) for words in lines for expression in words[1:])


def test_serials_only_grow() -> None:
    assert next_serial(1, 1_700_000_000.9) == 1_700_000_000
    assert next_serial(1_700_000_000, 1_700_000_000.9) == 1_700_000_001
