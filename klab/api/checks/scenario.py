"""Checks across the documents of a scenario: duplicates, namespaces, and whether the lab has room for its pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from klab.api.addresses import Address, Net
from klab.api.checks.lab import BRIDGE_PORTS
from klab.api.lab import BRIDGED, Lab, NodeSpec
from klab.api.load import Document
from klab.api.meta import name_of, namespace_of
from klab.api.nearest import did_you_mean
from klab.api.pod import IP_ADDRS_ANNOTATION, parse_fixed_ips
from klab.api.reader import Reader
from klab.errors import Fault

NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that every cluster has."""


@dataclass(frozen=True, slots=True)
class BarePod:
    """What the checks need of a Pod document."""

    document: Document
    name: str
    node_name: str
    host_network: bool
    fixed_ips: tuple[str, ...]

    @classmethod
    def of(cls, document: Document) -> BarePod:
        """Read a Pod document, which may be faulty."""
        reader = Reader(document.obj)
        spec = reader.mapping("spec")
        addresses = parse_fixed_ips(reader.mapping("metadata").text_map("annotations"))
        name = f"{namespace_of(document.obj) or 'default'}/{name_of(document.obj)}"
        return cls(document, name, spec.text("nodeName"), spec.flag("hostNetwork"), addresses)

    def fault(self, path: str, message: str) -> Fault:
        """Give a fault of this pod's document."""
        return Fault(self.document.where, path, message)


def check_scenario(documents: Sequence[Document], lab: Lab) -> Iterator[Fault]:
    """Give the faults that only all documents together show."""
    yield from check_duplicates(documents)
    yield from check_namespaces(documents)
    pods = [BarePod.of(document) for document in documents if document.resource.kind == "Pod" and not document.resource.group]
    known = {node.name for node in lab.nodes if node.name} | {name_of(document.obj) for document in documents if document.resource.kind == "Node"}
    for pod in pods:
        if pod.node_name and pod.node_name not in known:
            yield pod.fault("spec.nodeName", f'Not found: "{pod.node_name}"; the lab has {_listed(known)}{did_you_mean(pod.node_name, known)}')
    yield from check_fixed_addresses(pods, lab)
    yield from check_room(pods, lab)


def check_duplicates(documents: Sequence[Document]) -> Iterator[Fault]:
    """Find objects that are there twice, and a second Lab."""
    seen: dict[tuple[str, str, str, str], Document] = {}
    labs = [document for document in documents if document.resource.kind == "Lab"]
    for document in labs[1:]:
        yield Fault(document.where, "", f"a second Lab; {labs[0].where} is one already")
    for document in documents:
        resource, name = document.resource, name_of(document.obj)
        if not name or resource.kind == "Lab":
            continue
        namespace = (namespace_of(document.obj) or "default") if resource.namespaced else ""
        first = seen.setdefault((resource.group, resource.kind, namespace, name), document)
        if first is not document:
            yield Fault(document.where, "metadata.name", f'Duplicate value: "{name}": {first.where} is the same object')


def check_namespaces(documents: Sequence[Document]) -> Iterator[Fault]:
    """Find objects in a namespace that does not exist."""
    known = NAMESPACES | {name_of(document.obj) for document in documents if document.resource.kind == "Namespace"}
    for document in documents:
        namespace = namespace_of(document.obj)
        if document.resource.namespaced and namespace and namespace not in known:
            meant = did_you_mean(namespace, known)
            yield Fault(document.where, "metadata.namespace", f'namespaces "{namespace}" not found{meant or "; add a Namespace document"}')


def check_fixed_addresses(pods: Sequence[BarePod], lab: Lab) -> Iterator[Fault]:
    """Check that each address that a pod asks for is one that its node gives out, and is asked for once."""
    path = f"metadata.annotations[{IP_ADDRS_ANNOTATION}]"
    taken: dict[str, BarePod] = {}
    for pod in pods:
        node = lab.node(pod.node_name)
        nodes = [node] if node is not None else list(lab.nodes)
        blocks = [block for candidate in nodes for block in candidate.pod_cidrs]
        for text in pod.fixed_ips if blocks else ():
            try:
                address = ip_address(text)
            except ValueError:
                continue  # the pod's own check reports it
            block = next((block for block in blocks if address in block), None)
            if block is None:
                where = f"{pod.node_name}'s block" if node is not None else "every node's block"
                yield pod.fault(path, f'Invalid value: "{text}": is outside {where} ({_listed(map(str, blocks))})')
            elif address in _reserved(block, lab.network.plugin):
                yield pod.fault(path, f'Invalid value: "{text}": is an address of {block} that no pod gets')
            first = taken.setdefault(str(address), pod)
            if first is not pod:
                yield pod.fault(path, f'Duplicate value: "{text}": pod {first.name} asks for it too')


def check_room(pods: Sequence[BarePod], lab: Lab) -> Iterator[Fault]:
    """Check that no node is bound more pods than it takes, and that the lab takes them all."""
    bound: Counter[str] = Counter()
    networked: Counter[str] = Counter()
    for pod in pods:
        node = lab.node(pod.node_name)
        if node is None:
            continue
        bound[node.name] += 1
        if bound[node.name] == node.pods + 1:
            yield pod.fault(
                "spec.nodeName", f"{node.name} takes {node.pods} pods, and this is one more; choose another node or raise its maxPods in the Lab"
            )
        networked[node.name] += not pod.host_network
        room = _addresses(node, lab.network.plugin)
        if not pod.host_network and networked[node.name] == room + 1:
            yield pod.fault("spec.nodeName", f"{_block_name(node)} has {room} {_room_word(lab)} for pods, and this is one more; choose another node")
    room = sum(min(node.pods, _addresses(node, lab.network.plugin)) for node in lab.nodes)
    networked_pods = [pod for pod in pods if not pod.host_network]
    if len(networked_pods) > room:
        yield networked_pods[room].fault(
            "", f"the lab's {len(lab.nodes)} nodes take {room} pods, and this is one more; add nodes, or raise maxPods and blocks"
        )


def _addresses(node: NodeSpec, plugin: str) -> int:
    """Give how many pods can have an address of their own on a node: those of its smallest block, and no more than its bridge has ports."""
    free = [block.num_addresses - len(_reserved(block, plugin)) - (plugin != "ipip") for block in node.pod_cidrs]
    return min([*free, *([BRIDGE_PORTS] if plugin in BRIDGED else [])], default=0)


def _reserved(block: Net, plugin: str) -> set[Address]:
    """Give the addresses of a block that no pod can have; a bridged one also has a gateway, which makes room for a fixed address."""
    return {block[0]} if plugin == "ipip" else {block[0], block[-1]}


def _block_name(node: NodeSpec) -> str:
    return f"{node.name} with block {_listed(map(str, node.pod_cidrs))}"


def _room_word(lab: Lab) -> str:
    return "addresses (a bridge has 1023 ports)" if lab.network.plugin in BRIDGED else "addresses"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
