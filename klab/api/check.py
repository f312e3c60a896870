"""From files to a checked scenario: `read`; and the checks of a single object for the API server: `check_object`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from klab.api.checks import network, pod, workload
from klab.api.checks.lab import check_lab
from klab.api.checks.meta import check_meta
from klab.api.checks.objects import check_config_map, check_custom_resource_definition, check_node, check_secret
from klab.api.checks.scenario import check_scenario
from klab.api.lab import Lab
from klab.api.lab_parse import parse_lab
from klab.api.load import Document, collect
from klab.api.reader import Faults, Reader
from klab.api.resources import BUILTIN, Registry
from klab.api.schema import validate
from klab.errors import Fault, InvalidManifestError


@dataclass(frozen=True, slots=True)
class Scenario:
    """A lab and the Kubernetes objects in it, checked; the Lab document is not among `documents`."""

    lab: Lab
    documents: tuple[Document, ...]


def read(sources: Sequence[str], stdin: TextIO | None = None) -> Scenario:
    """Load, validate and check manifests; InvalidManifestError with every fault of all of them."""
    documents, faults = collect(sources, stdin)
    lab_object = next((document.obj for document in documents if document.resource.kind == "Lab"), None)
    lab, _ = parse_lab(lab_object)
    for document in documents:
        faults.extend(Fault(document.where, path, message) for path, message in validate(document.obj))
    faults.extend(check(documents, lab))
    if faults:
        raise InvalidManifestError(_in_order(faults, documents))
    return Scenario(lab, tuple(document for document in documents if document.resource.kind != "Lab"))


def check(documents: Sequence[Document], lab: Lab) -> list[Fault]:
    """Give every fault beyond the schema: of each object, and of all together in `lab`."""
    faults = [Fault(document.where, path, message) for document in documents for path, message in check_object(document.obj)]
    if not any(document.resource.kind == "Lab" for document in documents):
        faults.extend(Fault("the lab by default", path, message) for path, message in _check_lab_object(lab.to_object()))
    return [*faults, *check_scenario(documents, lab)]


def check_object(obj: Mapping[str, Any], registry: Registry = BUILTIN) -> Faults:
    """Give every fault of one object beyond the schema as (path, message); defaults may be filled in or not."""
    resource = registry.find(str(obj.get("apiVersion")), str(obj.get("kind")))
    if resource is None:
        return []
    reader = Reader(obj)
    check_meta(reader.mapping("metadata"), resource)
    check_kind = _CHECKS.get((resource.group, resource.kind))
    if check_kind is not None:
        check_kind(reader)
    return reader.faults


def _check_lab_object(obj: Mapping[str, Any]) -> Faults:
    reader = Reader(obj)
    _check_lab(reader)
    return reader.faults


def _check_lab(reader: Reader) -> None:
    lab, faults = parse_lab(reader.raw)
    reader.faults.extend(faults)
    check_lab(lab, reader)


def _in_order(faults: Iterable[Fault], documents: Sequence[Document]) -> list[Fault]:
    """Give each fault once: those of files first, then those of the documents in their order."""
    place = {document.where: index for index, document in enumerate(documents)}
    return sorted(dict.fromkeys(faults), key=lambda fault: place.get(fault.where, -1))


_CHECKS: Mapping[tuple[str, str], Callable[[Reader], None]] = {
    ("", "Pod"): pod.check_pod,
    ("", "Service"): network.check_service,
    ("", "Endpoints"): network.check_endpoints,
    ("", "ConfigMap"): check_config_map,
    ("", "Secret"): check_secret,
    ("", "Node"): check_node,
    ("", "ReplicationController"): workload.check_replication_controller,
    ("apps", "Deployment"): workload.check_deployment,
    ("apps", "ReplicaSet"): workload.check_replica_set,
    ("apps", "DaemonSet"): workload.check_daemon_set,
    ("apps", "StatefulSet"): workload.check_stateful_set,
    ("batch", "Job"): workload.check_job,
    ("batch", "CronJob"): workload.check_cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): workload.check_autoscaler,
    ("policy", "PodDisruptionBudget"): workload.check_disruption_budget,
    ("discovery.k8s.io", "EndpointSlice"): network.check_endpoint_slice,
    ("networking.k8s.io", "Ingress"): network.check_ingress,
    ("networking.k8s.io", "NetworkPolicy"): network.check_network_policy,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): check_custom_resource_definition,
    ("klab.dev", "Lab"): _check_lab,
}
