"""The parts that pods and pod templates share: containers, probes, environment, tolerations."""

from __future__ import annotations

import json
from collections.abc import Sequence

from klab.cli.describers.quantities import quantity_text
from klab.cli.describers.text import Description, Object, bool_text, time_text
from klab.cli.describers.volumes import describe_volumes, optional_text
from klab.cli.printers.values import NONE, dig, selector_text

_RESOLVED = ("metadata.name", "metadata.namespace")
"""The fields whose values kubectl shows where a variable refers to them."""


def describe_pod_template(text: Description, template: Object) -> None:
    """Add the section `Pod Template`."""
    spec = dig(template, "spec", default={})
    text.line("Pod Template:")
    text.labels("  Labels", dig(template, "metadata", "labels"))
    if dig(template, "metadata", "annotations"):
        text.annotations("  Annotations", template["metadata"]["annotations"])
    text.optional("Service Account", spec.get("serviceAccountName"), 1)
    if spec.get("initContainers"):
        describe_containers(text, "  Init Containers", spec["initContainers"])
    describe_containers(text, "  Containers", spec.get("containers") or ())
    describe_volumes(text, "  Volumes", spec.get("volumes") or ())
    describe_spread(text, "  Topology Spread Constraints", spec)
    text.optional("Priority Class Name", spec.get("priorityClassName"), 1)
    text.labels("  Node-Selectors", spec.get("nodeSelector"))
    text.multiline("  Tolerations", tolerations(spec))


def describe_containers(
    text: Description, title: str, containers: Sequence[Object], statuses: Sequence[Object] = (), metadata: Object | None = None
) -> None:
    """Add a section of containers; a title that is indented by two indents their names by one more. `metadata` is the pod's, if there is one."""
    by_name = {status["name"]: status for status in statuses}
    text.line(f"{title}:{'' if containers else f' {NONE}'}")
    indent = " " if title.startswith(" ") else ""
    for container in containers:
        status = by_name.get(container["name"])
        text.line(f"{indent}{container['name']}:", 1)
        _describe_basics(text, container, status)
        _describe_words(text, "Command", container.get("command") or ())
        _describe_words(text, "Args", container.get("args") or ())
        if status is not None:
            _describe_state(text, status)
        _describe_resources(text, container)
        for name, field in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
            if container.get(field):
                text.field(name, probe_text(container[field]), 2)
        _describe_env_from(text, container)
        _describe_env(text, container, metadata or {})
        _describe_mounts(text, container)


def _describe_basics(text: Description, container: Object, status: Object | None) -> None:
    if status is not None:
        text.field("Container ID", status.get("containerID", ""), 2)
    text.field("Image", container.get("image", ""), 2)
    if status is not None:
        text.field("Image ID", status.get("imageID", ""), 2)
    ports = container.get("ports") or ()
    for name, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        listed = ", ".join(f"{port.get(field, 0)}/{port.get('protocol', 'TCP')}" for port in ports)
        text.field(f"{name}s" if "," in listed else name, listed or NONE, 2)


def _describe_words(text: Description, title: str, words: Sequence[str]) -> None:
    if words:
        text.line(f"{title}:", 2)
        for word in words:
            for part in word.split("\n"):
                text.line(part, 3)


def _describe_state(text: Description, status: Object) -> None:
    _describe_one_state(text, "State", dig(status, "state", default={}))
    if dig(status, "lastState", "terminated"):
        _describe_one_state(text, "Last State", status["lastState"])
    text.field("Ready", bool_text(status.get("ready", False)), 2)
    text.field("Restart Count", status.get("restartCount", 0), 2)


def _describe_one_state(text: Description, title: str, state: Object) -> None:
    if (running := state.get("running")) is not None:
        text.field(title, "Running", 2)
        text.field("Started", time_text(running.get("startedAt")), 3)
    elif (terminated := state.get("terminated")) is not None:
        text.field(title, "Terminated", 2)
        text.optional("Reason", terminated.get("reason"), 3)
        text.optional("Message", terminated.get("message"), 3)
        text.field("Exit Code", terminated.get("exitCode", 0), 3)
        if terminated.get("signal"):
            text.field("Signal", terminated["signal"], 3)
        text.field("Started", time_text(terminated.get("startedAt")), 3)
        text.field("Finished", time_text(terminated.get("finishedAt")), 3)
    else:
        text.field(title, "Waiting", 2)
        text.optional("Reason", dig(state, "waiting", "reason"), 3)


def _describe_resources(text: Description, container: Object) -> None:
    for title, field in (("Limits", "limits"), ("Requests", "requests")):
        amounts = dig(container, "resources", field, default={})
        if amounts:
            text.line(f"{title}:", 2)
            for name in sorted(amounts):
                text.field(name, quantity_text(amounts[name]), 3)


def probe_text(probe: Object) -> str:
    """Write a probe on one line: `http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`."""
    timing = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s period={probe.get('periodSeconds', 0)}s "
        f"#success={probe.get('successThreshold', 0)} #failure={probe.get('failureThreshold', 0)}"
    )
    if (command := probe.get("exec")) is not None:
        return f"exec [{' '.join(command.get('command') or ())}] {timing}"
    if http := probe.get("httpGet"):
        host, scheme = http.get("host", ""), http.get("scheme", "HTTP").lower()
        path = http.get("path", "")
        slash = "/" if path and not path.startswith("/") else ""
        return f"http-get {scheme}://{f'[{host}]' if ':' in host else host}:{http['port']}{slash}{path} {timing}"
    if tcp := probe.get("tcpSocket"):
        return f"tcp-socket {tcp.get('host', '')}:{tcp['port']} {timing}"
    if grpc := probe.get("grpc"):
        return f"grpc <pod>:{grpc['port']} {grpc.get('service', '')} {timing}"
    return f"unknown {timing}"


def _describe_env_from(text: Description, container: Object) -> None:
    if not container.get("envFrom"):
        return
    text.line("Environment Variables from:", 2)
    for source in container["envFrom"]:
        kind, ref = ("ConfigMap", source["configMapRef"]) if "configMapRef" in source else ("Secret", source.get("secretRef") or {})
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        text.line(f"{ref.get('name', '')}\t{kind}{prefix}\tOptional: {optional_text(ref)}", 3)


def _describe_env(text: Description, container: Object, metadata: Object) -> None:
    variables = container.get("env") or ()
    text.line("Environment:" if variables else f"Environment:\t{NONE}", 2)
    for variable in variables:
        if variable.get("valueFrom"):
            _describe_env_source(text, variable["name"], variable["valueFrom"], metadata)
            continue
        for at, part in enumerate(variable.get("value", "").split("\n")):
            text.line(f"\t{part}" if at else f"{variable['name']}:\t{part}", 3)


def _describe_env_source(text: Description, name: str, source: Object, metadata: Object) -> None:
    if field := source.get("fieldRef"):
        value = metadata.get(field["fieldPath"].removeprefix("metadata."), "") if field["fieldPath"] in _RESOLVED else ""
        text.field(name, f"{value} ({field.get('apiVersion', 'v1')}:{field['fieldPath']})", 3)
    elif resource := source.get("resourceFieldRef"):
        text.field(name, f"({resource['resource']})", 3)
    elif secret := source.get("secretKeyRef"):
        text.field(name, f"<set to the key '{secret['key']}' in secret '{secret.get('name', '')}'>\tOptional: {optional_text(secret)}", 3)
    elif config := source.get("configMapKeyRef"):
        text.field(name, f"<set to the key '{config['key']}' of config map '{config.get('name', '')}'>\tOptional: {optional_text(config)}", 3)


def _describe_mounts(text: Description, container: Object) -> None:
    mounts = container.get("volumeMounts") or ()
    text.line("Mounts:" if mounts else f"Mounts:\t{NONE}", 2)
    for mount in sorted(mounts, key=lambda one: str(one["mountPath"])):
        flags = "ro" if mount.get("readOnly") else "rw"
        sub_path = f",path={json.dumps(mount['subPath'])}" if mount.get("subPath") else ""
        text.line(f"{mount['mountPath']} from {mount['name']} ({flags}{sub_path})", 3)


def describe_spread(text: Description, title: str, spec: Object) -> None:
    """Add the topology spread constraints, if there are any."""
    constraints = sorted(spec.get("topologySpreadConstraints") or (), key=lambda one: str(one["topologyKey"]))
    if constraints:
        text.multiline(title, [_spread(constraint) for constraint in constraints])


def _spread(constraint: Object) -> str:
    selector = f" for selector {selector_text(constraint['labelSelector']) or NONE}" if constraint.get("labelSelector") is not None else ""
    return f"{constraint['topologyKey']}:{constraint.get('whenUnsatisfiable', '')} when max skew {constraint.get('maxSkew', 0)} is exceeded{selector}"


def tolerations(spec: Object) -> list[str]:
    """Give the tolerations of a pod, one a line: `node.kubernetes.io/not-ready:NoExecute op=Exists for 300s`."""
    return [_toleration(one) for one in sorted(spec.get("tolerations") or (), key=lambda one: str(one.get("key", "")))]


def _toleration(toleration: Object) -> str:
    key, value, effect = (toleration.get(field, "") for field in ("key", "value", "effect"))
    text = f"{key}{f'={value}' if value else ''}{f':{effect}' if effect else ''}"
    if toleration.get("operator") == "Exists" and not value:
        text += f"{' ' if text else ''}op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return text if seconds is None else f"{text} for {seconds}s"
