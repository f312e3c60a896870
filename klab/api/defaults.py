"""What the API server fills into an object that passed validation: `default(obj)` (kubernetes pkg/apis/*/v1/defaults.go)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from klab.api.defaults_pod import default_pod, default_pod_spec, fill
from klab.api.meta import Object
from klab.api.resources import BUILTIN, Registry

Raw = dict[str, Any]

CLIENT_IP_SECONDS = 10800
_MAX_INT32 = (1 << 31) - 1


def default(obj: Mapping[str, Any], registry: Registry = BUILTIN) -> Object:
    """Give a copy of `obj` with every default filled in and null fields left out; a second time nothing changes."""
    result: Object = _copy(obj)
    resource = registry.find(str(obj.get("apiVersion")), str(obj.get("kind")))
    if resource is not None and resource.namespaced:
        fill(result.setdefault("metadata", {}), namespace="default")
    filler = _FILLERS.get((resource.group, resource.kind)) if resource is not None else None
    if filler is not None:
        filler(result)
    return result


def _copy(value: Any) -> Any:
    """Copy deeply; null fields are absent ones."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _spec(obj: Raw) -> Raw:
    spec: Raw = obj.setdefault("spec", {})
    return spec


def _template(spec: Raw) -> None:
    default_pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _deployment(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, replicas=1, strategy={}, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    fill(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        fill(spec["strategy"], rollingUpdate={})
        fill(spec["strategy"]["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _replica_set(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, replicas=1)
    _template(spec)


def _replication_controller(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, replicas=1)
    labels = (spec.get("template", {}).get("metadata") or {}).get("labels")
    if labels:
        spec["selector"] = spec.get("selector") or dict(labels)
        obj["metadata"]["labels"] = obj["metadata"].get("labels") or dict(labels)
    _template(spec)


def _daemon_set(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, updateStrategy={}, revisionHistoryLimit=10)
    fill(spec["updateStrategy"], type="RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        fill(spec["updateStrategy"], rollingUpdate={})
        fill(spec["updateStrategy"]["rollingUpdate"], maxUnavailable=1, maxSurge=0)
    _template(spec)


def _stateful_set(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, podManagementPolicy="OrderedReady", updateStrategy={}, replicas=1, revisionHistoryLimit=10, persistentVolumeClaimRetentionPolicy={})
    fill(spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain")
    if not spec["updateStrategy"].get("type"):
        fill(spec["updateStrategy"], type="RollingUpdate", rollingUpdate={})
    if spec["updateStrategy"]["type"] == "RollingUpdate" and "rollingUpdate" in spec["updateStrategy"]:
        fill(spec["updateStrategy"]["rollingUpdate"], partition=0)
    for claim in spec.get("volumeClaimTemplates") or ():
        fill(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        _persistent_volume_claim(claim)
    _template(spec)


def _job(obj: Raw) -> None:
    spec = _spec(obj)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(
        spec,
        parallelism=1,
        backoffLimit=_MAX_INT32 if spec.get("backoffLimitPerIndex") is not None else 6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="Failed" if spec.get("podFailurePolicy") is not None else "TerminatingOrFailed",
        manualSelector=False,
    )
    labels = (spec.get("template", {}).get("metadata") or {}).get("labels")
    if labels:
        obj["metadata"]["labels"] = obj["metadata"].get("labels") or dict(labels)
    _template(spec)


def _cron_job(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    _template(spec.setdefault("jobTemplate", {}).setdefault("spec", {}))


def _service(obj: Raw) -> None:
    spec = _spec(obj)
    fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif (spec.get("sessionAffinityConfig") or {}).get("clientIP", {}).get("timeoutSeconds") is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": CLIENT_IP_SECONDS}}
    for port in spec.get("ports") or ():
        fill(port, protocol="TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port["port"]
    if spec["type"] in {"NodePort", "LoadBalancer"} or (spec["type"] == "ClusterIP" and spec.get("externalIPs")):
        fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] != "ExternalName":
        fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                fill(ingress, ipMode="VIP")


def _endpoints(obj: Raw) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            fill(port, protocol="TCP")


def _endpoint_slice(obj: Raw) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        fill(port, protocol="TCP")


def _ingress_class(obj: Raw) -> None:
    if parameters := (obj.get("spec") or {}).get("parameters"):
        fill(parameters, scope="Cluster")


def _network_policy(obj: Raw) -> None:
    spec = _spec(obj)
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            fill(port, protocol="TCP")


def _autoscaler(obj: Raw) -> None:
    fill(_spec(obj), minReplicas=1)
    if obj["apiVersion"] == "autoscaling/v2" and not obj["spec"].get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        obj["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _secret(obj: Raw) -> None:
    """Fill the type, and move stringData into data, as the API server does on every write."""
    fill(obj, type="Opaque")
    plain = obj.pop("stringData", None)
    if plain:
        obj["data"] = {**(obj.get("data") or {}), **{key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}}


def _namespace(obj: Raw) -> None:
    meta = obj.setdefault("metadata", {})
    if meta.get("name"):
        meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
    fill(obj.setdefault("status", {}), phase="Active")


def _node(obj: Raw) -> None:
    status = obj.get("status") or {}
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _persistent_volume(obj: Raw) -> None:
    fill(_spec(obj), persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    fill(obj.setdefault("status", {}), phase="Pending")


def _persistent_volume_claim(obj: Raw) -> None:
    fill(_spec(obj), volumeMode="Filesystem")
    fill(obj.setdefault("status", {}), phase="Pending")


def _storage_class(obj: Raw) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(obj: Raw) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


def _role_binding(obj: Raw) -> None:
    group = "rbac.authorization.k8s.io"
    fill(obj.setdefault("roleRef", {}), apiGroup=group)
    for subject in obj.get("subjects") or ():
        if subject.get("kind") == "ServiceAccount":
            subject.setdefault("namespace", obj["metadata"].get("namespace", "default"))
        else:
            fill(subject, apiGroup=group)


def _custom_resource_definition(obj: Raw) -> None:
    names = _spec(obj).setdefault("names", {})
    fill(names, singular=str(names.get("kind", "")).lower(), listKind=f"{names.get('kind', '')}List")
    fill(obj["spec"], conversion={"strategy": "None"})


_FILLERS: Mapping[tuple[str, str], Callable[[Raw], None]] = {
    ("", "Pod"): default_pod,
    ("", "Service"): _service,
    ("", "Endpoints"): _endpoints,
    ("", "Secret"): _secret,
    ("", "Namespace"): _namespace,
    ("", "Node"): _node,
    ("", "PersistentVolume"): _persistent_volume,
    ("", "PersistentVolumeClaim"): _persistent_volume_claim,
    ("", "ReplicationController"): _replication_controller,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("networking.k8s.io", "IngressClass"): _ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("storage.k8s.io", "StorageClass"): _storage_class,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    ("rbac.authorization.k8s.io", "RoleBinding"): _role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _role_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_resource_definition,
}
