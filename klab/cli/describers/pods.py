"""`describe pod`."""

from __future__ import annotations

from klab.cli.describers.containers import describe_containers, describe_spread, tolerations
from klab.cli.describers.lookup import Lookup
from klab.cli.describers.quantities import qos_class
from klab.cli.describers.text import Description, Object, controlled_by, time_text
from klab.cli.describers.volumes import describe_volumes
from klab.cli.printers.values import NONE, dig, since


def describe_pod(pod: Object, lookup: Lookup) -> str:
    """Describe a pod."""
    text = Description()
    spec, status = dig(pod, "spec", default={}), dig(pod, "status", default={})
    text.field("Name", pod["metadata"]["name"])
    text.field("Namespace", pod["metadata"].get("namespace", ""))
    text.optional("Priority", spec.get("priority"))
    text.optional("Priority Class Name", spec.get("priorityClassName"))
    text.optional("Runtime Class Name", spec.get("runtimeClassName"))
    text.optional("Service Account", spec.get("serviceAccountName"))
    text.field("Node", f"{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else NONE)
    if status.get("startTime"):
        text.field("Start Time", time_text(status["startTime"]))
    text.marks(pod)
    _describe_status(text, pod, lookup)
    text.field("IP", status.get("podIP", ""))
    _describe_ips(text, status)
    text.optional("Controlled By", controlled_by(pod))
    text.optional("NominatedNodeName", status.get("nominatedNodeName"))

    if spec.get("initContainers"):
        describe_containers(text, "Init Containers", spec["initContainers"], status.get("initContainerStatuses") or (), pod["metadata"])
    describe_containers(text, "Containers", spec.get("containers") or (), status.get("containerStatuses") or (), pod["metadata"])
    _describe_conditions(text, spec, status)
    describe_volumes(text, "Volumes", spec.get("volumes") or ())
    text.field("QoS Class", qos_class(pod))
    text.labels("Node-Selectors", spec.get("nodeSelector"))
    text.multiline("Tolerations", tolerations(spec))
    describe_spread(text, "Topology Spread Constraints", spec)
    text.events(lookup.events(pod), lookup.now)
    return text.text()


def _describe_status(text: Description, pod: Object, lookup: Lookup) -> None:
    status, deleted = dig(pod, "status", default={}), dig(pod, "metadata", "deletionTimestamp")
    if deleted and status.get("phase") not in ("Failed", "Succeeded"):
        text.field("Status", f"Terminating (lasts {since(deleted, lookup.now)})")
        text.field("Termination Grace Period", f"{pod['metadata'].get('deletionGracePeriodSeconds', 0)}s")
    else:
        text.field("Status", status.get("phase", ""))
    text.optional("Reason", status.get("reason"))
    text.optional("Message", status.get("message"))


def _describe_ips(text: Description, status: Object) -> None:
    addresses = status.get("podIPs") or ()
    text.line("IPs:" if addresses else f"IPs:\t{NONE}")
    for address in addresses:
        text.field("IP", address["ip"], 1)


def _describe_conditions(text: Description, spec: Object, status: Object) -> None:
    found = status.get("conditions") or ()
    known = {one["type"]: one.get("status", "") for one in found}
    gates = [(gate["conditionType"], known.get(gate["conditionType"], NONE)) for gate in spec.get("readinessGates") or ()]
    for title, rows in (("Readiness Gates", gates), ("Conditions", [(one["type"], one.get("status", "")) for one in found])):
        if rows:
            text.line(f"{title}:")
            text.line("Type\tStatus", 1)
            for name, value in rows:
                text.line(f"{name} \t{value} ", 1)
