"""Label selectors and field selectors: what `-l`, `--field-selector`, a Service's `selector` and a LabelSelector choose.

Grammar and messages are apimachinery's (pkg/labels/selector.go, pkg/fields/selector.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.names import check_label_key, check_label_value
from klab.errors import UsageError

_BINARY = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SYMBOL = {"in": " in ", "notin": " notin ", "gt": ">", "lt": "<"}
_EXPRESSION_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_TOKEN = re.compile(r"\s*(?:(==|!=|[=!(),<>])|([^\s=!(),<>]+))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; `operator` is one of in, notin, =, ==, !=, gt, lt, exists, ! (does not exist)."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether `labels` fulfil it; a missing label fulfils the negative conditions."""
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value in self.values
            case "notin" | "!=":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        return value is not None and _compare(value, self.operator, self.values[0])

    def __str__(self) -> str:
        """Give it as a person types it."""
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
        return f"{self.key}{_SYMBOL.get(self.operator, self.operator)}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A conjunction of requirements; one without any matches everything, `NOTHING` matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Tell whether `labels` fulfil all requirements."""
        if self.nothing:
            return False
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        """Give it as `-l` takes it."""
        return ",".join(str(requirement) for requirement in self.requirements)

    @classmethod
    def of_labels(cls, labels: Mapping[str, str] | None) -> Selector:
        """Select what carries all of `labels`, as a Service or ReplicationController does; everything if there are none."""
        return cls(tuple(Requirement(key, "=", (value,)) for key, value in sorted((labels or {}).items())))

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> Selector:
        """Read a metav1.LabelSelector (matchLabels, matchExpressions): absent selects nothing, empty selects everything."""
        if raw is None:
            return NOTHING
        equal = cls.of_labels(raw.get("matchLabels")).requirements
        expressions = (
            Requirement(entry["key"], _EXPRESSION_OPERATORS[entry["operator"]], tuple(entry.get("values") or ()))
            for entry in raw.get("matchExpressions") or ()
        )
        return cls((*equal, *expressions))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def parse_selector(text: str) -> Selector:
    """Parse what `-l` takes: `app=web,tier!=db,env in (a,b),x,!y,n>3`; UsageError in kubectl's words."""
    tokens = _Tokens(text)
    requirements: list[Requirement] = []
    while True:
        found = tokens.peek()
        if not found and not requirements:
            return Selector()
        if not _is_word(found) and found != "!":
            expected = "identifier after ','" if requirements else "!, identifier, or 'end of string'"
            raise UsageError(f"found '{found}', expected: {expected}")
        try:
            requirements.append(_parse_requirement(tokens))
        except UsageError as error:
            raise UsageError(f"unable to parse requirement: {error}") from None
        found = tokens.take()
        if not found:
            return Selector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))
        if found != ",":
            raise UsageError(f"found '{found}', expected: ',' or 'end of string'")


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Conditions on fields: (path, wanted value, whether equal)."""

    terms: tuple[tuple[str, str, bool], ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Tell whether all named fields of `obj` have (or have not) the wanted values; an absent field is ""."""
        return all((_field(obj, path) == value) is equal for path, value, equal in self.terms)

    def __str__(self) -> str:
        """Give it as `--field-selector` takes it."""
        return ",".join(f"{path}{'=' if equal else '!='}{_escape(value)}" for path, value, equal in self.terms)

    def check(self, plural: str) -> None:
        """Refuse fields that the API server does not index for the resource `plural` (UsageError)."""
        known = _FIELDS.get(plural, frozenset()) | _COMMON_FIELDS
        for path, _, _ in self.terms:
            if path not in known:
                raise UsageError(f"field label not supported: {path}; for {plural} there are {', '.join(sorted(known))}")


_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
            "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {
            "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
            "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
        }
    ),
    "secrets": frozenset({"type"}),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
    "replicasets": frozenset({"status.replicas"}),
    "replicationcontrollers": frozenset({"status.replicas"}),
    "jobs": frozenset({"status.successful"}),
}  # fmt: skip


def parse_field_selector(text: str) -> FieldSelector:
    """Parse `metadata.name=web,status.phase!=Running`; a backslash takes the meaning from a comma, = or backslash. UsageError in kubectl's words."""
    terms = []
    for part in re.findall(r"(?:[^\\,]|\\.|\\$)+", text, re.DOTALL):
        found = re.match(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
        if found is None:
            raise UsageError(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = found.groups()
        terms.append((path, _unescape(value), operator != "!="))
    return FieldSelector(tuple(sorted(terms)))


class _Tokens:
    """The words and symbols of a selector; "" is its end."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._scan(text.rstrip()))
        self._position = 0

    @staticmethod
    def _scan(text: str) -> Iterator[str]:
        for found in _TOKEN.finditer(text):
            yield found[1] or found[2]

    def peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self) -> str:
        found = self.peek()
        self._position += 1
        return found


def _parse_requirement(tokens: _Tokens) -> Requirement:
    negated = tokens.peek() == "!"
    if negated:
        tokens.take()
    key = tokens.take()
    if not _is_word(key):
        raise UsageError(f"found '{key}', expected: identifier")
    if faults := check_label_key(key):
        raise UsageError(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
    if negated:
        return Requirement(key, "!")
    if tokens.peek() in {"", ","}:
        return Requirement(key, "exists")
    operator = {">": "gt", "<": "lt"}.get(found := tokens.take(), found)
    if operator not in _BINARY or found in {"gt", "lt"}:
        raise UsageError(f"found '{found}', expected: {', '.join(_BINARY)}")
    values = _parse_values(tokens) if operator in {"in", "notin"} else (_parse_value(tokens),)
    for index, value in enumerate(values):
        if operator in {"gt", "lt"} and not re.fullmatch(r"[+-]?\d+", value):
            raise UsageError(f"values[{index}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")
        if faults := check_label_value(value):
            raise UsageError(f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(faults)}')
    return Requirement(key, operator, values)


def _parse_value(tokens: _Tokens) -> str:
    if tokens.peek() in {"", ","}:
        return ""
    found = tokens.take()
    if not _is_word(found):
        raise UsageError(f"found '{found}', expected: identifier")
    return found


def _parse_values(tokens: _Tokens) -> tuple[str, ...]:
    """Parse `(a,b)`; nothing between two separators is the empty value."""
    found = tokens.take()
    if found != "(":
        raise UsageError(f"found '{found}' expected: '('")
    values = {_parse_listed(tokens)}
    while (found := tokens.take()) == ",":
        values.add(_parse_listed(tokens))
    if found != ")":
        raise UsageError(f"found '{found}', expected: ',' or ')'")
    return tuple(sorted(values))


def _parse_listed(tokens: _Tokens) -> str:
    return tokens.take() if _is_word(tokens.peek()) else ""


def _is_word(found: str) -> bool:
    return bool(found) and found[0] not in "=!(),<>"


def _compare(value: str, operator: str, bound: str) -> bool:
    try:
        number = int(value)
    except ValueError:
        return False
    return number > int(bound) if operator == "gt" else number < int(bound)


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)


def _unescape(value: str) -> str:
    bad = re.search(r"\\(?![\\,=]).?|=", re.sub(r"\\[\\,=]", "", value))
    if bad is None:
        return re.sub(r"\\([\\,=])", r"\1", value)
    problem = "unescaped character in value" if bad[0] == "=" else "invalid escape sequence"
    raise UsageError(f"invalid field selector: {problem}: {bad[0]}")


def _field(obj: Mapping[str, Any], path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
