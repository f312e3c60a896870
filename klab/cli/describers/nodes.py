"""`describe node` and `describe namespace`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from klab.api.quantity import parse_quantity
from klab.cli.describers.limits import describe_limit_ranges, describe_quotas
from klab.cli.describers.lookup import Lookup
from klab.cli.describers.quantities import Amounts, format_quantity, pod_amounts, quantity_text, sum_amounts
from klab.cli.describers.text import Description, Object, time_text
from klab.cli.printers.cluster import node_roles
from klab.cli.printers.values import NONE, UNSET, age, dig

_SYSTEM_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
    ("Kube-Proxy Version", "kubeProxyVersion"),
)
_COMPUTE = ("cpu", "memory")


def describe_node(node: Object, lookup: Lookup) -> str:
    """Describe a node and the pods on it."""
    text = Description()
    spec, status = dig(node, "spec", default={}), dig(node, "status", default={})
    text.field("Name", node["metadata"]["name"])
    text.field("Roles", ",".join(node_roles(node)) or NONE)
    text.marks(node)
    text.field("CreationTimestamp", time_text(node["metadata"].get("creationTimestamp")))
    text.multiline("Taints", sorted((taint_text(taint) for taint in spec.get("taints") or ()), key=lambda one: (one.rpartition(":")[2], one)))
    text.field("Unschedulable", "true" if spec.get("unschedulable") else "false")
    _describe_lease(text, node, lookup)
    _describe_conditions(text, status)
    text.line("Addresses:")
    for address in status.get("addresses") or ():
        text.field(address["type"], address["address"], 1)
    for title, field in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        if status.get(field):
            text.line(f"{title}:")
            for name in sorted(status[field]):
                text.field(name, quantity_text(status[field][name]), 1)
    text.line("System Info:")
    for title, field in _SYSTEM_INFO:
        text.field(title, dig(status, "nodeInfo", field, default=""), 1)
    text.optional("PodCIDR", spec.get("podCIDR"))
    text.optional("PodCIDRs", ",".join(spec.get("podCIDRs") or ()))
    text.optional("ProviderID", spec.get("providerID"))
    _describe_pods(text, node, lookup)
    text.events(lookup.events(node), lookup.now)
    return text.text()


def taint_text(taint: Object) -> str:
    """Write a taint as `key=value:Effect`."""
    value = f"={taint['value']}" if taint.get("value") else ""
    effect = f":{taint['effect']}" if taint.get("effect") else ""
    return f"{taint.get('key', '')}{value}{effect}"


def _describe_lease(text: Description, node: Object, lookup: Lookup) -> None:
    name = node["metadata"]["name"]
    lease = lookup.find("leases", "kube-node-lease", name)
    if lease is None:
        text.field("Lease", f'Failed to get lease: leases.coordination.k8s.io "{name}" not found')
        return
    text.line("Lease:")
    text.field("HolderIdentity", dig(lease, "spec", "holderIdentity", default=UNSET), 1)
    for title, field in (("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")):
        moment = dig(lease, "spec", field)
        text.field(title, time_text(moment) if moment else UNSET, 1)


def _describe_conditions(text: Description, status: Object) -> None:
    found = status.get("conditions") or ()
    if not found:
        return
    text.line("Conditions:")
    text.table(
        ("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"),
        [
            (
                f"{one.get('type', '')} ",
                f"{one.get('status', '')} ",
                f"{time_text(one.get('lastHeartbeatTime'))} ",
                f"{time_text(one.get('lastTransitionTime'))} ",
                f"{one.get('reason', '')} ",
                one.get("message", ""),
            )
            for one in found
        ],
    )


def _describe_pods(text: Description, node: Object, lookup: Lookup) -> None:
    """Add the pods that have not ended, and what they request together."""
    fields = f"spec.nodeName={node['metadata']['name']},status.phase!=Succeeded,status.phase!=Failed"
    pods = lookup.list("pods", None, fields=fields)
    limits_of = dig(node, "status", "allocatable") or dig(node, "status", "capacity", default={})
    allocatable = {name: parse_quantity(value) for name, value in limits_of.items()}
    amounts = [(pod, pod_amounts(pod, "requests"), pod_amounts(pod, "limits")) for pod in pods]
    text.field("Non-terminated Pods", f"({len(pods)} in total)")
    text.line("Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge", 1)
    text.line("---------\t----\t\t------------\t----------\t---------------\t-------------\t---", 1)
    for pod, requests, limits in amounts:
        cells = [_share(of, name, allocatable) for name in _COMPUTE for of in (requests, limits)]
        text.line("\t".join((pod["metadata"].get("namespace", ""), pod["metadata"]["name"], "", *cells, age(pod, lookup.now))), 1)
    text.line("Allocated resources:")
    text.line("(Total limits may be over 100 percent, i.e., overcommitted.)", 1)
    requests, limits = sum_amounts(one[1] for one in amounts), sum_amounts(one[2] for one in amounts)
    extended = sorted(name for name in allocatable if name not in (*_COMPUTE, "ephemeral-storage", "pods"))
    text.table(
        ("Resource", "Requests", "Limits"),
        [(name, _share(requests, name, allocatable), _share(limits, name, allocatable)) for name in (*_COMPUTE, "ephemeral-storage")]
        + [(name, _plain(requests, name), _plain(limits, name)) for name in extended],
    )


def _share(amounts: Amounts, name: str, allocatable: Mapping[str, Decimal]) -> str:
    """Write an amount with its share of what the node has, `100m (5%)`."""
    whole = allocatable.get(name)
    percent = int(amounts.get(name, Decimal(0)) / whole * 100) if whole else 0
    return f"{_plain(amounts, name)} ({percent}%)"


def _plain(amounts: Amounts, name: str) -> str:
    return format_quantity(amounts.get(name, Decimal(0)), binary=name != "cpu")


def describe_namespace(namespace: Object, lookup: Lookup) -> str:
    """Describe a namespace, its quotas and limits."""
    text = Description()
    name = namespace["metadata"]["name"]
    text.heading(namespace, namespaced=False)
    text.field("Status", dig(namespace, "status", "phase", default=""))
    found = dig(namespace, "status", "conditions", default=())
    if found:
        text.line("Conditions:")
        text.table(
            ("Type", "Status", "LastTransitionTime", "Reason", "Message"),
            [(one["type"], one["status"], time_text(one.get("lastTransitionTime")), one.get("reason", ""), one.get("message", "")) for one in found],
        )
    text.line("")
    describe_quotas(text, lookup.list("resourcequotas", name))
    text.line("")
    describe_limit_ranges(text, lookup.list("limitranges", name))
    return text.text()
