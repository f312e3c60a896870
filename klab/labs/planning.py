"""`klab plan` and `klab explain`: what would be done, and what stands, as the commands a person would type, each with its reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from klab.api.lab import Lab
from klab.api.pod import Pod
from klab.api.resources import Resource
from klab.apiserver import bulk
from klab.apiserver.rest import Hooks, Rest
from klab.cluster import settle
from klab.cluster.topology import Topology, node_owner, pod_owner
from klab.controlplane.views import PodViews
from klab.cluster.wiring import look
from klab.controlplane.events import Recorder
from klab.controlplane.store import Store
from klab.errors import NotFoundError
from klab.kernel.rundir import RunDir
from klab.labs.snapshot import PODS, open_snapshot
from klab.linux.diff import Operation, diff
from klab.linux.names import qualified
from klab.linux.objects import KernelObject, Key


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as a person would type it: create, change or delete, the reason, the lines."""

    verb: str
    why: str
    lines: Sequence[str]


def plan(lab: Lab, documents: Sequence[Any]) -> list[Step]:
    """Say what `up` would do with these manifests; nothing is changed. Reading a lab that is up needs root."""
    rundir = RunDir(lab.name)
    store = open_snapshot(rundir) if rundir.exists() else Store(None)
    objects = [document for document in documents if document.obj["kind"] != "Lab"]
    settle.seed(store, lab, [Pod.of(document.obj) for document in objects if document.obj["kind"] == "Pod"], os.uname().release)
    with store.batch():
        bulk.apply_all(Rest(store, Hooks()), [bulk.Entry(document.where, document.obj) for document in objects])
    topology = settle.topology_of(store, lab, rundir)
    views = PodViews()
    settle.schedule(store, views, Recorder(store, lambda: datetime.now(UTC)))
    settle.give_addresses(store, views, topology)
    wanted = [item for objects in _desired(store, topology).values() for item in objects]
    standing: dict[Key, KernelObject] = {}
    if rundir.exists():
        standing = look(rundir, wanted)
    return _steps(diff(wanted, standing), lambda name: qualified(lab.name, name))


def explain(lab: str, resource: Resource, namespace: str | None, name: str) -> list[Step]:
    """Say what stands in the kernel for an object: a pod, a node, or the lab's underlay (kind Lab)."""
    rundir = RunDir(lab)
    store = open_snapshot(rundir)
    store.get(resource, namespace, name)
    owner = {"Pod": pod_owner(namespace or "default", name), "Node": node_owner(name), "Lab": "underlay"}.get(resource.kind)
    desired = _desired(store, settle.topology_of(store, settle.lab_of(store), rundir))
    if owner not in desired:
        raise NotFoundError(f'nothing stands in the kernel for {resource.singular} "{name}"')
    return _steps(diff(desired[owner], {}), lambda netns: qualified(lab, netns))


def _desired(store: Store, topology: Topology) -> dict[str, tuple[KernelObject, ...]]:
    desired = dict(topology.plan_base())
    for obj in store.list(PODS):
        pod = Pod.of(obj)
        desired[pod_owner(pod.namespace, pod.name)] = topology.plan_pod(pod)
    return desired


def _steps(operations: Iterable[Operation], q: Callable[[str], str]) -> list[Step]:
    return [Step(step.verb, step.why, lines) for step in operations if (lines := step.lines(q))]
