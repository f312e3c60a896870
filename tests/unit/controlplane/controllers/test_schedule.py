"""When a schedule is due; the moments are those of robfig/cron's own tests and of the crontab manual."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from klab.controlplane.controllers.schedule import find_latest, parse_schedule
from klab.errors import UsageError


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def following(schedule: str, after: str, zone: str = "") -> str | None:
    found = parse_schedule(schedule, zone).next(at(after))
    return None if found is None else datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("schedule", "after", "found"),
    [
        ("* * * * *", "2026-03-01T12:00:00", "2026-03-01T12:01:00"),
        ("* * * * *", "2026-03-01T12:00:59", "2026-03-01T12:01:00"),
        ("*/15 * * * *", "2026-07-09T14:45:00", "2026-07-09T15:00:00"),
        ("20-35/15 * * * *", "2026-07-09T14:45:00", "2026-07-09T15:20:00"),
        ("5/20 * * * *", "2026-07-09T14:26:00", "2026-07-09T14:45:00"),
        ("0 0 * * *", "2026-12-31T23:59:45", "2027-01-01T00:00:00"),
        ("0 6,18 * * *", "2026-07-09T07:00:00", "2026-07-09T18:00:00"),
        ("0 0 29 2 *", "2026-07-09T23:35:00", "2028-02-29T00:00:00"),
        ("0 0 31 2 *", "2026-07-09T23:35:00", None),
        ("0 9 * * MON-FRI", "2026-03-06T10:00:00", "2026-03-09T09:00:00"),
        ("0 0 * feb mon", "2026-07-09T23:35:00", "2027-02-01T00:00:00"),
        ("0 0 1,15 * sun", "2026-06-01T00:00:00", "2026-06-07T00:00:00"),  # either day will do
        ("0 0 1,15 * *", "2026-06-02T00:00:00", "2026-06-15T00:00:00"),
        ("0 0 ? * 0", "2026-06-08T00:00:00", "2026-06-14T00:00:00"),
        ("0 0 * * 7", "2026-06-08T00:00:00", "2026-06-14T00:00:00"),
        ("0 0 */2 * mon", "2026-06-01T00:00:00", "2026-06-03T00:00:00"),  # a star with a step restricts too
        ("@hourly", "2026-06-01T00:30:00", "2026-06-01T01:00:00"),
        ("@weekly", "2026-06-01T00:30:00", "2026-06-07T00:00:00"),
        ("@yearly", "2026-06-01T00:30:00", "2027-01-01T00:00:00"),
        ("@every 1h30m", "2026-06-01T00:30:10", "2026-06-01T02:00:10"),
        ("@every 500ms", "2026-06-01T00:00:00", "2026-06-01T00:00:01"),
    ],
)
def test_the_next_moment(schedule: str, after: str, found: str | None) -> None:
    assert following(schedule, after) == found


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("2026-07-01T00:00:00", "2026-07-01T00:30:00"),  # summer: UTC+2
        ("2026-12-01T00:00:00", "2026-12-01T01:30:00"),
        ("2026-03-29T00:00:00", "2026-03-30T00:30:00"),  # 02:30 does not exist on 29 March
        ("2026-10-25T00:00:00", "2026-10-25T00:30:00"),
        ("2026-10-25T00:30:00", "2026-10-25T01:30:00"),  # and on 25 October it comes twice
    ],
)
def test_time_zones_and_their_clock_changes(after: str, found: str) -> None:
    assert following("30 2 * * *", after, "Europe/Berlin") == found


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * foo *", "5-1 * * * *", "*/0 * * * *", "@often"],
)
def test_bad_schedules(text: str) -> None:
    with pytest.raises(UsageError):
        parse_schedule(text)


def test_a_bad_time_zone() -> None:
    with pytest.raises(UsageError, match="unknown time zone Mars/Phobos"):
        parse_schedule("* * * * *", "Mars/Phobos")


@pytest.mark.parametrize(
    ("schedule", "since", "now", "found", "missed"),
    [
        ("0 * * * *", "2026-06-01T10:00:00", "2026-06-01T10:59:00", None, 0),
        ("0 * * * *", "2026-06-01T10:00:00", "2026-06-01T11:00:00", "2026-06-01T11:00:00", 1),
        ("0 * * * *", "2026-06-01T10:00:00", "2026-06-01T14:30:00", "2026-06-01T14:00:00", 4),
        ("30 6-16/4 * * 1-5", "2026-06-05T06:00:00", "2026-06-08T09:00:00", "2026-06-08T06:30:00", None),
        ("0 0 * * *", "2025-01-01T00:00:00", "2026-01-01T12:00:00", "2026-01-01T00:00:00", 365),
        ("@every 5m", "2026-06-01T10:00:30", "2026-06-01T10:16:00", "2026-06-01T10:15:30", 3),
    ],
)
def test_the_latest_moment(schedule: str, since: str, now: str, found: str | None, missed: int | None) -> None:
    latest, number = find_latest(parse_schedule(schedule), at(since), at(now))
    assert latest == (None if found is None else at(found))
    assert missed is None or number == missed
