from __future__ import annotations

from collections.abc import Callable

import pytest

from klab.api import names
from klab.api.nearest import did_you_mean, nearest
from klab.api.quantity import is_quantity, milli, parse_quantity, whole


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.check_dns_label, ["a", "web-1", "1a", "x" * 63], ["", "Web", "-a", "a-", "a.b", "a_b", "x" * 64, "ä"]),
        (names.check_dns_subdomain, ["a", "a.b", "web-1.example.com", "x" * 63, "1.2"], ["", "A", ".a", "a..b", "a.-b", "x" * 254]),
        (names.check_label_key, ["app", "example.com/app", "A_b.c-d", "x" * 63], ["", "/a", "a/", "a/b/c", "-a", "A.com/x y", "x" * 64, "Ex.com/a"]),
        (names.check_label_value, ["", "a", "A_b.c-d", "1"], ["-a", "a-", "a b", "a/b", "x" * 64]),
        (names.check_port_name, ["http", "a1", "x" * 15], ["", "HTTP", "80", "a--b", "-a", "a-", "x" * 16]),
        (names.check_env_name, ["A", "a.b-c", "1A", "with space"], ["", "a=b", "ä", "a\n"]),
        (names.check_config_key, ["a", "a.b", "A_B-c", "...a"[3:]], ["", "a b", "..", ".", "..a", "a/b"]),
        (names.check_path_segment, ["a", "system:node", "A B"], [".", "..", "a/b", "a%b"]),
    ],
)
def test_what_is_fine_and_what_is_not(check: Callable[[str], list[str]], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if check(text)] == []
    assert [text for text in bad if not check(text)] == []


def test_messages_are_apimachinerys() -> None:
    subdomain = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
        "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
    assert names.check_dns_subdomain("Web") == [subdomain]
    assert names.check_dns_label("a.b") == ["must not contain dots"]
    assert names.check_port_name("way-too-long-port-name") == ["must be no more than 15 bytes"]
    name_part = (
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    )
    assert names.check_label_key("example.com/") == ["name part must be non-empty", name_part]


def test_nearest() -> None:
    assert nearest("contianers", ["initContainers", "containers"]) == "containers"
    assert nearest("NODEname", ["nodeName"]) == "nodeName"
    assert nearest("zzz", ["containers"]) == ""
    assert did_you_mean("naem", ["name"]) == '; did you mean "name"?'
    assert did_you_mean("zzz", ["name"]) == ""


@pytest.mark.parametrize(
    ("text", "units", "thousandths"),
    [
        ("500m", 1, 500),
        ("1", 1, 1000),
        ("1Gi", 1 << 30, 1000 << 30),
        ("1k", 1000, 1000000),
        ("1e3", 1000, 1000000),
        ("0.5", 1, 500),
        (2, 2, 2000),
        ("1n", 1, 1),
        (".5", 1, 500),
    ],
)
def test_quantities(text: str, units: int, thousandths: int) -> None:
    assert whole(text) == units
    assert milli(text) == thousandths


@pytest.mark.parametrize("text", ["", "1x", "Gi", "1 Gi", "--1", "1.2.3", "1e", "0x1"])
def test_what_is_no_quantity(text: str) -> None:
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse_quantity(text)
