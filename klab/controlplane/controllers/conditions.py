"""The conditions of a workload's status: one of each type, the time of the last change of its status kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Condition = Mapping[str, Any]


def find_condition(status: Mapping[str, Any], kind: str) -> Condition | None:
    """Give the condition of a type, None where there is none."""
    return next((one for one in status.get("conditions") or () if one["type"] == kind), None)


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Tell whether the condition of a type is there and True."""
    found = find_condition(status, kind)
    return found is not None and found["status"] == "True"


def set_condition(conditions: Sequence[Condition], new: Condition) -> list[Condition]:
    """Give the conditions with a new one at the end; one of the same type, status and reason stays as it is (SetDeploymentCondition)."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    if old is not None and old["status"] == new["status"]:
        if old.get("reason") == new.get("reason"):
            return list(conditions)
        new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return [*drop_condition(conditions, new["type"]), new]


def drop_condition(conditions: Sequence[Condition], kind: str) -> list[Condition]:
    """Give the conditions without that of a type."""
    return [one for one in conditions if one["type"] != kind]
