"""Which pods of a node `drain` takes away, and which forbid it (kubectl pkg/drain/filters.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.meta import Meta, describe

Raw = Mapping[str, Any]

_DAEMON_SET_FATAL = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
_DAEMON_SET_WARNING = "ignoring DaemonSet-managed Pods"
_LOCAL_STORAGE_FATAL = "Pods with local storage (use --delete-emptydir-data to override)"
_LOCAL_STORAGE_WARNING = "deleting Pods with local storage"
_UNMANAGED_FATAL = "cannot delete Pods that declare no controller (use --force to override)"
_UNMANAGED_WARNING = "deleting Pods that declare no controller"
_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """What the person who drains puts up with."""

    force: bool = False
    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """The pods to take away; what to warn of; what forbids it, in which case nothing is taken away."""

    pods: Sequence[Raw]
    warnings: str
    errors: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Verdict:
    delete: bool = True
    warning: str = ""
    error: str = ""


def plan_drain(pods: Iterable[Raw], daemon_sets: Iterable[Raw], options: DrainOptions) -> DrainPlan:
    """Choose among the pods of a node; `daemon_sets` are all there are."""
    existing = {(Meta.of(one).namespace, Meta.of(one).name) for one in daemon_sets}
    verdicts = [(pod, _judge(pod, existing, options)) for pod in pods]
    warnings = _grouped((verdict.warning, pod) for pod, verdict in verdicts)
    errors = _grouped((verdict.error, pod) for pod, verdict in verdicts)
    return DrainPlan([pod for pod, verdict in verdicts if verdict.delete], "; ".join(warnings), [f"cannot delete {error}" for error in errors])


def _judge(pod: Raw, daemon_sets: set[tuple[str, str]], options: DrainOptions) -> _Verdict:
    """Send a pod through kubectl's filters: the first that keeps it has the last word, else the last warning stands."""
    warning = ""
    for verdict in (
        _judge_daemon(pod, daemon_sets, options),
        _Verdict(delete=_MIRROR not in Meta.of(pod).annotations),
        _judge_storage(pod, options),
        _judge_controller(pod, options),
    ):
        if not verdict.delete:
            return verdict
        warning = verdict.warning
    return _Verdict(warning=warning)


def _judge_daemon(pod: Raw, daemon_sets: set[tuple[str, str]], options: DrainOptions) -> _Verdict:
    controller = Meta.of(pod).controller
    if controller is None or controller.kind != "DaemonSet" or _is_finished(pod):
        return _Verdict()
    if (Meta.of(pod).namespace, controller.name) not in daemon_sets:
        orphan = f'daemonsets.apps "{controller.name}" not found'
        return _Verdict(warning=orphan) if options.force else _Verdict(delete=False, error=orphan)
    if not options.ignore_daemonsets:
        return _Verdict(delete=False, error=_DAEMON_SET_FATAL)
    return _Verdict(delete=False, warning=_DAEMON_SET_WARNING)


def _judge_storage(pod: Raw, options: DrainOptions) -> _Verdict:
    if _is_finished(pod) or not any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
        return _Verdict()
    if not options.delete_emptydir_data:
        return _Verdict(delete=False, error=_LOCAL_STORAGE_FATAL)
    return _Verdict(warning=_LOCAL_STORAGE_WARNING)


def _judge_controller(pod: Raw, options: DrainOptions) -> _Verdict:
    if _is_finished(pod) or Meta.of(pod).controller is not None:
        return _Verdict()
    return _Verdict(warning=_UNMANAGED_WARNING) if options.force else _Verdict(delete=False, error=_UNMANAGED_FATAL)


def _is_finished(pod: Raw) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _grouped(messages: Iterable[tuple[str, Raw]]) -> list[str]:
    """Give each message once, with all its pods."""
    found: dict[str, list[str]] = {}
    for message, pod in messages:
        if message:
            found.setdefault(message, []).append(describe(pod).rpartition(" ")[2])
    return [f"{message}: {', '.join(names)}" for message, names in found.items()]
