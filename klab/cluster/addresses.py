"""Gives pods their addresses: one pool a node and block, filled from what pods hold according to the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_address

from klab.api.pod import Pod
from klab.cluster.topology import Topology
from klab.cni.hostlocal import Pool
from klab.cni.network import Block
from klab.errors import KlabError


def allocate(topology: Topology, holders: Iterable[Pod], asking: Iterable[Pod]) -> tuple[dict[str, tuple[str, ...]], dict[str, KlabError]]:
    """Give each asking pod one address a family, those that ask for a fixed one first; and say for whom there was none (by uid).

    Pods of kube-system get a block's last addresses, so that people's own begin with the first whatever the system runs.
    """
    used: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for pod in holders:
        if not pod.host_network and not pod.finished:
            used[pod.node_name, _is_system(pod)].extend(pod.pod_ips)
    pools: dict[str, list[tuple[Block, Pool]]] = {}
    given: dict[str, tuple[str, ...]] = {}
    refused: dict[str, KlabError] = {}
    for pod in sorted(asking, key=lambda pod: not pod.fixed_ips):
        if pod.node_name not in pools:
            reserved = topology.reserved(pod.node_name)
            blocks = topology.nodes[pod.node_name].blocks
            own, system = used[pod.node_name, False], used[pod.node_name, True]
            pools[pod.node_name] = [(block, Pool(block, reserved, own, topology.pinned, system)) for block in blocks]
        try:
            given[pod.uid] = tuple(_take(pod, block, pool) for block, pool in pools[pod.node_name])
        except KlabError as error:
            refused[pod.uid] = error
    return given, refused


def _take(pod: Pod, block: Block, pool: Pool) -> str:
    owner = f"pod {pod.namespace}/{pod.name}"
    fixed = next((address for address in pod.fixed_ips if ip_address(address).version == block.version), "")
    if fixed:
        return pool.claim(fixed, owner)
    return pool.take_last(owner) if _is_system(pod) else pool.take(owner)


def _is_system(pod: Pod) -> bool:
    return pod.namespace == "kube-system"
