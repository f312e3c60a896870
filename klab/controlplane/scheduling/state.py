"""What the scheduler knows of pods and nodes: requests, sums per node, host ports, and how many pods on each node match a selector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from klab.api.meta import Meta
from klab.api.pod import Container, Pod
from klab.api.quantity import milli, whole
from klab.api.selectors import Selector
from klab.controlplane.scheduling.node_affinity import NodeAffinity
from klab.controlplane.scheduling.pod_affinity import PodAffinity
from klab.controlplane.scheduling.taints import CORDON, Taint

DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What a container without requests counts for in scores, so that such pods spread too (pkg/scheduler/util/pod_resources.go)."""
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)
_MAX_SELECTORS = 128

Key = tuple[str, str]
Port = tuple[str, str, int]
Amounts = dict[str, int]

_milli = lru_cache(4096)(milli)
_whole = lru_cache(4096)(whole)


@dataclass(slots=True)
class PodInfo:
    """A pod as the plugins read it: `requests` in thousandths of a CPU, bytes and units, `counted` the CPU and memory it counts for in scores."""

    pod: Pod
    key: Key
    requests: Amounts
    counted: tuple[int, int]
    ports: tuple[Port, ...]
    node_affinity: NodeAffinity | None
    affinity: PodAffinity | None

    @classmethod
    def of(cls, pod: Pod) -> PodInfo:
        """Work out what the plugins need to know of a pod."""
        requests = calc_requests(pod)
        counted = calc_requests(pod, {"cpu": DEFAULT_MILLI_CPU, "memory": DEFAULT_MEMORY})
        ports = tuple(
            ("" if port.host_ip in _ANY_ADDRESS else port.host_ip, port.protocol, number)
            for container in pod.containers
            for port in container.ports
            if (number := port.host_port or (port.container_port if pod.host_network else 0))
        )
        affinity = PodAffinity.of(pod) if pod.affinity else None
        return cls(pod, (pod.namespace, pod.name), requests, (counted["cpu"], counted["memory"]), ports, NodeAffinity.of(pod), affinity)


def calc_requests(pod: Pod, missing: Mapping[str, int] | None = None) -> Amounts:
    """Add up a pod's requests: all containers and sidecars, or what an init container needs beside the sidecars before it, if that is more.

    `missing` is what a container counts for that does not say (component-helpers/resource/helpers.go PodRequests).
    """
    total: Amounts = {}
    for container in pod.containers:
        _add(total, _requests_of(container, missing))
    if pod.init_containers:
        sidecars: Amounts = {}
        most: Amounts = {}
        for container in pod.init_containers:
            own = _requests_of(container, missing)
            if container.restart_policy == "Always":
                _add(total, own)
                _add(sidecars, own)
                own = sidecars
            else:
                own = {name: own.get(name, 0) + sidecars.get(name, 0) for name in own.keys() | sidecars.keys()}
            most = {name: max(most.get(name, 0), own.get(name, 0)) for name in most.keys() | own.keys()}
        total = {name: max(total.get(name, 0), most.get(name, 0)) for name in total.keys() | most.keys()}
    return total


def _requests_of(container: Container, missing: Mapping[str, int] | None) -> Amounts:
    given = _amounts(container.requests) if container.requests or container.limits else {}
    if container.limits:
        given = _amounts(container.limits) | given  # as the API server defaults it
    return {**missing, **given} if missing else given


def _amounts(raw: Mapping[str, Any]) -> Amounts:
    return {name: _milli(amount) if name == "cpu" else _whole(amount) for name, amount in raw.items()}


def _add(total: Amounts, own: Mapping[str, int]) -> None:
    for name, amount in own.items():
        total[name] = total.get(name, 0) + amount


@dataclass(slots=True)
class NodeInfo:
    """A node and the sums over the pods on it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: Amounts
    pods: dict[Key, PodInfo] = field(default_factory=dict)
    requested: Amounts = field(default_factory=dict)
    counted_cpu: int = 0
    counted_memory: int = 0
    ports: dict[Port, int] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> NodeInfo:
        """Read a Node object."""
        meta, spec = Meta.of(node), node.get("spec") or {}
        taints = tuple(Taint(raw.get("key", ""), raw.get("value") or "", raw.get("effect", "")) for raw in spec.get("taints") or ())
        allocatable = _amounts((node.get("status") or {}).get("allocatable") or {})
        return cls(meta.name, meta.labels, tuple(taint for taint in taints if taint != CORDON), bool(spec.get("unschedulable")), allocatable)

    def add(self, info: PodInfo) -> None:
        """Count a pod in."""
        self.pods[info.key] = info
        _add(self.requested, info.requests)
        self.counted_cpu += info.counted[0]
        self.counted_memory += info.counted[1]
        for port in info.ports:
            self.ports[port] = self.ports.get(port, 0) + 1

    def remove(self, key: Key) -> PodInfo:
        """Count a pod out."""
        info = self.pods.pop(key)
        _add(self.requested, {name: -amount for name, amount in info.requests.items()})
        self.counted_cpu -= info.counted[0]
        self.counted_memory -= info.counted[1]
        for port in info.ports:
            self.ports[port] -= 1
            if not self.ports[port]:
                del self.ports[port]
        return info

    def has_free(self, ports: Iterable[Port]) -> bool:
        """Tell whether the host ports are free; a port without an address clashes with the same one on any address."""
        for address, protocol, number in ports:
            if ("", protocol, number) in self.ports or (address, protocol, number) in self.ports:
                return False
            if not address and any(used[1:] == (protocol, number) for used in self.ports):
                return False
        return True


class MatchCounts:
    """How many pods on each node match a selector; what was asked once is kept up to date."""

    def __init__(self) -> None:
        """Begin without pods."""
        self._pods: dict[str, dict[Key, tuple[Pod, str]]] = {}
        self._kept: dict[str, dict[tuple[Selector, bool], dict[str, int]]] = {}

    @property
    def namespaces(self) -> Iterable[str]:
        """Give the namespaces that have had pods."""
        return self._pods.keys()

    def add(self, pod: Pod, node: str) -> None:
        """Count a pod in."""
        self._pods.setdefault(pod.namespace, {})[pod.namespace, pod.name] = (pod, node)
        self._change(pod, node, 1)

    def remove(self, pod: Pod) -> None:
        """Count a pod out."""
        pod, node = self._pods[pod.namespace].pop((pod.namespace, pod.name))
        self._change(pod, node, -1)

    def of(self, namespace: str, selector: Selector, *, terminating: bool) -> Mapping[str, int]:
        """Give the counts by node's name, with or without pods that are being deleted."""
        kept = self._kept.setdefault(namespace, {})
        wanted = (selector, terminating)
        if wanted not in kept:
            if len(kept) >= _MAX_SELECTORS:
                del kept[next(iter(kept))]
            counts: dict[str, int] = {}
            for pod, node in self._pods.get(namespace, {}).values():
                if selector.matches(pod.labels) and (terminating or not pod.terminating):
                    counts[node] = counts.get(node, 0) + 1
            kept[wanted] = counts
        return kept[wanted]

    def _change(self, pod: Pod, node: str, by: int) -> None:
        labels = pod.labels
        for (selector, terminating), counts in self._kept.get(pod.namespace, {}).items():
            if (terminating or not pod.terminating) and selector.matches(labels):
                counts[node] = counts.get(node, 0) + by
