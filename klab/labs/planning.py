"""`klab plan` and `klab explain`: what would be done, and what stands, as the commands a person would type, each with its reason."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from klab.api import resources
from klab.api.lab import Lab
from klab.api.pod import Pod
from klab.api.resources import Resource
from klab.apiserver import bulk
from klab.apiserver.admission import make_chain
from klab.apiserver.rest import Hooks, Rest
from klab.cluster import settle
from klab.cluster.allocation import ServiceAllocation
from klab.cluster.desired import plan_everything
from klab.cluster.ingress import DefaultIngressClass, explain_ingress, make_ingress_controllers
from klab.cluster.proxies import Proxies, service_owner
from klab.cluster.topology import UNDERLAY, Topology, node_owner, pod_owner
from klab.cluster.wiring import look
from klab.controlplane.controllers.catalog import make_controllers
from klab.controlplane.events import Recorder
from klab.controlplane.manager import Controller, Manager
from klab.controlplane.store import Store
from klab.controlplane.views import PodViews
from klab.errors import NotFoundError
from klab.kernel.rundir import RunDir
from klab.labs.applying import plan_application
from klab.labs.snapshot import PODS, open_snapshot
from klab.linux.diff import Operation, diff
from klab.linux.names import qualified

_ROUNDS = 20
"""So often controllers may build on what others made (a CronJob's Job's pods' endpoints …) before `plan` takes what there is."""


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
    settle.seed(store, lab, [Pod.of(document.obj) for document in documents if document.obj["kind"] == "Pod"], os.uname().release)
    application = plan_application(lab, rundir, documents, partial(_exists, store))
    rest = Rest(store, Hooks(admit=make_chain(ServiceAllocation(store, lab), DefaultIngressClass(store, lab))))
    with store.batch():
        bulk.apply_all(rest, [bulk.Entry(where, dict(obj)) for where, obj in application.entries])
    topology, views = settle.topology_of(store, lab, rundir), PodViews()
    _imagine(store, topology, views, make_ingress_controllers(store, lab, rundir))
    wanted = [item for owned in plan_everything(store, topology, Proxies(store, lab), views).values() for item in owned]
    standing = look(rundir, wanted) if rundir.exists() else {}
    return _steps(diff(wanted, standing), lambda name: qualified(lab.name, name))


def explain(lab: str, resource: Resource, namespace: str | None, name: str) -> list[Step]:
    """Say what stands in the kernel for an object: a pod, a node, a Service on all nodes, or the lab's underlay (kind Lab).

    For an Ingress that is the configuration of the program that serves it.
    """
    rundir = RunDir(lab)
    store = open_snapshot(rundir)
    store.get(resource, namespace, name)
    settings = settle.lab_of(store)
    if resource.kind == "Ingress":
        return [Step("create", why, lines) for why, lines in explain_ingress(store, settings, (namespace or "default", name))]
    desired = plan_everything(store, settle.topology_of(store, settings, rundir), Proxies(store, settings), PodViews())
    nodes = [node["metadata"]["name"] for node in store.list(settle.NODES)]
    owners = {
        "Pod": [pod_owner(namespace or "default", name)],
        "Node": [node_owner(name)],
        "Lab": [UNDERLAY],
        "Service": [service_owner(node, (namespace or "default", name)) for node in nodes],
    }.get(resource.kind, [])
    items = [item for owner in owners for item in desired.get(owner, ())]
    if not items:
        raise NotFoundError(f'nothing stands in the kernel for {resource.singular} "{name}"')
    return _steps(diff(items, {}), lambda netns: qualified(lab, netns))


def _exists(store: Store, obj: Mapping[str, Any]) -> bool:
    try:
        store.get(resources.of(obj["apiVersion"], obj["kind"]), obj["metadata"]["namespace"], obj["metadata"]["name"])
    except NotFoundError:
        return False
    return True


def _imagine(store: Store, topology: Topology, views: PodViews, more: Sequence[Controller]) -> None:
    """Let the control plane's steps happen in a copy of the store, where every pod that has a node and an address runs at once.

    `more` controllers work beside those that every lab has.
    """
    recorder = Recorder(store, lambda: datetime.now(UTC))
    manager = Manager(store, [*make_controllers(store, views, recorder, time.time), *more], time.time)
    for _ in range(_ROUNDS):
        before = store.revision
        manager.run()
        settle.schedule(store, views, recorder)
        settle.give_addresses(store, views, topology)
        with store.batch():
            for obj in store.list(PODS):
                if obj["status"].get("podIPs") and obj["status"].get("phase") == "Pending":
                    ready = [{"type": "Ready", "status": "True"}]
                    store.update(PODS, {**obj, "status": {**obj["status"], "phase": "Running", "conditions": ready}}, "status")
        if store.revision == before:
            return


def _steps(operations: Iterable[Operation], q: Callable[[str], str]) -> list[Step]:
    return [Step(step.verb, step.why, lines) for step in operations if (lines := step.lines(q))]
