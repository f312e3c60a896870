"""How kubectl writes single values: ages, labels, selectors, quantities as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from klab.api.selectors import Selector

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"

_CLOCK_SKEW = 2
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_UNITS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
_DURATION_STEPS: tuple[tuple[int, int, int | None], ...] = (
    (2 * _MINUTE, 1, None),
    (10 * _MINUTE, _MINUTE, 1),
    (180 * _MINUTE, _MINUTE, None),
    (8 * _HOUR, _HOUR, _MINUTE),
    (48 * _HOUR, _HOUR, None),
    (8 * _DAY, _DAY, _HOUR),
    (2 * _YEAR, _DAY, None),
    (8 * _YEAR, _YEAR, _DAY),
)
"""HumanDuration's steps: below so many seconds, the unit and the smaller unit written after it."""


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Give the field at `path` of a Kubernetes object, or `default` where it, or anything on the way, is absent or null."""
    for step in path:
        if isinstance(obj, Mapping):
            obj = obj.get(step)
        elif isinstance(obj, Sequence) and isinstance(step, int) and -len(obj) <= step < len(obj):
            obj = obj[step]
        else:
            return default
    return default if obj is None else obj


def parse_time(text: str) -> datetime:
    """Read a Kubernetes timestamp (RFC 3339: Time with seconds, MicroTime with microseconds)."""
    return datetime.fromisoformat(text).astimezone(UTC)


def duration_text(seconds: float) -> str:
    """Write a duration in two or three significant figures: `5s`, `3m12s`, `47h`, `2d4h` (apimachinery pkg/util/duration, HumanDuration)."""
    if seconds <= -_CLOCK_SKEW:
        return "<invalid>"
    total = max(int(seconds), 0)
    large, small = next(((large, small) for below, large, small in _DURATION_STEPS if total < below), (_YEAR, None))
    text = f"{total // large}{_UNITS[large]}"
    rest = total % large // small if small else 0
    return f"{text}{rest}{_UNITS[small]}" if small and rest else text


def since(timestamp: str | None, now: datetime) -> str:
    """Write the time from `timestamp` to `now`; `<unknown>` without a timestamp."""
    return duration_text((now - parse_time(timestamp)).total_seconds()) if timestamp else UNKNOWN


def age(obj: Mapping[str, Any], now: datetime) -> str:
    """Write the age of an object, the AGE column."""
    return since(dig(obj, "metadata", "creationTimestamp"), now)


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Write labels as `a=b,c=d`, sorted; `<none>` if there are none (apimachinery labels.FormatLabels)."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """Write a LabelSelector as `-l` takes it, `app=web,tier notin (a,b)`, sorted by key; empty text for an empty one."""
    return ",".join(str(one) for one in sorted(Selector.of(selector).requirements, key=lambda one: one.key))


def containers(pod_spec: Mapping[str, Any] | None) -> tuple[str, str]:
    """Give the CONTAINERS and IMAGES cells of wide tables."""
    found = dig(pod_spec, "containers") or ()
    return ",".join(one.get("name", "") for one in found), ",".join(one.get("image", "") for one in found)


def with_more(shown: Iterable[str], total: int, limit: int) -> str:
    """Join `shown`, the first `limit` of `total`; say how many more there are."""
    text = ",".join(shown)
    return f"{text} + {total - limit} more..." if total > limit else text


def conditions(obj: Mapping[str, Any]) -> dict[str, str]:
    """Give `status.conditions` as type -> status."""
    return {one.get("type", ""): one.get("status", "") for one in dig(obj, "status", "conditions") or ()}


def host_port(address: str, port: int) -> str:
    """Write an endpoint as Go's net.JoinHostPort does: IPv6 addresses in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
