"""The rows of the cluster's own objects: nodes, namespaces, events, component statuses, leases, Lab."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from klab.cli.printers.table import Columns, Object, columns
from klab.cli.printers.values import NONE, UNKNOWN, age, conditions, dig, since

_ROLE_PREFIX = "node-role.kubernetes.io/"


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _node(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    info = dig(obj, "status", "nodeInfo", default={})
    return (
        _name(obj),
        _node_status(obj),
        ",".join(node_roles(obj)) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        *(info.get(field) or UNKNOWN for field in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    )


def _node_status(obj: Object) -> str:
    ready = conditions(obj).get("Ready")
    status = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if dig(obj, "spec", "unschedulable") else status


def node_roles(node: Object) -> list[str]:
    """Give the roles of a node, from its labels."""
    labels = dig(node, "metadata", "labels", default={})
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} | {labels.get("kubernetes.io/role", "")}
    return sorted(roles - {""})


def _address(node: Object, kind: str) -> str:
    return next((one["address"] for one in dig(node, "status", "addresses", default=()) if one.get("type") == kind), NONE)


def _namespace(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), dig(obj, "status", "phase", default=""), age(obj, now)


def _event(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    return (
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        _involved(obj),
        dig(obj, "involvedObject", "fieldPath", default=""),
        event_source(obj),
        obj.get("message", "").strip(),
        first,
        count,
        _name(obj),
    )


def _involved(event: Object) -> str:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    kind, name = involved.get("kind", "").lower(), involved.get("name")
    return f"{kind}/{name}" if name else kind


def event_source(event: Object) -> str:
    """Give who reported an event: the component, and the node that it runs on."""
    component = dig(event, "source", "component") or event.get("reportingComponent") or ""
    host = dig(event, "source", "host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else str(component)


def _component_status(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del now, wide
    healthy = next((one for one in obj.get("conditions") or () if one.get("type") == "Healthy"), None)
    if healthy is None:
        return _name(obj), "Unknown", "", ""
    return _name(obj), "Healthy" if healthy.get("status") == "True" else "Unhealthy", healthy.get("message", ""), healthy.get("error", "")


def _lease(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), dig(obj, "spec", "holderIdentity", default=""), age(obj, now)


def _lab(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    network, services = dig(obj, "spec", "network", "plugin", default=""), dig(obj, "spec", "services", "proxy", default="")
    return _name(obj), len(dig(obj, "spec", "nodes", default=())), network, services, age(obj, now)


TABLES: dict[str, Columns] = {
    "Node": columns(
        "NAME  STATUS  ROLES  AGE  VERSION  INTERNAL-IP  EXTERNAL-IP  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME",
        _node,
        "INTERNAL-IP  EXTERNAL-IP  OS-IMAGE  KERNEL-VERSION  CONTAINER-RUNTIME",
    ),
    "Namespace": columns("NAME  STATUS  AGE", _namespace),
    "Event": columns(
        "LAST SEEN  TYPE  REASON  OBJECT  SUBOBJECT  SOURCE  MESSAGE  FIRST SEEN  COUNT  NAME", _event, "SUBOBJECT  SOURCE  FIRST SEEN  COUNT  NAME"
    ),
    "ComponentStatus": columns("NAME  STATUS  MESSAGE  ERROR", _component_status),
    "Lease": columns("NAME  HOLDER  AGE", _lease),
    "Lab": columns("NAME  NODES  NETWORK  PROXY  AGE", _lab),
}
