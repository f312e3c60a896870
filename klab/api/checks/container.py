"""Checks of one container: image, ports, environment, mounts, probes, resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from klab.api.names import check_config_key, check_dns_label, check_dns_subdomain, check_env_name, check_label_key, check_port_name
from klab.api.quantity import is_quantity, parse_quantity
from klab.api.reader import PORTS, Reader

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELD_PATHS = frozenset(
    {
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    }
)  # fmt: skip
_RESOURCE_FIELDS = frozenset(
    {"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}
)


def check_container(container: Reader, volumes: set[str]) -> None:
    """Check one container of a pod that has `volumes`; duplicates among containers are the pod's business."""
    name, image = container.text("name"), container.text("image")
    if name:
        container.invalid("name", name, *check_dns_label(name))
    elif container.has("name"):
        container.required("name")
    if not image:
        container.required("image")
    elif image != image.strip():
        container.invalid("image", image, "must not have leading or trailing whitespace")
    _check_ports(container)
    _check_env(container)
    _check_mounts(container, volumes)
    _check_resources(container.mapping("resources"))
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.has(key):
            _check_probe(container.mapping(key), readiness=key == "readinessProbe")
    for key in ("postStart", "preStop"):
        if container.mapping("lifecycle").has(key):
            check_handler(container.mapping("lifecycle").mapping(key))


def check_port(reader: Reader, key: str) -> None:
    """Check a port given by number or by name (ValidatePortNumOrName)."""
    reader.within(key, PORTS)
    name = reader.value(key, str)
    if name is not None:
        reader.invalid(key, name, *check_port_name(name))


def check_handler(handler: Reader) -> None:
    """Check that a probe or lifecycle hook has one handler, and that handler."""
    found = [key for key in HANDLERS if handler.has(key)]
    if not found:
        handler.required("", "must specify a handler type")
    for key in found[1:]:
        handler.forbidden(key, "may not specify more than 1 handler type")
    if "exec" in found and not handler.mapping("exec").value("command", list):
        handler.mapping("exec").required("command")
    for key in ("httpGet", "tcpSocket"):
        check_port(handler.mapping(key), "port")
    handler.mapping("grpc").within("port", PORTS)


def _check_ports(container: Reader) -> None:
    names: set[str] = set()
    for port in container.items("ports"):
        name = port.text("name")
        faults = check_port_name(name) if name else []
        port.invalid("name", name, *faults)
        if name and not faults and name in names:
            port.duplicate("name", name)
        names.add(name)
        if port.integer("containerPort") == 0:
            port.required("containerPort")
        else:
            port.within("containerPort", PORTS)
        if port.integer("hostPort"):
            port.within("hostPort", PORTS)
        if port.text("hostIP"):
            port.address("hostIP", port.text("hostIP"))


def _check_env(container: Reader) -> None:
    for variable in container.items("env"):
        name = variable.value("name", str)
        if name == "":
            variable.required("name")
        elif name is not None:
            variable.invalid("name", name, *check_env_name(name))
        if variable.has("valueFrom"):
            _check_env_source(variable)
    for source in container.items("envFrom"):
        if prefix := source.text("prefix"):
            source.invalid("prefix", prefix, *check_env_name(prefix))
        found = [key for key in ("configMapRef", "secretRef") if source.has(key)]
        if len(found) != 1:
            source.invalid(
                "", "", "may not have more than one field specified at a time" if found else "must specify one of: `configMapRef` or `secretRef`"
            )
        for key in found:
            _check_reference(source.mapping(key))


def _check_env_source(variable: Reader) -> None:
    source = variable.mapping("valueFrom")
    found = [key for key in _ENV_SOURCES if source.has(key)]
    if not found:
        source.invalid("", "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
    elif variable.text("value"):
        source.invalid("", "", "may not be specified when `value` is not empty")
    elif len(found) > 1:
        source.invalid("", "", "may not have more than one field specified at a time")
    if source.has("fieldRef"):
        _check_field_reference(source.mapping("fieldRef"))
    resource = source.mapping("resourceFieldRef").text("resource")
    if resource and resource not in _RESOURCE_FIELDS and not re.match(r"(requests|limits)\.hugepages-", resource):
        source.mapping("resourceFieldRef").unsupported("resource", resource, _RESOURCE_FIELDS)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if source.has(kind):
            reference = source.mapping(kind)
            _check_reference(reference)
            if key := reference.text("key"):
                reference.invalid("key", key, *check_config_key(key))
            elif reference.has("key"):
                reference.required("key")


def _check_field_reference(reference: Reader) -> None:
    path = reference.text("fieldPath")
    if subscripted := re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path):
        reference.invalid("", subscripted[2], *check_label_key(subscripted[2].lower()))
    elif path and path not in _FIELD_PATHS:
        reference.unsupported("fieldPath", path, _FIELD_PATHS)


def _check_reference(reference: Reader) -> None:
    if name := reference.text("name"):
        reference.invalid("name", name, *check_dns_subdomain(name))
    else:
        reference.required("name")


def _check_mounts(container: Reader, volumes: set[str]) -> None:
    paths: set[str] = set()
    for mount in container.items("volumeMounts"):
        name, path = mount.text("name"), mount.text("mountPath")
        if name and name not in volumes:
            mount.not_found("name", name)
        elif not name and mount.has("name"):
            mount.required("name")
        if not path and mount.has("mountPath"):
            mount.required("mountPath")
        elif path and path in paths:
            mount.invalid("mountPath", path, "must be unique")
        paths.add(path)
        for key in ("subPath", "subPathExpr"):
            text = mount.text(key)
            if text.startswith("/"):
                mount.invalid(key, text, "must be a relative path")
            if ".." in text.split("/"):
                mount.invalid(key, text, "must not contain '..'")


def _check_resources(resources: Reader) -> None:
    limits, requests = resources.mapping("limits"), resources.mapping("requests")
    for amounts in (limits, requests):
        for name, value in _quantities(amounts.raw).items():
            if parse_quantity(value) < 0:
                amounts.invalid(name, str(value), "must be greater than or equal to 0")
    for name, value in _quantities(requests.raw).items():
        limit = _quantities(limits.raw).get(name)
        if limit is not None and parse_quantity(value) > parse_quantity(limit):
            resources.invalid("requests", str(value), f"must be less than or equal to {name} limit of {limit}")


def _quantities(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in raw.items() if isinstance(value, str | int | float) and is_quantity(value)}


def _check_probe(probe: Reader, *, readiness: bool) -> None:
    check_handler(probe)
    probe.not_negative("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    if not readiness and probe.integer("successThreshold") not in {None, 0, 1}:
        probe.invalid("successThreshold", probe.integer("successThreshold"), "must be 1")
