"""What `cordon`, `uncordon` and `drain` do with nodes (kubectl pkg/cmd/drain/drain.go, pkg/drain/drain.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.drain import DrainOptions, plan_drain
from klab.api.resources import Resource, by_word
from klab.cli.backend import Api, Object
from klab.cli.following import Deadline, Key, follow, key_of
from klab.cli.render import out_line, print_error, say, warn
from klab.cli.results import Report
from klab.errors import KlabError, NotFoundError, UsageError

RETRY_SECONDS = 5
"""After this time, or as soon as another pod of the node is gone, a pod that a PodDisruptionBudget protects is asked for again."""

_PODS = by_word("pods")
_NODES = by_word("nodes")


@dataclass(frozen=True, slots=True)
class Manner:
    """How to take pods away: `grace` seconds (None: the pod's own), by eviction or by deletion."""

    options: DrainOptions
    grace: int | None
    evict: bool
    pod_selector: str
    dry_run: str

    @property
    def done(self) -> str:
        """Give the word for a pod that is gone."""
        return "evicted" if self.evict else "deleted"


def find_nodes(api: Api, words: Sequence[str] | None, selector: str | None, verb: str) -> list[Object]:
    """Give the nodes that are named (`node1`, `node/node1`) or chosen by labels; NotFoundError before anything is done."""
    if not words and not selector:
        raise UsageError(f"USAGE: {verb} NODE [flags]")
    if words and selector:
        raise UsageError("cannot specify both a node name and a --selector option")
    if selector:
        found: list[Object] = api.list(_NODES, None, selector)["items"]
        return found
    return [api.get(_NODES, None, _node_name(word)) for word in words or ()]


def _node_name(word: str) -> str:
    kind, slash, name = word.partition("/")
    if slash and by_word(kind) != _NODES:
        raise UsageError(f'expected resource of type node, got "{word}"')
    return name if slash else word


def cordon(api: Api, nodes: Sequence[Object], report: Report, dry_run: str, *, desired: bool) -> list[KlabError]:
    """Make nodes unschedulable, or schedulable again; give what went wrong."""
    word = "cordoned" if desired else "uncordoned"
    errors: list[KlabError] = []
    for node in nodes:
        name = node["metadata"]["name"]
        if bool((node.get("spec") or {}).get("unschedulable")) == desired:
            report(node, f"already {word}")
            continue
        try:
            if dry_run != "client":
                api.patch(_NODES, None, name, {"spec": {"unschedulable": desired or None}}, dry_run=dry_run == "server")
        except KlabError as error:
            errors.append(KlabError(f'unable to {word.removesuffix("ed")} node "{name}": {error}'))
            continue
        report(node, word)
    return errors


def drain(api: Api, nodes: Sequence[Object], report: Report, manner: Manner, deadline: Deadline) -> list[KlabError]:
    """Take the pods of each node away; give what went wrong."""
    pending: list[str] = []
    errors: list[KlabError] = []
    for node in nodes:
        name = node["metadata"]["name"]
        failures = _drain_one(api, name, report, manner, deadline)
        if failures:
            text = failures[0] if len(failures) == 1 else f"[{', '.join(map(str, failures))}]"
            print_error(f'unable to drain node "{name}" due to error: {text}, continuing command...')
            pending.append(name)
            errors += failures
        else:
            report(node, "drained")
    if pending:
        say("\n".join(("There are pending nodes to be drained:", *(f" {name}" for name in pending))))
    return errors


def _drain_one(api: Api, node: str, report: Report, manner: Manner, deadline: Deadline) -> list[KlabError]:
    pods = api.list(_PODS, None, manner.pod_selector, f"spec.nodeName={node}")["items"]
    plan = plan_drain(pods, api.list(by_word("daemonsets"))["items"], manner.options)
    if plan.errors:
        return [KlabError(error) for error in plan.errors]
    if plan.warnings:
        warn(plan.warnings)
    if manner.dry_run == "client":
        for pod in plan.pods:
            out_line(f"evicting pod {'/'.join(key_of(pod))} (dry run)")
        return []
    removal = _Removal(api, report, manner, {key_of(pod): pod for pod in plan.pods})
    failures = removal.run(node, deadline)
    if failures and removal.waiting:
        text = failures[0] if len(failures) == 1 else f"[{', '.join(map(str, failures))}]"
        say(f'There are pending pods in node "{node}" when an error occurred: {text}')
        say("\n".join(f"pod/{name}" for _, name in removal.waiting))
    return failures


class _Removal:
    """The pods of one node on their way out: `waiting` are still there, of those `blocked` are not yet told to go."""

    def __init__(self, api: Api, report: Report, manner: Manner, pods: Mapping[Key, Object]) -> None:
        self.api = api
        self.report = report
        self.manner = manner
        self.waiting = dict(pods)
        self.blocked = list(pods)
        self.failures: list[KlabError] = []

    def run(self, node: str, deadline: Deadline) -> list[KlabError]:
        """Tell the pods to go and wait until all are gone; give what went wrong."""
        failed: set[Key] = set()
        while self.blocked or set(self.waiting) - failed:
            self.blocked = [key for key in self.blocked if not self._remove(key, failed)]
            if self.manner.dry_run == "server":
                return self.failures
            self._await_gone(node, deadline.within(RETRY_SECONDS) if self.blocked else deadline, failed)
            if deadline.is_over():
                break
        self.failures += [
            KlabError(f'error when waiting for pod "{name}" in namespace "{namespace}" to terminate: global timeout reached')
            for namespace, name in self.waiting
            if (namespace, name) not in failed
        ]
        return self.failures

    def _await_gone(self, node: str, deadline: Deadline, failed: set[Key]) -> None:
        """Watch the pods of the node until those that were told to go are gone, or the time is over."""
        left = set(self.waiting) - failed - set(self.blocked)
        if not left and not self.blocked:
            return
        for present in follow(self.api, _PODS, None, "", f"spec.nodeName={node}", deadline):
            gone = [key for key in left if key not in present or _uid(present[key]) != _uid(self.waiting[key])]
            for key in gone:
                left.discard(key)
                self.report(self.waiting.pop(key), self.manner.done)
            if (gone and self.blocked) or not (left or self.blocked):
                return

    def _remove(self, key: Key, failed: set[Key]) -> bool:
        """Tell a pod to go; False if it has to be asked again."""
        namespace, name = key
        try:
            if self.manner.evict:
                out_line(f"evicting pod {namespace}/{name}{' (server dry run)' if self.manner.dry_run == 'server' else ''}")
                evict(self.api, namespace, name, self.manner)
            elif self.manner.dry_run != "server":
                self.api.delete(_PODS, namespace, name, self.manner.grace)
        except NotFoundError:
            del self.waiting[key]
        except KlabError as error:
            if "disruption budget" in str(error):
                print_error(f'when evicting pods/"{name}" -n "{namespace}" (will retry after {RETRY_SECONDS}s): {error}', prefix="error ")
                return False
            failed.add(key)
            self.failures.append(KlabError(f'error when evicting pods/"{name}" -n "{namespace}": {error}'))
        return True


def evict(api: Api, namespace: str, name: str, manner: Manner) -> None:
    """Ask for the eviction of a pod: it is created below the pod's own path (the `eviction` subresource, policy/v1)."""
    evictions = Resource("", "v1", "Eviction", f"pods/{name}/eviction", "eviction")
    eviction: dict[str, Any] = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    if manner.grace is not None:
        eviction["deleteOptions"] = {"gracePeriodSeconds": manner.grace}
    api.create(evictions, eviction, dry_run=manner.dry_run == "server")


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))
