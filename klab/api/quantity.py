"""Kubernetes quantities: "500m", "1Gi", "1e3" (apimachinery's pkg/api/resource/quantity.go)."""

from __future__ import annotations

import re
from decimal import Decimal
from math import ceil

_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?")
_SCALE = {
    "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3, "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(1 << 10), "Mi": Decimal(1 << 20), "Gi": Decimal(1 << 30), "Ti": Decimal(1 << 40), "Pi": Decimal(1 << 50), "Ei": Decimal(1 << 60),
}  # fmt: skip


def parse_quantity(value: str | float) -> Decimal:
    """Give the exact number that `value` stands for; ValueError in Kubernetes' words if it is no quantity."""
    found = _PATTERN.fullmatch(str(value))
    if found is None:
        raise ValueError(r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix = found.groups()
    if not suffix:
        return Decimal(number)
    return Decimal(number) * _SCALE[suffix] if suffix in _SCALE else Decimal(number + suffix)


def is_quantity(value: str | float) -> bool:
    """Tell whether `value` is a quantity."""
    return _PATTERN.fullmatch(str(value)) is not None


def milli(value: str | float) -> int:
    """Give a quantity in thousandths, rounded up: the unit that CPU is counted in."""
    return ceil(parse_quantity(value) * 1000)


def whole(value: str | float) -> int:
    """Give a quantity in units, rounded up: bytes, pods."""
    return ceil(parse_quantity(value))
