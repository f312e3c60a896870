"""Durations as Go writes them: `30s`, `1h30m`, `1.5h`, `-1s`, `0` (time.ParseDuration)."""

from __future__ import annotations

import re

from klab.errors import UsageError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)"
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART})+)")


def parse_duration(text: str, option: str) -> float:
    """Read a duration in seconds; UsageError names the option."""
    if not _DURATION.fullmatch(text):
        raise UsageError(f'invalid argument "{text}" for "{option}" flag: time: invalid duration; write 5s, 2m, 1h30m')
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
    return -total if text.startswith("-") else total
