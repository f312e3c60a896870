"""`klab up` and `klab down`: a lab comes, is adopted, goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from klab.api import resources
from klab.api.lab import Lab
from klab.api.pod import Pod
from klab.apiserver.client import Client
from klab.cluster import settle
from klab.controlplane.controllers.pods import is_ready
from klab.controlplane.store import Store
from klab.errors import ConflictError, KlabError, NotFoundError
from klab.kernel import daemon
from klab.kernel.journal import FileJournal
from klab.kernel.rundir import RunDir
from klab.labs.applying import plan_application
from klab.labs.preflight import check_machine
from klab.labs.snapshot import open_snapshot
from klab.labs.waiting import wait_for_coming

Progress = Callable[[int, int, str], None]
"""Told done, total and what is being done."""

_DNS_PODS = "k8s-app=kube-dns"
_INGRESS_PODS = "app.kubernetes.io/name={}-ingress"
_PROGRAM_SECONDS = 10


class Scenario(Protocol):
    """What klab.api.check.read gives."""

    @property
    def lab(self) -> Lab: ...  # noqa: D102
    @property
    def documents(self) -> Sequence[Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class UpResult:
    """What `up` did: `changed` counts objects created or configured, `repaired` kernel objects that had gone."""

    lab: str
    nodes: int
    pods: int
    ready: int
    changed: int
    repaired: Sequence[str]


def up(scenario: Scenario, *, keep: bool = False, on_progress: Progress) -> UpResult:
    """Bring a lab up, or bring one that is up to what the files say.

    What a failing first `up` made is taken back, unless `keep`.
    """
    lab, rundir = scenario.lab, RunDir(scenario.lab.name)
    objects = [document for document in scenario.documents if document.obj["kind"] != "Lab"]
    check_machine(lab, {document.obj["kind"] for document in objects})
    with rundir.locked():
        fresh = not rundir.exists()
        try:
            rundir.ensure()
            repaired = _ensure_control_plane(rundir, lab, [document.obj for document in objects])
            client = Client(rundir.api_socket)
            on_progress(0, len(objects), "applying manifests")
            application = plan_application(lab, rundir, scenario.documents, partial(_exists, client))
            results = client.apply_all(application.entries)[application.manifests]
            summary = _wait(client, on_progress)
            if lab.dns.server == "coredns" and _wait_for_programs(client, _DNS_PODS, any):
                summary = _wait(client, on_progress)
            if _wait_for_programs(client, _INGRESS_PODS.format(lab.ingress.controller), all):
                summary = _wait(client, on_progress)
            if summary["ready"] < summary["pods"] and wait_for_coming(client):
                summary = _wait(client, on_progress)
        except BaseException:
            if fresh and not keep:
                rundir.remove()
            raise
    changed = sum(applied["result"] != "unchanged" for applied in results)
    return UpResult(lab.name, len(lab.nodes), summary["pods"], summary["ready"], changed, repaired)


def down(name: str) -> bool:
    """Take a lab away with all that is left of it; False where there was nothing."""
    rundir = RunDir(name)
    with rundir.locked():
        return rundir.remove()


def _ensure_control_plane(rundir: RunDir, lab: Lab, objects: Sequence[Any]) -> Sequence[str]:
    """Start the control plane, or have the living one look after the kernel; give the repairs it made as command lines."""
    if rundir.control_process():
        stored = settle.lab_of(open_snapshot(rundir))
        if stored != lab:
            raise ConflictError(f'lab "{lab.name}" is up with other settings ({_difference(stored, lab)}); `klab down {lab.name}` first')
        return Client(rundir.api_socket).repair()
    store = Store(FileJournal(rundir.journal))
    adopted = bool(store.list(settle.LABS))
    pods = [Pod.of(obj) for obj in objects if obj["kind"] == "Pod"]
    settle.seed(store, lab, pods, os.uname().release)
    daemon.start("klab.apiserver", [rundir.lab], rundir.owner, rundir.control_log)
    return list(Client(rundir.api_socket).call("GET", "/klab/v1/adopted")["lines"]) if adopted else []


def _exists(client: Client, obj: Mapping[str, Any]) -> bool:
    try:
        client.get(resources.of(obj["apiVersion"], obj["kind"]), obj["metadata"]["namespace"], obj["metadata"]["name"])
    except NotFoundError:
        return False
    return True


def _wait(client: Client, on_progress: Progress) -> Any:
    """Follow the control plane until it has nothing to do; KlabError where the network could not be built."""
    while True:
        summary = client.call("GET", "/klab/v1/settled")
        if summary["failures"]:
            raise KlabError("\n".join(summary["failures"]))
        if summary["settled"]:
            return summary
        on_progress(summary["ready"], summary["pods"], "starting pods")


def _wait_for_programs(client: Client, selector: str, enough: Callable[[Iterable[bool]], bool]) -> bool:
    """Wait until enough (any, all) of the system's programs that were started are ready; False where they are already, or do not get so."""
    found = client.list(settle.PODS, "kube-system", selector)
    ready = {pod["metadata"]["name"]: is_ready(pod) for pod in found["items"] if pod["status"].get("phase") == "Running"}
    if not ready or enough(ready.values()):
        return False
    for _kind, pod in client.watch(
        settle.PODS, "kube-system", selector, resource_version=found["metadata"]["resourceVersion"], timeout=_PROGRAM_SECONDS
    ):
        ready[pod["metadata"]["name"]] = is_ready(pod)
        if enough(ready.values()):
            return True
    return False


def _difference(stored: Lab, lab: Lab) -> str:
    """Name the parts of the Lab document that differ."""
    parts = ("underlay", "network", "services", "dns", "ingress", "nodes")
    return ", ".join(f"spec.{part}" for part in parts if getattr(stored, part) != getattr(lab, part))
