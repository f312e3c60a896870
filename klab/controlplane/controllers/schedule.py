"""Schedules of CronJobs: five fields as cron has them, @hourly and its like, @every (the grammar of robfig/cron's ParseStandard). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from klab.errors import UsageError

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 7, _DAYS))
_HORIZON = timedelta(days=5 * 366)
"""A schedule without a moment in that time has none at all (31 February)."""


@dataclass(frozen=True, slots=True)
class Every:
    """A moment each so many seconds."""

    seconds: float

    def next(self, after: float) -> float | None:
        """Give the next moment after one, in whole seconds since 1970."""
        return float(int(after)) + self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments whose minute, hour, month and day are among these; `any_day` of a field tells that it is a plain star.

    If both days are restricted, one of them has to match.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    zone: tzinfo

    def next(self, after: float) -> float | None:
        """Give the next moment after one, in seconds since 1970, None where there is none; what a change of the clocks skips does not happen."""
        start = datetime.fromtimestamp(after, self.zone).date()
        for number in range(_HORIZON.days):
            day = start + timedelta(days=number)
            found = min((moment for moment in self._moments(day) if moment > after), default=None) if self._has(day) else None
            if found is not None:
                return found
        return None

    def _has(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_month and in_week if self.any_day or self.any_weekday else in_month or in_week

    def _moments(self, day: date) -> Iterator[float]:
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0, 1):  # both of an hour that the clocks repeat
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone, fold=fold)
                    if local.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                        yield local.timestamp()


Schedule = Every | Cron


def parse_schedule(text: str, zone: str = "") -> Schedule:
    """Parse a schedule, in a time zone by its IANA name (UTC without one); UsageError says what is wrong."""
    where = parse_zone(zone) if zone else UTC
    text = text.strip()
    if text.startswith("@every "):
        return Every(max(1.0, float(int(_parse_duration(text.removeprefix("@every ").strip())))))
    if text.startswith("@") and text not in _WORDS:
        raise UsageError(f"unrecognized descriptor: {text}")
    fields = _WORDS.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise UsageError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = (
        _parse_field(field, least, most, names) for field, (least, most, names) in zip(fields, _FIELDS, strict=True)
    )
    weekdays = frozenset(day % 7 for day in weekdays)
    return Cron(minutes, hours, days, months, weekdays, _is_star(fields[2]), _is_star(fields[4]), where)


def parse_zone(name: str) -> tzinfo:
    """Find a time zone; UsageError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"unknown time zone {name}") from error


def find_latest(schedule: Schedule, since: float, now: float) -> tuple[float | None, int]:
    """Give the last moment after `since` and until `now`, None where there is none, and about how many there were (mostRecentScheduleTime)."""
    first = schedule.next(since)
    if first is None or first > now:
        return None, 0
    second = schedule.next(first)
    if second is None or second > now:
        return first, 1
    step = second - first
    missed = int((now - first) // step) + 1
    latest = first
    following = schedule.next(max(first, first + (missed - 2) * step))
    if following is None or following > now:
        following = second
    while following is not None and following <= now:
        latest, following = following, schedule.next(following)
    return latest, missed


def _parse_duration(text: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"failed to parse duration @every {text}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _parse_field(text: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    return frozenset(value for part in text.split(",") for value in _parse_range(part, least, most, names))


def _parse_range(text: str, least: int, most: int, names: dict[str, int]) -> range:
    """Parse `*`, `5`, `1-5`, each with a `/step`; a lone number with a step goes on to the end."""
    span, slash, pace = text.partition("/")
    first, dash, last = span.partition("-")
    if slash and not (pace.isdecimal() and int(pace)):
        raise UsageError(f"step of range should be a positive number: {text}")
    if _is_star(span):
        start, end = least, most - (1 if names is _DAYS else 0)
    else:
        start = _parse_value(first, names)
        end = _parse_value(last, names) if dash else most if slash else start
    if not least <= start <= end <= most:
        raise UsageError(f"range {span} is not within {least}-{most}: {text}")
    return range(start, end + 1, int(pace or 1))


def _parse_value(text: str, names: dict[str, int]) -> int:
    if text.isdecimal():
        return int(text)
    if text.lower() not in names:
        raise UsageError(f"failed to parse int from {text}")
    return names[text.lower()]


def _is_star(text: str) -> bool:
    return text in {"*", "?"}
