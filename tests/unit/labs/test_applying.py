"""What `up` applies beside the manifests, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from klab.api.lab_parse import parse_lab
from klab.kernel.rundir import RunDir
from klab.labs.applying import Application, Object, plan_application


@dataclass(frozen=True, slots=True)
class Document:
    where: str
    obj: dict[str, Any]


LAB = Document("f.yaml, document 1", {"kind": "Lab", "metadata": {"name": "unit"}})
POD = Document("f.yaml, document 2", {"kind": "Pod", "metadata": {"name": "web"}})


def plan(*documents: Document, exists: Callable[[Object], bool] = lambda _: False, **dns: str) -> Application:
    lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": {"dns": dns}})
    assert not faults
    return plan_application(lab, RunDir("unit"), documents, exists)


def names(application: Application) -> list[str]:
    return [f"{obj['kind']}/{obj['metadata']['name']}" for _where, obj in application.entries]


def test_the_systems_service_comes_first_and_its_pods_last() -> None:
    application = plan(LAB, POD)
    assert names(application) == ["ServiceAccount/coredns", "ConfigMap/coredns", "Service/kube-dns", "Pod/web", "Deployment/coredns"]
    assert application.entries[application.manifests] == [("f.yaml, document 2", POD.obj)]


def test_what_is_there_stays_as_it_is() -> None:
    application = plan(POD, exists=lambda obj: obj["kind"] != "Service")
    assert names(application) == ["Service/kube-dns", "Pod/web"]
    assert application.entries[application.manifests] == [("f.yaml, document 2", POD.obj)]


def test_the_files_own_objects_stand_for_the_systems() -> None:
    own = Document("f.yaml, document 3", {"kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system"}})
    application = plan(POD, own)
    assert names(application)[-2:] == ["Pod/web", "Deployment/coredns"]
    assert names(application).count("Deployment/coredns") == 1
    other = Document("f.yaml, document 3", {"kind": "Deployment", "metadata": {"name": "coredns"}})
    assert names(plan(POD, other)).count("Deployment/coredns") == 2


def test_a_lab_without_dns_applies_the_files_alone() -> None:
    assert names(plan(LAB, POD, server="none")) == ["Pod/web"]
