"""Amounts of CPU and memory, summed over containers and pods, in Kubernetes' canonical form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from klab.api.quantity import is_quantity, parse_quantity
from klab.cli.printers.values import dig

Amounts = dict[str, Decimal]

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")


def quantity_text(value: str | float) -> str:
    """Write a quantity canonically: `0.5` as `500m`, `1024Mi` as `1Gi`; what is no quantity stays as it is."""
    return format_quantity(parse_quantity(value), binary=str(value).endswith("i")) if is_quantity(value) else str(value)


def format_quantity(value: Decimal, *, binary: bool) -> str:
    """Write an amount with the largest suffix that leaves a whole number (apimachinery pkg/api/resource, CanonicalizeBytes)."""
    if value == 0:
        return "0"
    if binary and abs(value) >= 1024 and value == int(value):  # noqa: PLR2004 - smaller ones are written as decimals
        whole, power = int(value), 0
        while whole % 1024 == 0 and power < len(_BINARY) - 1:
            whole, power = whole // 1024, power + 1
        return f"{whole}{_BINARY[power]}"
    whole, power = -int(-value * 10**9 // 1), 0
    while whole % 1000 == 0 and power < len(_DECIMAL) - 1:
        whole, power = whole // 1000, power + 1
    return f"{whole}{_DECIMAL[power]}"


def pod_amounts(pod: Mapping[str, Any], field: str) -> Amounts:
    """Give what a pod requests, or is limited to (`field`): its containers together, or its hungriest init container if that is more."""
    total = sum_amounts(_amounts(container, field) for container in dig(pod, "spec", "containers", default=()))
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in dig(pod, "spec", "initContainers", default=()):
        own = _amounts(container, field)
        if container.get("restartPolicy") == "Always":
            total, sidecars = sum_amounts((total, own)), sum_amounts((sidecars, own))
            own = {}
        initial = _merge(initial, sum_amounts((own, sidecars)), max)
    total = _merge(total, initial, max)
    overhead = {name: parse_quantity(value) for name, value in dig(pod, "spec", "overhead", default={}).items()}
    if field == "limits":
        overhead = {name: value for name, value in overhead.items() if total.get(name)}
    return sum_amounts((total, overhead))


def sum_amounts(amounts: Iterable[Amounts]) -> Amounts:
    """Add amounts up, resource by resource."""
    total: Amounts = {}
    for one in amounts:
        total = _merge(total, one, lambda left, right: left + right)
    return total


def _merge(left: Amounts, right: Amounts, combine: Callable[[Decimal, Decimal], Decimal]) -> Amounts:
    return {**left, **{name: combine(left[name], value) if name in left else value for name, value in right.items()}}


def _amounts(container: Mapping[str, Any], field: str) -> Amounts:
    return {name: parse_quantity(value) for name, value in dig(container, "resources", field, default={}).items()}


def qos_class(pod: Mapping[str, Any]) -> str:
    """Give the quality of service of a pod: Guaranteed, Burstable or BestEffort (k8s.io/kubectl/pkg/util/qos)."""
    if known := dig(pod, "status", "qosClass"):
        return str(known)
    found = [*dig(pod, "spec", "containers", default=()), *dig(pod, "spec", "initContainers", default=())]
    asked = [(_compute(_amounts(container, "requests")), _compute(_amounts(container, "limits"))) for container in found]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    guaranteed = all(set(limits) == {"cpu", "memory"} and requests in ({}, limits) for requests, limits in asked)
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(amounts: Amounts) -> Amounts:
    return {name: value for name, value in amounts.items() if name in ("cpu", "memory") and value > 0}
