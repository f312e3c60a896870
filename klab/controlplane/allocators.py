"""Cluster IPs and node ports of Services: given out, refused in Kubernetes' words, taken back (pkg/registry/core/service/storage/alloc.go).

What is not asked for by number is chosen by a hash of the service's name, so that one scenario gets the same addresses each time. As in Kubernetes
(KEP-3070, KEP-3668) the lower band of a range is left to those who ask by number, until the rest is full.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from klab.api.service import EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT, Service
from klab.errors import Fault, InvalidManifestError, KlabError

Object = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV4, IPV6 = "IPv4", "IPv6"
_FULL = "range is full"
_TYPES_WITH_NODE_PORT = frozenset({NODE_PORT, LOAD_BALANCER})


class ServiceAllocator:
    """Knows who holds which cluster IP and node port; a service is known by namespace/name.

    `admit` completes a service that is about to be written and reserves what it needs. `settle` and `release` follow what was written and deleted,
    and let go what a service no longer has; a write that fails after `admit` has to be undone.
    """

    def __init__(self, cidrs: Iterable[Network], node_ports: range) -> None:
        """Allocate from one CIDR for each address family, the first of them being the default, and from the ports of a range."""
        self._cidrs = {_family(str(cidr)): cidr for cidr in cidrs}
        self._node_ports = node_ports
        self._addresses: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        self._held: dict[str, set[str | int]] = {}

    def settle(self, obj: Mapping[str, Any]) -> None:
        """Note that a service stands as it is: it holds what it shows and nothing else."""
        owner = _owner(obj)
        shown: set[str | int] = {*_cluster_ips(obj), *_node_ports(obj)}
        for item in self._held.get(owner, set()) - shown:
            self._free(item)
        for item in shown:
            self._hold(item, owner)
        self._held[owner] = shown

    def release(self, obj: Mapping[str, Any]) -> None:
        """Note that a service is gone."""
        for item in self._held.pop(_owner(obj), set()):
            self._free(item)

    def admit(self, obj: Object, old: Object | None = None) -> Object:
        """Give the service with its cluster IPs, IP families, node ports and health check node port filled in.

        `old` is what it replaces. InvalidManifestError where it asks for what is taken, out of range or fixed; KlabError where a range is full.
        """
        spec = _carry_over(_spec(obj), _spec(old)) if old else _spec(obj)
        if spec.get("type") == EXTERNAL_NAME:
            return {**obj, "spec": spec}
        try:
            spec = self._with_families(spec, _spec(old) if old else {})
            spec = self._with_cluster_ips(_owner(obj), spec)
            return {**obj, "spec": self._with_node_ports(_owner(obj), {**obj, "spec": spec})}
        except KlabError:
            self.undo(obj, old)
            raise

    def undo(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        """Let go what was reserved for a write that did not happen."""
        if old is None:
            self.release(obj)
        else:
            self.settle(old)

    def _with_families(self, spec: Object, old: Object) -> Object:
        """Fill in ipFamilyPolicy and ipFamilies (initIPFamilyFields)."""
        headless = _is_headless(spec)
        selectorless = headless and not spec.get("selector")
        policy = spec.get("ipFamilyPolicy") or old.get("ipFamilyPolicy") or ("RequireDualStack" if selectorless else "SingleStack")
        asked = [] if headless else spec.get("clusterIPs") or []
        families = list(spec.get("ipFamilies") or [_family(address) for address in asked] or list(self._cidrs)[:1])
        faults = []
        if policy == "RequireDualStack" and len(self._cidrs) == 1 and not selectorless:
            faults.append(Fault("", "spec.ipFamilyPolicy", f'Invalid value: "{policy}": this cluster is not configured for dual-stack services'))
        for index, family in enumerate(families):
            if family not in self._cidrs and not selectorless:
                path, value = ("ipFamilies", json.dumps(family)) if spec.get("ipFamilies") else ("clusterIPs", json.dumps(asked))
                words = "not configured on this cluster" if spec.get("ipFamilies") else f"{family} is not configured on this cluster"
                faults.append(Fault("", f"spec.{path}[{index}]", f"Invalid value: {value}: {words}"))
        if faults:
            raise InvalidManifestError(faults)
        if policy != "SingleStack" and len(families) == 1:
            other = IPV6 if families[0] == IPV4 else IPV4
            families += [other] if other in self._cidrs or selectorless else []
        return {**spec, "ipFamilyPolicy": policy, "ipFamilies": families}

    def _with_cluster_ips(self, owner: str, spec: Object) -> Object:
        """Reserve the addresses that are asked for, and choose those that are not."""
        asked = list(spec.get("clusterIPs") or [])
        if asked[:1] == [HEADLESS]:
            return spec
        given = []
        for family, address in zip(spec["ipFamilies"], [*asked, "", ""], strict=False):
            if address:
                self._claim_address(owner, address, self._cidrs[family], asked)
            given.append(address or self._choose_address(owner, self._cidrs[family]))
            self._hold(given[-1], owner)
        return {**spec, "clusterIP": given[0], "clusterIPs": given}

    def _claim_address(self, owner: str, address: str, cidr: Network, asked: list[str]) -> None:
        reason = ""
        if ipaddress.ip_address(address) not in cidr:
            reason = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {cidr}"
        elif self._addresses.get(address, owner) != owner:
            reason = "provided IP is already allocated"
        if reason:
            raise InvalidManifestError(
                [Fault("", "spec.clusterIPs", f"Invalid value: {json.dumps(asked)}: failed to allocate IP {address}: {reason}")]
            )

    def _choose_address(self, owner: str, cidr: Network) -> str:
        size = cidr.num_addresses - (1 if isinstance(cidr, ipaddress.IPv6Network) else 2)
        band = 0 if cidr.num_addresses <= 16 else min(max(16, cidr.num_addresses // 16), 256)  # noqa: PLR2004 (calculateRangeOffset)
        for offset in _candidates(owner, band, size):
            address = str(cidr[offset + 1])
            if address not in self._addresses:
                return address
        raise KlabError(
            f"service {owner} gets no cluster IP: failed to allocate a serviceIP: {_FULL} ({cidr}); delete a service or widen Lab.spec.services.cidr"
        )

    def _with_node_ports(self, owner: str, obj: Object) -> Object:
        """Reserve the node ports that are asked for and choose those that are not; one number serves several protocols of a port."""
        service, spec = Service.of(obj), dict(obj["spec"])
        ports = [dict(port) for port in spec.get("ports") or ()]
        faults: list[Fault] = []
        automatic = service.type == NODE_PORT or (service.type == LOAD_BALANCER and spec.get("allocateLoadBalancerNodePorts", True))
        for index, port in enumerate(ports):
            if service.type in _TYPES_WITH_NODE_PORT and port.get("nodePort"):
                faults += self._claim_port(owner, port["nodePort"], f"spec.ports[{index}].nodePort")
        if service.needs_health_check and service.health_check_node_port:
            faults += self._claim_port(owner, service.health_check_node_port, "spec.healthCheckNodePort")
        if faults:
            raise InvalidManifestError(faults)
        for port in ports if automatic else ():
            if not port.get("nodePort"):
                shared = next((other["nodePort"] for other in ports if other["port"] == port["port"] and _may_share(other, port)), 0)
                port["nodePort"] = shared or self._choose_port(owner, f"{owner}:{port.get('name', '')}")
        if service.needs_health_check and not service.health_check_node_port:
            spec["healthCheckNodePort"] = self._choose_port(owner, f"{owner}/healthz")
        return {**spec, "ports": ports} if ports else spec

    def _claim_port(self, owner: str, port: int, path: str) -> list[Fault]:
        if port not in self._node_ports:
            span = f"{self._node_ports.start}-{self._node_ports.stop - 1}"
            return [Fault("", path, f"Invalid value: {port}: provided port is not in the valid range. The range of valid ports is {span}")]
        if self._ports.get(port, owner) != owner:
            return [Fault("", path, f"Invalid value: {port}: provided port is already allocated")]
        self._hold(port, owner)
        return []

    def _choose_port(self, owner: str, seed: str) -> int:
        size = len(self._node_ports)
        band = 0 if size <= 16 else min(max(16, size // 32), 128)  # noqa: PLR2004 (calculateRangeOffset)
        for offset in _candidates(seed, band, size):
            port = self._node_ports[offset]
            if port not in self._ports:
                self._hold(port, owner)
                return port
        raise KlabError(
            f"service {owner} gets no node port: failed to allocate a nodePort: {_FULL}; delete a service or widen Lab.spec.services.nodePorts"
        )

    def _hold(self, item: str | int, owner: str) -> None:
        if isinstance(item, int):
            self._ports[item] = owner
        else:
            self._addresses[item] = owner
        self._held.setdefault(owner, set()).add(item)

    def _free(self, item: str | int) -> None:
        if isinstance(item, int):
            self._ports.pop(item, None)
        else:
            self._addresses.pop(item, None)


def _candidates(seed: str, band: int, size: int) -> Iterable[int]:
    """Give all offsets of a range: above the band from a place that the seed decides, around, then the band from its top down."""
    above = size - band
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % above
    yield from (band + (start + step) % above for step in range(above))
    yield from range(band - 1, -1, -1)


def _carry_over(spec: Object, old: Object) -> Object:
    """Keep what was allocated and is left out now, drop what the new type has no use for (patchAllocatedValues, dropTypeDependentFields)."""
    spec, kinds = _without_unused(spec, old), (old.get("type"), spec.get("type"))
    if kinds[0] != EXTERNAL_NAME and kinds[1] == EXTERNAL_NAME:
        fields = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        return {key: value for key, value in _without_node_ports(spec, old).items() if key not in fields or value != old.get(key)}
    if EXTERNAL_NAME not in kinds:
        spec = _with_old_addresses(spec, old)
    if kinds[1] not in _TYPES_WITH_NODE_PORT:
        return _without_node_ports(spec, old)
    before, after = _numbers(old), _numbers(spec)
    by_name = {port.get("name"): port.get("nodePort") for port in old.get("ports") or () if port.get("nodePort") not in before & after}
    spec["ports"] = [
        port if port.get("nodePort") or not by_name.get(port.get("name")) else {**port, "nodePort": by_name[port.get("name")]}
        for port in spec.get("ports") or ()
    ]
    if old.get("healthCheckNodePort") and "healthCheckNodePort" not in spec:
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]
    return spec


def _with_old_addresses(spec: Object, old: Object) -> Object:
    """Keep the cluster IPs; the first never changes."""
    before, after = old.get("clusterIPs") or [], spec.get("clusterIPs") or []
    if before and after and before[0] != after[0]:
        raise InvalidManifestError([Fault("", "spec.clusterIPs[0]", f"Invalid value: {json.dumps(after)}: may not change once set")])
    if spec.get("ipFamilyPolicy") == "SingleStack":
        return {**spec, "clusterIP": before[0], "clusterIPs": before[:1], "ipFamilies": (old.get("ipFamilies") or [])[:1]} if before else spec
    return spec if after or not before else {**spec, "clusterIP": before[0], "clusterIPs": before}


def _without_unused(spec: Object, old: Object) -> Object:
    """Drop what only the former type has a use for, unless it is asked for anew."""
    unused = set()
    if old.get("type") == LOAD_BALANCER and spec.get("type") != LOAD_BALANCER:
        unused |= {"allocateLoadBalancerNodePorts", "loadBalancerClass"}
    if _externally_accessible(old) and not _externally_accessible(spec):
        unused.add("externalTrafficPolicy")
    return {key: value for key, value in spec.items() if key not in unused or value != old.get(key)}


def _externally_accessible(spec: Object) -> bool:
    return spec.get("type") in _TYPES_WITH_NODE_PORT or (spec.get("type") != EXTERNAL_NAME and bool(spec.get("externalIPs")))


def _without_node_ports(spec: Object, old: Object) -> Object:
    """Drop node ports that were merely carried along; those that are asked for stay, for validation to refuse."""
    carried = _numbers(old)
    kept = {key: value for key, value in spec.items() if key != "healthCheckNodePort" or value != old.get(key)}
    if "ports" in kept:
        kept["ports"] = [
            {key: value for key, value in port.items() if key != "nodePort" or value not in carried}
            if old.get("type") in _TYPES_WITH_NODE_PORT
            else port
            for port in kept["ports"]
        ]
    return kept


def _spec(obj: Mapping[str, Any]) -> Object:
    """Give the spec with clusterIP and clusterIPs telling the same (NormalizeClusterIPs)."""
    spec = dict(obj.get("spec") or {})
    first, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if first and not addresses:
        spec["clusterIPs"] = [first]
    elif addresses and not first:
        spec["clusterIP"] = addresses[0]
    return spec


def _may_share(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one.get("nodePort") and one.get("protocol", "TCP") != other.get("protocol", "TCP"))


def _numbers(spec: Mapping[str, Any]) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def _is_headless(spec: Mapping[str, Any]) -> bool:
    return bool((spec.get("clusterIPs") or [""])[0] == HEADLESS)


def _cluster_ips(obj: Mapping[str, Any]) -> list[str]:
    spec = _spec(obj)
    return [] if spec.get("type") == EXTERNAL_NAME or _is_headless(spec) else list(spec.get("clusterIPs") or ())


def _node_ports(obj: Mapping[str, Any]) -> list[int]:
    service = Service.of(obj)
    ports = [port.node_port for port in service.ports if port.node_port and service.type in _TYPES_WITH_NODE_PORT]
    return ports + ([service.health_check_node_port] if service.needs_health_check and service.health_check_node_port else [])


def _owner(obj: Mapping[str, Any]) -> str:
    metadata = obj["metadata"]
    return f"{metadata.get('namespace') or 'default'}/{metadata['name']}"


def _family(address: str) -> str:
    return IPV6 if ":" in address else IPV4
