"""Where variables and volume files take their values from: ConfigMaps, Secrets, fields of the pod, resources of its containers.

After pkg/fieldpath/fieldpath.go, pkg/api/v1/resource/helpers.go and podFieldSelectorRuntimeValue (pkg/kubelet/kubelet_pods.go).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from klab.api.names import check_label_key
from klab.api.pod import Container, Pod
from klab.api.quantity import milli, parse_quantity, whole
from klab.errors import KlabError

Find = Callable[[str, str, str], Mapping[str, Any] | None]
"""Looks an object up by kind, namespace ("" for cluster-scoped kinds) and name: `find("ConfigMap", "default", "web")`; None where there is none."""

_SUBSCRIPTED = re.compile(r"(.+?)\['(.*)'\]", re.DOTALL)
_FROM_ALLOCATABLE = frozenset({"cpu", "memory", "ephemeral-storage"})


class ConfigError(KlabError):
    """The container cannot be made from what the pod refers to; the text, the kubelet's own, becomes the message of CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a pod may learn of its node: the node's addresses, the preferred family first, and status.allocatable."""

    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, Any] = field(default_factory=dict)


def find_config_map(find: Find, namespace: str, name: str, *, optional: bool) -> Mapping[str, Any] | None:
    """Find a ConfigMap; None where it is missing and may be, else ConfigError."""
    return _found(find("ConfigMap", namespace, name), "configmap", name, optional=optional)


def find_secret(find: Find, namespace: str, name: str, *, optional: bool) -> Mapping[str, Any] | None:
    """Find a Secret; None where it is missing and may be, else ConfigError."""
    return _found(find("Secret", namespace, name), "secret", name, optional=optional)


def _found(obj: Mapping[str, Any] | None, kind: str, name: str, *, optional: bool) -> Mapping[str, Any] | None:
    if obj is None and not optional:
        raise ConfigError(f'{kind} "{name}" not found')
    return obj


def config_map_data(config_map: Mapping[str, Any]) -> dict[str, bytes]:
    """Give all keys of a ConfigMap, text and binary, as volumes show them."""
    texts = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    return _decoded(config_map.get("binaryData") or {}) | texts


def secret_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """Give all keys of a Secret; stringData wins, as when the API server takes it over into data."""
    texts = {key: value.encode() for key, value in (secret.get("stringData") or {}).items()}
    return _decoded(secret.get("data") or {}) | texts


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
    except binascii.Error as error:
        raise ConfigError(f"illegal base64 data: {error}") from error


def field_value(pod: Pod, facts: NodeFacts, path: str) -> str:
    """Give the value of a fieldRef: metadata.labels['app'], status.podIP ...; ConfigError for a path that the downward API does not have."""
    host_ips = facts.host_ips
    pod_ips = pod.pod_ips or (host_ips if pod.host_network else ())
    fields = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": pod.node_name,
        "spec.serviceAccountName": pod.service_account_name,
        "status.podIP": ",".join(pod_ips[:1]),
        "status.podIPs": ",".join(pod_ips),
        "status.hostIP": ",".join(host_ips[:1]),
        "status.hostIPs": ",".join(host_ips),
    }
    if path in fields:
        return fields[path]
    if path in {"metadata.labels", "metadata.annotations"}:
        return _format_map(pod.labels if path == "metadata.labels" else pod.annotations)
    return _subscripted_value(pod, path)


def _subscripted_value(pod: Pod, path: str) -> str:
    found = _SUBSCRIPTED.fullmatch(path)
    if found is None:
        raise ConfigError(f"field label not supported: {path}")
    parent, key = found.groups()
    mappings = {"metadata.labels": pod.labels, "metadata.annotations": pod.annotations}
    if parent not in mappings:
        raise ConfigError(f'fieldPath "{path}" does not support subscript')
    if faults := check_label_key(key.lower() if parent == "metadata.annotations" else key):
        raise ConfigError(f"invalid key subscript in {path}: {';'.join(faults)}")
    return mappings[parent].get(key, "")


def _format_map(mapping: Mapping[str, str]) -> str:
    """Give one `key="value"` a line, sorted (fieldpath.FormatMap)."""
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(mapping.items()))


def resource_value(container: Container, facts: NodeFacts, resource: str, divisor: str) -> str:
    """Give the value of a resourceFieldRef in units of `divisor`, rounded up; a limit that is not set is what the node has to give."""
    kind, _, name = resource.partition(".")
    if kind not in {"limits", "requests"} or not (name in _FROM_ALLOCATABLE or name.startswith("hugepages-")):
        raise ConfigError(f"unsupported container resource : {resource}")
    if kind == "requests":
        amount = container.requests.get(name, container.limits.get(name, 0))
    else:
        amount = container.limits.get(name, 0)
        if name in _FROM_ALLOCATABLE and not parse_quantity(amount):
            amount = facts.allocatable.get(name, 0)
    measure = milli if name == "cpu" else whole
    unit = measure(divisor) if divisor else 0
    return str(-(-measure(amount) // (unit or measure(1))))


def container_of(pod: Pod, name: str) -> Container:
    """Find a container or init container of the pod by its name."""
    for container in (*pod.containers, *pod.init_containers):
        if container.name == name:
            return container
    raise ConfigError(f"container {name} not found")
