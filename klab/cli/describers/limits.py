"""`describe` of what bounds a namespace: resource quotas and limit ranges."""

from __future__ import annotations

from collections.abc import Sequence

from klab.cli.describers.lookup import Lookup
from klab.cli.describers.quantities import quantity_text
from klab.cli.describers.text import Description, Object
from klab.cli.printers.values import dig

_LIMITS = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")
_LIMITS_HEADER = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio"
_LIMITS_RULE = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------"


def describe_quota(quota: Object, lookup: Lookup) -> str:
    """Describe a resource quota."""
    del lookup
    text = Description()
    text.field("Name", quota["metadata"]["name"])
    text.field("Namespace", quota["metadata"].get("namespace", ""))
    text.optional("Scopes", ", ".join(sorted(dig(quota, "spec", "scopes", default=()))))
    text.table(("Resource", "Used", "Hard"), _usage(quota), 0)
    return text.text()


def describe_limit_range(limit_range: Object, lookup: Lookup) -> str:
    """Describe a limit range."""
    del lookup
    text = Description()
    text.field("Name", limit_range["metadata"]["name"])
    text.field("Namespace", limit_range["metadata"].get("namespace", ""))
    text.line(_LIMITS_HEADER)
    text.line(_LIMITS_RULE)
    for row in _limits(limit_range):
        text.line("\t".join(row))
    return text.text()


def describe_quotas(text: Description, quotas: Sequence[Object]) -> None:
    """Add the quotas of a namespace."""
    text.line("Resource Quotas" if quotas else "No resource quota.")
    for quota in sorted(quotas, key=lambda one: str(one["metadata"]["name"])):
        text.field("Name", quota["metadata"]["name"], 1)
        text.optional("Scopes", ", ".join(sorted(dig(quota, "spec", "scopes", default=()))), 1)
        text.line("Resource\tUsed\tHard", 1)
        text.line("--------\t---\t---", 1)
        for row in _usage(quota):
            text.line("\t".join(row), 1)


def describe_limit_ranges(text: Description, limit_ranges: Sequence[Object]) -> None:
    """Add the limit ranges of a namespace."""
    text.line("Resource Limits" if limit_ranges else "No LimitRange resource.")
    if limit_ranges:
        text.line(f" {_LIMITS_HEADER}")
        text.line(f" {_LIMITS_RULE}")
    for row in (row for one in limit_ranges for row in _limits(one)):
        text.line(" " + "\t".join(row))


def _usage(quota: Object) -> list[tuple[str, str, str]]:
    hard, used = dig(quota, "status", "hard", default={}), dig(quota, "status", "used", default={})
    return [(name, quantity_text(used.get(name, 0)), quantity_text(hard[name])) for name in sorted(hard)]


def _limits(limit_range: Object) -> list[list[str]]:
    return [
        [limit.get("type", ""), name, *(quantity_text(dig(limit, field, name, default="-")) for field in _LIMITS)]
        for limit in dig(limit_range, "spec", "limits", default=())
        for name in sorted({name for field in _LIMITS for name in limit.get(field) or ()})
    ]
