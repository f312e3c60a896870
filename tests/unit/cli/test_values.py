"""Ages, labels and selectors in kubectl's words."""

from datetime import UTC, datetime

import pytest

from klab.cli.printers.values import dig, duration_text, host_port, labels_text, selector_text, since, with_more

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.9, "0s"),
        (0, "0s"),
        (0.999, "0s"),
        (119, "119s"),
        (120, "2m"),
        (2 * MINUTE + 5, "2m5s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR, "8y"),
    ],
)
def test_durations_are_those_of_human_duration(seconds: float, text: str) -> None:
    """The boundaries of apimachinery's duration_test.go."""
    assert duration_text(seconds) == text


def test_an_age_counts_from_any_rfc3339_time() -> None:
    now = datetime(2024, 1, 1, 12, 0, 5, tzinfo=UTC)
    assert since("2024-01-01T12:00:00Z", now) == "5s"
    assert since("2024-01-01T13:00:00.500000+01:00", now) == "4s"
    assert since(None, now) == "<unknown>"


def test_labels_are_sorted() -> None:
    assert labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert labels_text(None) == labels_text({}) == "<none>"


def test_a_selector_is_written_as_it_is_typed() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "env", "operator": "NotIn", "values": ["qa"]},
            {"key": "x", "operator": "Exists"},
            {"key": "a", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "!a,app=web,env notin (qa),tier in (a,b),x"
    assert selector_text({}) == selector_text(None) == ""


def test_dig_gives_the_default_for_what_is_absent_or_null() -> None:
    obj = {"a": [{"b": None}, {"b": 2}]}
    assert dig(obj, "a", 1, "b") == 2
    assert dig(obj, "a", 0, "b", default="x") == "x"
    assert dig(obj, "a", 5, "b", default="x") == "x"
    assert dig(obj, "z", "y") is None


def test_more_than_the_limit_is_counted() -> None:
    assert with_more(["a", "b"], 5, 2) == "a,b + 3 more..."
    assert with_more(["a", "b"], 2, 2) == "a,b"


def test_ipv6_endpoints_stand_in_brackets() -> None:
    assert host_port("fd00::1", 80) == "[fd00::1]:80"
    assert host_port("10.0.0.1", 80) == "10.0.0.1:80"
