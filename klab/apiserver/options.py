"""The options of writes, deletions and logs, as they come in a query or a body (apimachinery meta/v1 types.go, core/v1 PodLogOptions). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from klab.apiserver.decode import FieldValidation, check_mode
from klab.apiserver.status import refuse
from klab.apiserver.target import parse_bool
from klab.errors import Fault, InvalidManifestError, UsageError


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write; `warnings` gathers what the client should be told besides."""

    field_validation: FieldValidation = "Warn"
    field_manager: str = ""
    force: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions; the propagation policy (None: the kind's own) becomes a finalizer that the garbage collector goes by."""

    grace_period_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    propagation_policy: str | None = None


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a container's log is wanted (PodLogOptions); times are RFC 3339."""

    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    limit_bytes: int | None = None


def parse_delete_options(options: Mapping[str, Any]) -> DeleteOptions:
    """Read metav1.DeleteOptions; InvalidManifestError for values that there are not."""
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise refuse("BadRequest", f"gracePeriodSeconds must be a whole number, not {grace!r}")
    policy = options.get("propagationPolicy")
    if policy not in (None, "Orphan", "Background", "Foreground"):
        words = f'Unsupported value: "{policy}": supported values: "Background", "Foreground", "Orphan"'
        raise InvalidManifestError([Fault("", "propagationPolicy", words)])
    conditions = options.get("preconditions") or {}
    return DeleteOptions(grace, conditions.get("uid"), conditions.get("resourceVersion"), policy)


def merge_delete_options(options: dict[str, Any], query: Mapping[str, str]) -> DeleteOptions:
    """Take the options of a deletion from the body, else from the query."""
    if "gracePeriodSeconds" in query:
        text = query["gracePeriodSeconds"]
        if not text.removeprefix("-").isdecimal():
            raise UsageError(f"gracePeriodSeconds must be a whole number, not {text!r}")
        options.setdefault("gracePeriodSeconds", int(text))
    if "propagationPolicy" in query:
        options.setdefault("propagationPolicy", query["propagationPolicy"])
    return parse_delete_options(options)


def parse_write_options(query: Mapping[str, str]) -> WriteOptions:
    """Read CreateOptions, UpdateOptions or PatchOptions; dryRun is the transaction's."""
    return WriteOptions(
        field_validation=check_mode(query.get("fieldValidation", "")),
        field_manager=query.get("fieldManager", ""),
        force=parse_bool(query.get("force", "")),
    )


def parse_log_options(query: Mapping[str, str], pod: Mapping[str, Any]) -> LogOptions:
    """Read PodLogOptions, and find the container that is meant (registry/core/pod/strategy.go LogLocation)."""
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    first = [container["name"] for container in spec.get("containers") or ()]
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    container = query.get("container", "")
    if not container:
        if len(first) != 1:
            others = f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
            raise UsageError(f"a container name must be specified for pod {name}, choose one of: [{' '.join(first)}]{others}")
        container = first[0]
    if container not in (*first, *initial):
        raise UsageError(f"container {container} is not valid for pod {name}")
    numbers: dict[str, int | None] = {}
    for option in ("tailLines", "sinceSeconds", "limitBytes"):
        text = query.get(option)
        if text is not None and not text.isdecimal():
            raise InvalidManifestError([Fault("", option, f'Invalid value: "{text}": must be greater than or equal to 0')])
        numbers[option] = None if text is None else int(text)
    return LogOptions(
        container,
        follow=parse_bool(query.get("follow", "")),
        previous=parse_bool(query.get("previous", "")),
        timestamps=parse_bool(query.get("timestamps", "")),
        tail_lines=numbers["tailLines"],
        since_seconds=numbers["sinceSeconds"],
        since_time=query.get("sinceTime", ""),
        limit_bytes=numbers["limitBytes"],
    )
