"""`wait --for=condition=...` and `--for=jsonpath=...`: what to look for in an object (kubectl pkg/cmd/wait/{wait,condition,json}.go)."""

from __future__ import annotations

import re
from collections.abc import Callable

from klab.cli import jsonpath
from klab.cli.backend import Object
from klab.cli.jsonsteps import value_text
from klab.errors import KlabError, UsageError

Condition = Callable[[Object], bool]

_FORMAT = "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'"


def parse_condition(text: str) -> Condition:
    """Read what --for says; UsageError where it is neither a condition nor a path."""
    kind, _, rest = text.partition("=")
    if kind == "condition" and rest:
        name, _, status = rest.partition("=")
        return lambda obj: has_condition(obj, name, status or "true")
    if kind == "jsonpath" and rest:
        return _parse_path(rest)
    raise UsageError(f'unrecognized condition: "{text}"')


def has_condition(obj: Object, name: str, status: str) -> bool:
    """Tell whether the condition has the status; one that was written before the last change of the spec does not count."""
    given = obj.get("status") or {}
    condition = next((one for one in given.get("conditions") or () if str(one.get("type", "")).casefold() == name.casefold()), None)
    if condition is None or "status" not in condition:
        return False
    observed = condition.get("observedGeneration", given.get("observedGeneration"))
    if observed is not None and observed < obj["metadata"].get("generation", 0):
        return False
    return str(condition["status"]).casefold() == status.casefold()


def _parse_path(text: str) -> Condition:
    """Read `{.status.phase}=Running`; `==` inside of the path does not end it."""
    parts = ["".join(found) for found in _split(text)]
    if len(parts) > 2:  # noqa: PLR2004 - a path and a value
        raise UsageError(_FORMAT)
    template = jsonpath.parse_template(jsonpath.relaxed(parts[0]))
    wanted = parts[1].strip("'\"") if len(parts) > 1 else None
    if wanted == "":
        raise UsageError("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3")

    def is_met(obj: Object) -> bool:
        found = jsonpath.find(template, obj)
        if not found or not found[0]:
            return False
        if len(found) > 1 or len(found[0]) > 1:
            raise KlabError(f"given jsonpath expression matches more than one {'list' if len(found) > 1 else 'value'}")
        if wanted is None:
            return True
        if isinstance(found[0][0], dict | list):
            raise KlabError("jsonpath leads to a nested object or list which is not supported")
        return value_text(found[0][0]).strip() == wanted.strip()

    return is_met


def _split(text: str) -> list[list[str]]:
    """Split at single equal signs."""
    parts: list[list[str]] = [[]]
    for piece in re.findall(r"==|=|[^=]+", text):
        if piece == "=":
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts
