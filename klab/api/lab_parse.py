"""The Lab document, or none, to a typed `Lab` with every default filled in.

Types and unknown fields are the schema's business (`validate`); a value of the wrong type is passed over here. What cannot be read becomes a fault
and leaves an empty tuple behind, which later checks pass over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from klab.api.addresses import Address, Interface, Net, first_address, free_addresses, free_blocks, interface_of
from klab.api.lab import (
    MAX_PODS,
    Dns,
    Ingress,
    Lab,
    Network,
    NodeSpec,
    Services,
    Subnet,
    Taint,
    Underlay,
)
from klab.api.reader import Faults, Reader

T = TypeVar("T")

_BRIDGE_POD_CIDR = "172.17.0.0/16"
_NODE_MASK_IPV6 = 64
_IPV4 = 4
_LAST_PORT = 65535


def parse_lab(obj: Mapping[str, Any] | None) -> tuple[Lab, Faults]:
    """Read a Lab document (None: all defaults) and give the lab and its faults as (path, message)."""
    reader = Reader({} if obj is None else obj)
    spec = reader.mapping("spec")
    underlay = _parse_underlay(spec.mapping("underlay"))
    network = spec.mapping("network")
    plugin = network.text("plugin", Network().plugin)
    entries = spec.items("nodes") or _default_nodes(plugin, reader.faults)
    pod_network = _parse_network(network, plugin, len(entries))
    nodes = _fill_nodes(entries, underlay, pod_network)
    lab = Lab(
        reader.mapping("metadata").text("name", "lab"),
        underlay,
        pod_network,
        _parse_services(spec.mapping("services")),
        _parse_dns(spec.mapping("dns"), "none" if plugin == "bridge" else Dns().server),
        Ingress(spec.mapping("ingress").text("controller", Ingress().controller)),
        nodes,
    )
    return lab, reader.faults


def _addresses(reader: Reader, key: str) -> tuple[Address, ...]:
    """Read one address, or two of a dual-stack lab with a comma between."""
    return _all(reader.address(key, part.strip()) for part in reader.text(key).split(",") if part)


def _networks(reader: Reader, key: str, default: str = "") -> tuple[Net, ...]:
    """Read one CIDR, or two of a dual-stack lab with a comma between, as kubeadm's podSubnet; () if one is broken."""
    return _all(reader.network(key, part.strip()) for part in reader.text(key, default).split(",") if part)


def _address(reader: Reader, key: str) -> Address | None:
    text = reader.text(key)
    return reader.address(key, text) if text else None


def _integer(reader: Reader, key: str, default: int, limits: range) -> int:
    reader.within(key, limits)
    found = reader.integer(key)
    return found if found is not None and found in limits else default


def _all(values: Iterable[T | None]) -> tuple[T, ...]:
    """Give all values, or none if one could not be read."""
    found = tuple(values)
    return tuple(value for value in found if value is not None) if None not in found else ()


def _default_nodes(plugin: str, faults: Faults) -> list[Reader]:
    """Give the nodes of a lab that names none: Docker's one host for plugin bridge, two nodes else."""
    names = ("host",) if plugin == "bridge" else ("node1", "node2")
    return [Reader({"name": name}, f"spec.nodes[{index}]", faults) for index, name in enumerate(names)]


def _parse_underlay(underlay: Reader) -> Underlay:
    default = Underlay()
    primary = _parse_subnet(underlay) if underlay.text("cidr") else _default_subnet(underlay, default.subnets[0])
    subnets = _all([primary, *(_parse_subnet(entry) for entry in underlay.items("subnets"))])
    mtu = _integer(underlay, "mtu", default.mtu, range(576, 65536))
    return Underlay(subnets, underlay.text("interface", default.interface), mtu, _parse_client(underlay.mapping("client"), default.client))


def _default_subnet(underlay: Reader, default: Subnet) -> Subnet:
    return Subnet(default.cidr, _address(underlay, "gateway") or default.gateway)


def _parse_subnet(entry: Reader) -> Subnet | None:
    networks = _networks(entry, "cidr")
    if not networks:
        return None
    return Subnet(networks[0], _address(entry, "gateway") or first_address(networks[0]))


def _parse_client(client: Reader, default: Interface) -> Interface:
    networks = _networks(client, "cidr", str(default.network))
    network = networks[0] if networks else default.network
    address = _address(client, "address")
    if address is None:
        address = default.ip if default.ip in network else next(free_addresses(network, [first_address(network)]), None)
    if address is None or address not in network:
        client.fault("address", f"no address for the client in {network}; choose another spec.underlay.client.cidr")
        return default
    return interface_of(address, network)


def _parse_network(network: Reader, plugin: str, nodes: int) -> Network:
    default = Network()
    cidrs = _networks(network, "podCIDR", _BRIDGE_POD_CIDR if plugin == "bridge" else str(default.pod_cidrs[0]))
    return Network(
        plugin,
        cidrs,
        tuple(_parse_mask(network, cidr, cidrs, whole=plugin == "bridge" and nodes == 1) for cidr in cidrs),
        _integer(network, "mtu", 0, range(576, 65536)) or None,
        network.text("bridge") or None,
        _integer(network, "vni", default.vni, range(1, 1 << 24)),
        _integer(network, "port", default.port, range(1, _LAST_PORT + 1)),
        network.value("cniConf", dict),
        network.text("cniBin", default.cni_bin),
    )


def _parse_mask(network: Reader, cidr: Net, cidrs: tuple[Net, ...], *, whole: bool) -> int:
    """Give the prefix length of a node's block: nodeMask, nodeMaskIPv6 for the IPv6 CIDR of two, else 24 or 64 (kube-controller-manager's)."""
    key = "nodeMaskIPv6" if cidr.version != _IPV4 and (len(cidrs) > 1 or network.value("nodeMaskIPv6", int) is not None) else "nodeMask"
    usual = Network().node_masks[0] if cidr.version == _IPV4 else _NODE_MASK_IPV6
    default = cidr.prefixlen if whole else max(usual, cidr.prefixlen)
    mask = _integer(network, key, default, range(1, cidr.max_prefixlen + 1))
    if mask < cidr.prefixlen:
        network.invalid(key, mask, f"a node's block would be larger than podCIDR {cidr}; choose {cidr.prefixlen} or more")
        return default
    return mask


def _parse_services(services: Reader) -> Services:
    default = Services()
    return Services(
        _networks(services, "cidr", str(default.cidr)),
        services.text("proxy", default.proxy),
        _parse_ports(services, "nodePorts", default.node_ports),
        services.text("scheduler", default.scheduler),
    )


def _parse_dns(dns: Reader, server: str) -> Dns:
    """Read the cluster's DNS; Docker's network on one host has none unless it is asked for."""
    return Dns(
        dns.text("domain", Dns().domain).rstrip("."),
        dns.text("server", server),
        _all(dns.address(key, text) for key, text in dns.texts("upstream")),
    )


def _parse_ports(services: Reader, key: str, default: range) -> range:
    text = services.text(key)
    if not text:
        return default
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= _LAST_PORT:
        services.invalid(key, text, "must be a range of ports such as 30000-32767")
        return default
    return range(int(found[1]), int(found[2]) + 1)


def _fill_nodes(entries: list[Reader], underlay: Underlay, network: Network) -> tuple[NodeSpec, ...]:
    """Read the nodes; those without address or block get the next free ones, in the order of the document."""
    addresses = [_addresses(entry, "address") for entry in entries]
    blocks = [_networks(entry, "podCIDR") for entry in entries]
    taken = {address for given in addresses for address in given} | {subnet.gateway for subnet in underlay.subnets}
    free = free_addresses(underlay.subnets[0].cidr, taken) if underlay.subnets else iter(())
    taken_blocks = [block for given in blocks for block in given]
    walks = [free_blocks(cidr, mask, taken_blocks) for cidr, mask in zip(network.pod_cidrs, network.node_masks, strict=True)]
    nodes = []
    for entry, given_addresses, given_blocks in zip(entries, addresses, blocks, strict=True):
        node_addresses = given_addresses if entry.text("address") or not underlay.subnets else _take_address(entry, underlay.subnets[0], free)
        node_blocks = given_blocks if entry.text("podCIDR") else _take_blocks(entry, network, walks)
        nodes.append(_parse_node(entry, node_addresses, node_blocks))
    return tuple(nodes)


def _take_address(entry: Reader, subnet: Subnet, free: Iterator[Address]) -> tuple[Address, ...]:
    address = next(free, None)
    if address is None:
        entry.fault("address", f"no address is left in the underlay {subnet.cidr}; choose a larger spec.underlay.cidr")
    return () if address is None else (address,)


def _take_blocks(entry: Reader, network: Network, walks: list[Iterator[Net]]) -> tuple[Net, ...]:
    found = [next(walk, None) for walk in walks]
    for cidr, mask, block in zip(network.pod_cidrs, network.node_masks, found, strict=True):
        if block is None:
            entry.fault("podCIDR", f"no free /{mask} is left in spec.network.podCIDR {cidr}; choose a larger podCIDR or a longer nodeMask")
    return _all(found)


def _parse_node(entry: Reader, addresses: tuple[Address, ...], blocks: tuple[Net, ...]) -> NodeSpec:
    capacity = {key: str(value) for key, value in (entry.value("capacity", dict) or {}).items()}
    pods = capacity.pop("pods", "")
    labels = {key: value for key, value in (entry.value("labels", dict) or {}).items() if isinstance(value, str)}
    taints = tuple(Taint(taint.text("key"), taint.text("value"), taint.text("effect")) for taint in entry.items("taints"))
    most = _integer(entry, "maxPods", int(pods) if pods.isdigit() else MAX_PODS, range(1 << 20))
    return NodeSpec(entry.text("name"), addresses, blocks, labels, taints, most, {"cpu": "4", "memory": "8Gi"} | capacity)
