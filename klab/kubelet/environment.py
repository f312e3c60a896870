"""The environment of a container: its own variables, those of its ConfigMaps and Secrets, those that tell of Services; and $(NAME) expansion.

After makeEnvironmentVariables (pkg/kubelet/kubelet_pods.go), pkg/kubelet/envvars and third_party/forked/golang/expansion of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from klab.api.pod import Container, EnvFrom, EnvSource, Pod
from klab.api.service import Service
from klab.kubelet.sources import (
    ConfigError,
    Find,
    NodeFacts,
    container_of,
    field_value,
    find_config_map,
    find_secret,
    resource_value,
    secret_data,
)

__all__ = ["ConfigError", "NodeFacts", "expand", "expand_static", "process_environment", "resolve_environment", "service_environment"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(texts: Iterable[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Replace $(NAME) by the variable's value; $$ is a $, and a reference to an unknown variable stays as it is written."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else env.get(name, found[0])

    return tuple(_REFERENCE.sub(value, text) for text in texts)


def expand_static(command: Iterable[str], container: Container) -> tuple[str, ...]:
    """Expand the command of an exec probe or a lifecycle hook: only variables with a literal value are known there."""
    return expand(command, {variable.name: variable.value for variable in container.env if variable.source is None})


def resolve_environment(pod: Pod, container: Container, facts: NodeFacts, find: Find, service_env: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that the kubelet hands to the container, and that its command and args can refer to.

    `pod.pod_ips` must be known already where a variable asks for them. ConfigError says what is missing.
    """
    env: dict[str, str] = {}
    for source in container.env_from:
        env |= {source.prefix + key: value for key, value in _read_all(pod, source, find).items()}
    for variable in container.env:
        if variable.source is None:
            env[variable.name] = expand([variable.value], {**service_env, **env})[0]
        elif (value := _read(pod, container, variable.source, facts, find)) is not None:
            env[variable.name] = value
    return {**service_env, **env}


def process_environment(env: Mapping[str, str], hostname: str, *, tty: bool = False) -> dict[str, str]:
    """Add what the container runtime sets where the pod does not: PATH, HOSTNAME, HOME, and TERM for a terminal (containerd, runc)."""
    return {"PATH": PATH, "HOSTNAME": hostname, "HOME": "/root", **({"TERM": "xterm"} if tty else {}), **env}


def service_environment(services: Iterable[Service], namespace: str, *, links: bool = True) -> dict[str, str]:
    """Give the variables of the Services that a pod in `namespace` sees; default/kubernetes always, the rest unless `enableServiceLinks` is false."""
    seen: dict[str, Service] = {}
    for service in services:
        if not service.cluster_ips or service.headless:
            continue
        if service.namespace == "default" and service.name == "kubernetes":
            seen.setdefault(service.name, service)
        elif service.namespace == namespace and links:
            seen[service.name] = service
    return {name: value for service in seen.values() for name, value in _variables(service).items()}


def _variables(service: Service) -> dict[str, str]:
    """Name host and ports of one service, the second half as Docker's links did."""
    if not service.ports:
        return {}
    prefix, address = _variable_name(service.name), service.cluster_ips[0]
    first = f"{prefix}_SERVICE_PORT"
    variables = {f"{prefix}_SERVICE_HOST": address, first: str(service.ports[0].port)}
    variables |= {f"{first}_{_variable_name(port.name)}": str(port.port) for port in service.ports if port.name}
    host = f"[{address}]" if ":" in address else address
    for port in service.ports:
        protocol = port.protocol.lower()
        url = f"{protocol}://{host}:{port.port}"
        link = f"{prefix}_PORT_{port.port}_{port.protocol.upper()}"
        variables.setdefault(f"{prefix}_PORT", url)
        variables |= {link: url, f"{link}_PROTO": protocol, f"{link}_PORT": str(port.port), f"{link}_ADDR": address}
    return variables


def _variable_name(name: str) -> str:
    return name.replace("-", "_").upper()


def _read_all(pod: Pod, source: EnvFrom, find: Find) -> dict[str, str]:
    if source.kind == "configMapRef":
        config_map = find_config_map(find, pod.namespace, source.name, optional=source.optional)
        return dict((config_map or {}).get("data") or {})
    secret = find_secret(find, pod.namespace, source.name, optional=source.optional)
    return {key: _text(value) for key, value in secret_data(secret or {}).items()}


def _read(pod: Pod, container: Container, source: EnvSource, facts: NodeFacts, find: Find) -> str | None:
    """Give the value, None where the variable is left out: an optional key that does not exist."""
    match source.kind:
        case "fieldRef":
            return field_value(pod, facts, source.key)
        case "resourceFieldRef":
            return resource_value(container_of(pod, source.name) if source.name else container, facts, source.key, source.divisor)
        case "configMapKeyRef":
            config_map = find_config_map(find, pod.namespace, source.name, optional=source.optional)
            data, kind = (config_map or {}).get("data") or {}, "ConfigMap"
        case "secretKeyRef":
            secret = find_secret(find, pod.namespace, source.name, optional=source.optional)
            data, kind = secret_data(secret or {}), "Secret"
        case _:
            raise ConfigError(
                f"container {container.name} takes a variable from {source.kind}, which klab does not read; "
                "use value, fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef"
            )
    if source.key in data:
        return _text(data[source.key])
    if source.optional:
        return None
    raise ConfigError(f"couldn't find key {source.key} in {kind} {pod.namespace}/{source.name}")


def _text(value: str | bytes) -> str:
    """Give bytes as the variable holds them: what is not UTF-8 passes through unchanged."""
    return value if isinstance(value, str) else value.decode(errors="surrogateescape")
