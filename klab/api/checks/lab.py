"""Checks of a Lab as a whole: names, and addresses that must not meet each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from klab.api.addresses import Address, Net
from klab.api.checks.meta import check_labels
from klab.api.lab import BRIDGED, RESERVED_NODE_NAMES, Lab, NodeSpec
from klab.api.names import check_dns_subdomain, check_label_key
from klab.api.reader import Reader

BRIDGE_PORTS = 1023
"""How many ports a Linux bridge has (BR_MAX_PORTS - 1)."""

_SMALLEST_BRIDGED = 2  # bits of a block that holds network, gateway, a pod and broadcast address
_SERVICE_BITS = range(4, 21)  # the cluster DNS takes the tenth address; kube-apiserver refuses more than 20 bits


def check_lab(lab: Lab, document: Reader) -> None:
    """Check `lab`, which `parse_lab` read from `document`; what could not be read is left out."""
    spec = document.mapping("spec")
    _check_underlay(lab, spec.mapping("underlay"))
    network, services, dns = spec.mapping("network"), spec.mapping("services"), spec.mapping("dns")
    _check_families(network, "podCIDR", lab.network.pod_cidrs)
    _check_families(services, "cidr", lab.services.cidrs)
    for cidr in lab.services.cidrs:
        bits = cidr.max_prefixlen - cidr.prefixlen
        if bits not in _SERVICE_BITS:
            limits = f"/{cidr.max_prefixlen - _SERVICE_BITS.stop + 1} to /{cidr.max_prefixlen - _SERVICE_BITS.start}"
            services.invalid("cidr", str(cidr), f"must have a prefix length of {limits}")
    for reader, key, name in ((spec.mapping("underlay"), "interface", lab.underlay.interface), (network, "bridge", lab.network.bridge)):
        if name is not None and not re.fullmatch(r"[^\s/:]{1,15}", name):
            reader.invalid(key, name, "must be an interface name: 1 to 15 characters without white space, slash or colon")
    if network.has("cniConf") and not (lab.network.cni_conf or {}).get("plugins"):
        network.required("cniConf.plugins", "a CNI configuration list names its plugins")
    dns.invalid("domain", lab.dns.domain, *check_dns_subdomain(lab.dns.domain))
    _check_overlaps(lab, spec)
    _check_nodes(lab, spec)


def _check_families(reader: Reader, key: str, cidrs: tuple[Net, ...]) -> None:
    if len({cidr.version for cidr in cidrs}) < len(cidrs):
        reader.invalid(key, ",".join(map(str, cidrs)), "expected one CIDR of each IP family")


def _check_underlay(lab: Lab, underlay: Reader) -> None:
    readers = [underlay, *underlay.items("subnets")]
    for subnet, reader in zip(lab.underlay.subnets, readers, strict=False):
        if subnet.gateway not in subnet.cidr or subnet.gateway in _unusable(subnet.cidr):
            reader.invalid("gateway", str(subnet.gateway), f"must be a host address in {subnet.cidr}")
    if lab.underlay.client.ip == lab.underlay.client_gateway:
        underlay.mapping("client").invalid("address", str(lab.underlay.client.ip), "must not be the first address, which is the router's")


def _check_overlaps(lab: Lab, spec: Reader) -> None:
    """Report every two networks of the lab that overlap; node blocks lie in the pod network and are looked at apart."""
    networks: list[tuple[str, Net]] = [
        *((f"underlay.subnets[{index - 1}].cidr" if index else "underlay.cidr", subnet.cidr) for index, subnet in enumerate(lab.underlay.subnets)),
        ("underlay.client.cidr", lab.underlay.client.network),
        *(("network.podCIDR", cidr) for cidr in lab.network.pod_cidrs),
        *(("services.cidr", cidr) for cidr in lab.services.cidrs),
    ]
    for (key, cidr), (other_key, other) in combinations(networks, 2):
        if key != other_key and _overlap(cidr, other):
            spec.invalid(other_key, str(other), f"overlaps spec.{key} {cidr}; choose another one")


def _check_nodes(lab: Lab, spec: Reader) -> None:
    readers = spec.items("nodes") or [Reader({}, spec.at(f"nodes[{index}]"), spec.faults) for index in range(len(lab.nodes))]
    names: set[str] = set()
    addresses: dict[Address, str] = {subnet.gateway: "the gateway" for subnet in lab.underlay.subnets}
    for node, reader in zip(lab.nodes, readers, strict=True):
        _check_name(node, reader, names)
        _check_addresses(lab, node, reader, addresses)
        check_labels(reader, "labels")
        for taint in reader.items("taints"):
            taint.invalid("key", taint.text("key"), *check_label_key(taint.text("key")))
    _check_blocks(lab, readers)
    for subnet in lab.underlay.subnets:
        ports = sum(1 for node in lab.nodes if node.addresses and node.address in subnet.cidr) + 1
        if ports > BRIDGE_PORTS:
            spec.fault(
                "nodes",
                f"{ports - 1} nodes in {subnet.cidr}: the fabric's bridge has {BRIDGE_PORTS} ports, one of them the router's; use more subnets",
            )


def _check_name(node: NodeSpec, reader: Reader, names: set[str]) -> None:
    if not node.name:
        if reader.has("name"):
            reader.required("name")
        return
    reader.invalid("name", node.name, *check_dns_subdomain(node.name))
    if node.name in RESERVED_NODE_NAMES:
        reader.invalid(
            "name", node.name, f"is a name of the lab's own; also {', '.join(sorted(RESERVED_NODE_NAMES - {node.name}))} cannot be a node's"
        )
    if node.name in names:
        reader.duplicate("name", node.name)
    names.add(node.name)


def _check_addresses(lab: Lab, node: NodeSpec, reader: Reader, taken: dict[Address, str]) -> None:
    if len({address.version for address in node.addresses}) < len(node.addresses):
        reader.invalid("address", reader.text("address"), "may hold one address of each family only")
    for address in node.addresses:
        subnet = lab.underlay.subnet_of(address)
        if subnet is None and lab.underlay.subnets:
            known = ", ".join(str(known.cidr) for known in lab.underlay.subnets)
            reader.invalid("address", str(address), f"is outside the underlay ({known}); change it or spec.underlay")
        elif subnet is not None and address in _unusable(subnet.cidr):
            reader.invalid("address", str(address), f"is the network or broadcast address of {subnet.cidr}")
        if address in taken:
            reader.fault("address", f'Duplicate value: "{address}": {taken[address]} has it')
        taken.setdefault(address, node.name)


def _check_blocks(lab: Lab, readers: list[Reader]) -> None:
    blocks = [(block, index) for index, node in enumerate(lab.nodes) for block in node.pod_cidrs]
    for block, index in blocks:
        if lab.network.pod_cidrs and not any(_overlap(cidr, block) and block.prefixlen >= cidr.prefixlen for cidr in lab.network.pod_cidrs):
            known = ", ".join(map(str, lab.network.pod_cidrs))
            readers[index].invalid("podCIDR", str(block), f"is outside spec.network.podCIDR {known}; change one of them")
        if lab.network.plugin in BRIDGED and block.max_prefixlen - block.prefixlen < _SMALLEST_BRIDGED:
            readers[index].invalid("podCIDR", str(block), "has no room for a gateway and a pod; choose a shorter prefix length")
    for (block, index), (other, earlier) in _overlapping(blocks):
        readers[index].invalid("podCIDR", str(block), f"overlaps {other} of {lab.nodes[earlier].name}")


def _overlapping(blocks: list[tuple[Net, int]]) -> Iterator[tuple[tuple[Net, int], tuple[Net, int]]]:
    """Walk over overlapping blocks as (later in the document, earlier); sorted by address, only neighbours can overlap."""
    widest: tuple[Net, int] | None = None
    for entry in sorted(blocks, key=lambda entry: (entry[0].version, int(entry[0][0]), entry[1])):
        if widest is not None and _overlap(widest[0], entry[0]):
            earlier, later = sorted((widest, entry), key=lambda pair: pair[1])
            yield later, earlier
        if widest is None or widest[0].version != entry[0].version or int(entry[0][-1]) > int(widest[0][-1]):
            widest = entry


def _overlap(one: Net, other: Net) -> bool:
    return one.version == other.version and one.overlaps(other)


def _unusable(network: Net) -> set[Address]:
    """Give the addresses that no host may have."""
    return {network[0], network[-1]} if network.num_addresses > 2 else set()  # noqa: PLR2004
