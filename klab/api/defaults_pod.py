"""What the API server fills into a Pod or pod template (kubernetes pkg/apis/core/v1/defaults.go) and its admission plugins into a Pod.

All functions change the mapping they are given; `defaults.default` hands in a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from klab.api.quantity import parse_quantity

Raw = dict[str, Any]

_FILE_MODE = 0o644
_PROBES = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_UNREACHABLE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_UNREACHABLE_SECONDS = 300


def fill(raw: Raw, **values: Any) -> None:
    """Set the fields of `raw` that are absent, null or empty text."""
    for key, value in values.items():
        if raw.get(key) in (None, ""):
            raw[key] = value


def default_pod(pod: Raw) -> None:
    """Fill a Pod: its spec, and what only Pods get (requests from limits, service account, tolerations, priority, status)."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    for container in _containers(spec):
        limits = container["resources"].get("limits") or {}
        if limits:
            container["resources"]["requests"] = {**limits, **(container["resources"].get("requests") or {})}
    fill(spec, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority", priority=0)
    fill(spec, serviceAccountName=spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    _tolerate_unreachable(spec)
    fill(pod.setdefault("status", {}), phase="Pending", qosClass=calc_qos_class(spec))


def default_pod_spec(spec: Raw) -> None:
    """Fill a pod spec, of a Pod or of a template."""
    fill(
        spec,
        dnsPolicy="ClusterFirst",
        restartPolicy="Always",
        securityContext={},
        terminationGracePeriodSeconds=30,
        schedulerName="default-scheduler",
    )
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    for container in _containers(spec):
        _default_container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port["containerPort"]


def calc_qos_class(spec: Raw) -> str:
    """Give status.qosClass: Guaranteed, Burstable or BestEffort (pkg/apis/core/v1/helper/qos)."""
    wanted, limited, equal = False, True, True
    for container in _containers(spec):
        resources = container.get("resources") or {}
        requests, limits = (
            {key: value for key, value in (resources.get(part) or {}).items() if key in {"cpu", "memory"}} for part in ("requests", "limits")
        )
        wanted = wanted or any(parse_quantity(value) > 0 for value in (*requests.values(), *limits.values()))
        limited = limited and set(limits) == {"cpu", "memory"}
        equal = equal and all(parse_quantity(requests.get(key, value)) == parse_quantity(value) for key, value in limits.items())
    if not wanted:
        return "BestEffort"
    return "Guaranteed" if limited and equal else "Burstable"


def calc_pull_policy(image: str) -> str:
    """Give imagePullPolicy: Always for :latest, said or meant, else IfNotPresent."""
    name, digest, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _containers(spec: Raw) -> Iterable[Raw]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def _default_container(container: Raw) -> None:
    fill(
        container,
        imagePullPolicy=calc_pull_policy(container.get("image") or ""),
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in container.get("ports") or ():
        fill(port, protocol="TCP")
    for variable in container.get("env") or ():
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            fill(reference, apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _default_probe(probe)
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)


def _default_probe(probe: Raw) -> None:
    for key, value in _PROBES.items():
        probe[key] = probe.get(key) or value
    _default_handler(probe)


def _default_handler(handler: Raw) -> None:
    if (action := handler.get("httpGet")) is not None:
        fill(action, path="/", scheme="HTTP")
    if (action := handler.get("grpc")) is not None:
        fill(action, service="")


def _default_volume(volume: Raw) -> None:
    if not any(value is not None for key, value in volume.items() if key != "name"):
        volume["emptyDir"] = {}
    for kind in ("configMap", "secret", "projected", "downwardAPI"):
        if (source := volume.get(kind)) is not None:
            fill(source, defaultMode=_FILE_MODE)
    if (source := volume.get("hostPath")) is not None:
        source.setdefault("type", "")
    projections = (volume.get("projected") or {}).get("sources") or ()
    for projection in projections:
        if (token := projection.get("serviceAccountToken")) is not None:
            fill(token, expirationSeconds=3600)
    for source in (volume.get("downwardAPI") or {}, *((projection.get("downwardAPI") or {}) for projection in projections)):
        for item in source.get("items") or ():
            if reference := item.get("fieldRef"):
                fill(reference, apiVersion="v1")


def _tolerate_unreachable(spec: Raw) -> None:
    """Add the two tolerations of the DefaultTolerationSeconds admission plugin where the pod has none of its own for that taint."""
    tolerations = spec.get("tolerations") or []
    for taint in _UNREACHABLE_TAINTS:
        tolerated = any((entry.get("key") or "") in {taint, ""} and (entry.get("effect") or "") in {"NoExecute", ""} for entry in tolerations)
        if not tolerated:
            added = {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _UNREACHABLE_SECONDS}
            tolerations = [*tolerations, added]
    spec["tolerations"] = tolerations
