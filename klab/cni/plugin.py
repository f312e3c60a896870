"""Pod networks by real CNI plugin binaries, called as a container runtime calls them; routes between the nodes as a cloud would set them.

Without a configuration of the lab's own it is the CNI project's example: bridge with host-local addresses, then portmap. Its ipMasq is left off, as
it would hide pods from the pods of other nodes: what leaves the cluster is masqueraded by the node.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from klab.cni.hostgw import plan_masquerade, reachable
from klab.cni.network import NodeNetwork, PodAttachment, PodNetwork, family
from klab.linux.cni import CniAttachment
from klab.linux.objects import KernelObject, Netns, Route, Sysctl

USE_POD_CIDR = "usePodCidr"
"""As an IPAM range's subnet it stands for the node's own block (as Calico's host-local has it)."""


def plan_node(network: PodNetwork, node: NodeNetwork, others: Sequence[NodeNetwork]) -> list[KernelObject]:
    """Plan the routes to the other nodes' blocks; the plugins make the rest when the first pod comes."""
    why = f"node/{node.name}: pod network"
    return [
        Sysctl(netns=node.name, name="net/bridge/bridge-nf-call-iptables", value="1", why=why),
        *(
            Route(netns=node.name, dst=str(block), via=other.address, dev=network.interface, why=f"pods of node/{other.name}")
            for other in others
            if reachable(network, node, other)
            for block in other.blocks
            if block.version == family(other.address)
        ),
        *plan_masquerade(network, node),
    ]


def plan_pod(network: PodNetwork, node: NodeNetwork, pod: PodAttachment) -> list[KernelObject]:
    """Plan the pod's namespace and the calls that attach it."""
    names = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": pod.namespace, "K8S_POD_NAME": pod.name, "K8S_POD_INFRA_CONTAINER_ID": pod.uid}
    if pod.ips:
        names["IP"] = pod.ips[0]
    ports = [
        {"hostPort": port.host_port, "containerPort": port.container_port, "protocol": port.protocol.lower(), "hostIP": port.host_ip}
        for port in pod.ports
    ]
    return [
        Netns(netns=pod.netns, why=pod.why),
        CniAttachment(
            netns=pod.netns,
            node=node.name,
            container=pod.uid,
            conflist=json.dumps(calc_conflist(network, node), sort_keys=True),
            arguments=";".join(f"{name}={value}" for name, value in names.items()),
            capabilities=json.dumps({"portMappings": ports} if ports else {}, sort_keys=True),
            directory=network.cni_bin,
            why=pod.why,
        ),
    ]


def calc_conflist(network: PodNetwork, node: NodeNetwork) -> dict[str, Any]:
    """Give the node's configuration list: the node's block for `usePodCidr`, and the allocations of host-local in the lab's own directory."""
    conflist = network.cni_conf or _default(network)
    return {**conflist, "plugins": [_localized(plugin, network, node) for plugin in conflist["plugins"]]}


def calc_programs(network: PodNetwork) -> list[str]:
    """Name the binaries that are called for a pod: each plugin, and the IPAM plugin that one hands the addresses over to."""
    plugins = (network.cni_conf or _default(network))["plugins"]
    return [*(plugin["type"] for plugin in plugins), *(plugin["ipam"]["type"] for plugin in plugins if (plugin.get("ipam") or {}).get("type"))]


def _default(network: PodNetwork) -> Mapping[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": network.bridge or "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "mtu": network.mtu or network.underlay_mtu,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": USE_POD_CIDR}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "1.0.0", "name": "klab", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _localized(plugin: Mapping[str, Any], network: PodNetwork, node: NodeNetwork) -> dict[str, Any]:
    ipam = plugin.get("ipam")
    if not ipam:
        return dict(plugin)
    ipam = _with_block(ipam, str(node.blocks[0]))
    if ipam.get("type") == "host-local":
        ipam.setdefault("dataDir", f"{network.state_directory}/{node.name}")
    return {**plugin, "ipam": ipam}


def _with_block(value: Any, block: str) -> Any:
    """Put the block wherever usePodCidr stands."""
    if isinstance(value, Mapping):
        return {name: _with_block(item, block) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_block(item, block) for item in value]
    return block if value == USE_POD_CIDR else value
