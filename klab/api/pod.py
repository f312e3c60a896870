"""Typed view of a v1 Pod, as the kubelet, the scheduler and the pod networks read it.

Parts that few read (probes, lifecycle, volumes, affinity) stay plain mappings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klab.api.meta import Meta

IP_ADDRS_ANNOTATION = "cni.projectcalico.org/ipAddrs"
"""Calico's annotation for fixed pod addresses, a JSON list: '["10.1.2.3"]'."""

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares; `host_port` 0 means none."""

    name: str
    container_port: int
    protocol: str
    host_port: int
    host_ip: str


@dataclass(frozen=True, slots=True)
class EnvSource:
    """Where the value of a variable comes from.

    `kind` is fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef; `key` is the field path, the resource or the key;
    `name` is the ConfigMap, the Secret or (resourceFieldRef) the container, "" for fieldRef.
    """

    kind: str
    name: str
    key: str
    optional: bool
    divisor: str = ""


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One environment variable: a literal `value` ($(OTHER) not yet expanded), or a `source`."""

    name: str
    value: str
    source: EnvSource | None


@dataclass(frozen=True, slots=True)
class EnvFrom:
    """All keys of a ConfigMap or Secret as variables; `kind` is configMapRef or secretRef."""

    kind: str
    name: str
    prefix: str
    optional: bool


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume inside a container."""

    name: str
    mount_path: str
    sub_path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Container:
    """A container or init container; `restart_policy` "Always" makes an init container a sidecar. Probes and lifecycle are raw, None where absent."""

    name: str
    image: str
    image_pull_policy: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    working_dir: str
    env: tuple[EnvVar, ...]
    env_from: tuple[EnvFrom, ...]
    ports: tuple[ContainerPort, ...]
    volume_mounts: tuple[VolumeMount, ...]
    requests: Mapping[str, Any]
    limits: Mapping[str, Any]
    restart_policy: str
    liveness_probe: Raw | None
    readiness_probe: Raw | None
    startup_probe: Raw | None
    lifecycle: Raw | None
    security_context: Raw
    stdin: bool
    stdin_once: bool
    tty: bool
    termination_message_path: str

    @classmethod
    def of(cls, raw: Raw) -> Container:
        """Read one entry of spec.containers or spec.initContainers."""
        get = raw.get
        resources = get("resources") or {}
        return cls(
            get("name") or "",
            get("image") or "",
            get("imagePullPolicy") or "",
            tuple(get("command") or ()),
            tuple(get("args") or ()),
            get("workingDir") or "",
            tuple(_env_var(entry) for entry in get("env") or ()),
            tuple(_env_from(entry) for entry in get("envFrom") or ()),
            tuple(_port(entry) for entry in get("ports") or ()),
            tuple(
                VolumeMount(entry.get("name", ""), entry.get("mountPath", ""), entry.get("subPath") or "", bool(entry.get("readOnly")))
                for entry in get("volumeMounts") or ()
            ),
            resources.get("requests") or {},
            resources.get("limits") or {},
            get("restartPolicy") or "",
            get("livenessProbe"),
            get("readinessProbe"),
            get("startupProbe"),
            get("lifecycle"),
            get("securityContext") or {},
            bool(get("stdin")),
            bool(get("stdinOnce")),
            bool(get("tty")),
            get("terminationMessagePath") or "/dev/termination-log",
        )


@dataclass(frozen=True, slots=True)
class HostAlias:
    """A line of /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """spec.dnsConfig; options as (name, value or None)."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that the pod tolerates; empty `key` with operator Exists matches all."""

    key: str
    operator: str
    value: str
    effect: str
    toleration_seconds: int | None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod; `node_name` is "" until it is bound, `fixed_ips` what the Calico annotation asks for, `pod_ips` what status tells."""

    meta: Meta
    node_name: str
    host_network: bool
    hostname: str
    subdomain: str
    set_hostname_as_fqdn: bool
    host_aliases: tuple[HostAlias, ...]
    dns_policy: str
    dns_config: DnsConfig
    restart_policy: str
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    volumes: tuple[Raw, ...]
    node_selector: Mapping[str, str]
    affinity: Raw
    tolerations: tuple[Toleration, ...]
    topology_spread_constraints: tuple[Raw, ...]
    readiness_gates: tuple[str, ...]
    scheduler_name: str
    priority_class_name: str
    service_account_name: str
    share_process_namespace: bool
    termination_grace_period_seconds: int
    active_deadline_seconds: int | None
    security_context: Raw
    fixed_ips: tuple[str, ...]
    phase: str
    pod_ips: tuple[str, ...]
    ready: bool

    @classmethod
    def of(cls, obj: Raw) -> Pod:
        """Read a Pod that passed validation; what is unset gets the API server's default."""
        spec = obj.get("spec") or {}
        status = obj.get("status") or {}
        get = spec.get
        meta = Meta.of(obj)
        grace = get("terminationGracePeriodSeconds")
        return cls(
            meta=meta,
            node_name=get("nodeName") or "",
            host_network=bool(get("hostNetwork")),
            hostname=get("hostname") or "",
            subdomain=get("subdomain") or "",
            set_hostname_as_fqdn=bool(get("setHostnameAsFQDN")),
            host_aliases=tuple(HostAlias(alias.get("ip", ""), tuple(alias.get("hostnames") or ())) for alias in get("hostAliases") or ()),
            dns_policy=get("dnsPolicy") or "ClusterFirst",
            dns_config=_dns_config(get("dnsConfig")),
            restart_policy=get("restartPolicy") or "Always",
            init_containers=tuple(Container.of(raw) for raw in get("initContainers") or ()),
            containers=tuple(Container.of(raw) for raw in get("containers") or ()),
            volumes=tuple(get("volumes") or ()),
            node_selector=get("nodeSelector") or {},
            affinity=get("affinity") or {},
            tolerations=tuple(_toleration(raw) for raw in get("tolerations") or ()),
            topology_spread_constraints=tuple(get("topologySpreadConstraints") or ()),
            readiness_gates=tuple(gate.get("conditionType", "") for gate in get("readinessGates") or ()),
            scheduler_name=get("schedulerName") or "default-scheduler",
            priority_class_name=get("priorityClassName") or "",
            service_account_name=get("serviceAccountName") or get("serviceAccount") or "default",
            share_process_namespace=bool(get("shareProcessNamespace")),
            termination_grace_period_seconds=30 if grace is None else grace,
            active_deadline_seconds=get("activeDeadlineSeconds"),
            security_context=get("securityContext") or {},
            fixed_ips=parse_fixed_ips(meta.annotations),
            phase=status.get("phase") or "Pending",
            pod_ips=tuple(entry.get("ip", "") for entry in status.get("podIPs") or ()),
            ready=any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in status.get("conditions") or ()),
        )

    @property
    def name(self) -> str:
        """Give metadata.name."""
        return self.meta.name

    @property
    def namespace(self) -> str:
        """Give metadata.namespace."""
        return self.meta.namespace

    @property
    def uid(self) -> str:
        """Give metadata.uid."""
        return self.meta.uid

    @property
    def labels(self) -> Mapping[str, str]:
        """Give metadata.labels."""
        return self.meta.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """Give metadata.annotations."""
        return self.meta.annotations

    @property
    def terminating(self) -> bool:
        """Tell whether deletion was asked for."""
        return bool(self.meta.deletion_timestamp)

    @property
    def finished(self) -> bool:
        """Tell whether all containers ended for good; such a pod keeps no address and no place on its node."""
        return self.phase in {"Succeeded", "Failed"}


def parse_fixed_ips(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Read Calico's ipAddrs annotation; () where it is absent or no JSON list of strings (`check` reports that)."""
    text = annotations.get(IP_ADDRS_ANNOTATION)
    if not text:
        return ()
    try:
        value = json.loads(text)
    except ValueError:
        return ()
    return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else ()


def _port(raw: Raw) -> ContainerPort:
    get = raw.get
    return ContainerPort(get("name") or "", get("containerPort") or 0, get("protocol") or "TCP", get("hostPort") or 0, get("hostIP") or "")


def _env_var(raw: Raw) -> EnvVar:
    name, source = raw.get("name", ""), raw.get("valueFrom")
    return EnvVar(name, raw.get("value") or "", _env_source(source) if source else None)


def _env_source(raw: Raw) -> EnvSource:
    kind = next((kind for kind, reference in raw.items() if reference is not None), "")
    reference: Raw = raw.get(kind) or {}
    key = reference.get("fieldPath") or reference.get("key") or reference.get("resource") or ""
    name = reference.get("name") or reference.get("containerName") or ""
    return EnvSource(kind, name, key, bool(reference.get("optional")), str(reference.get("divisor") or ""))


def _env_from(raw: Raw) -> EnvFrom:
    kind = "configMapRef" if raw.get("configMapRef") is not None else "secretRef"
    reference = raw.get(kind) or {}
    return EnvFrom(kind, reference.get("name") or "", raw.get("prefix") or "", bool(reference.get("optional")))


def _dns_config(raw: Raw | None) -> DnsConfig:
    if not raw:
        return DnsConfig()
    options = tuple((option.get("name", ""), option.get("value")) for option in raw.get("options") or ())
    return DnsConfig(tuple(raw.get("nameservers") or ()), tuple(raw.get("searches") or ()), options)


def _toleration(raw: Raw) -> Toleration:
    get = raw.get
    return Toleration(get("key") or "", get("operator") or "Equal", get("value") or "", get("effect") or "", get("tolerationSeconds"))
