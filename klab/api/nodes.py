"""v1 Node objects of a lab's nodes, as a kubelet registers them."""

from __future__ import annotations

from typing import Any

from klab import __version__
from klab.api.lab import Lab, NodeSpec

KUBELET_VERSION = "v1.36.3"
"""The Kubernetes version whose behaviour klab follows (the one of schema.json.gz)."""


def node_objects(lab: Lab, kernel: str = "", architecture: str = "amd64") -> list[dict[str, Any]]:
    """Give one Node manifest for each node of `lab`; kernel release and architecture (in Go's words) are for status.nodeInfo.

    Conditions are the kubelet's to add.
    """
    return [node_object(node, kernel, architecture) for node in lab.nodes]


def node_object(node: NodeSpec, kernel: str = "", architecture: str = "amd64") -> dict[str, Any]:
    """Give the Node manifest of one node."""
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture}
    capacity = {**node.capacity, "pods": str(node.pods)}
    spec: dict[str, Any] = {"podCIDR": str(node.pod_cidr), "podCIDRs": [str(block) for block in node.pod_cidrs]}
    if node.taints:
        spec["taints"] = [
            {key: value for key, value in (("key", taint.key), ("value", taint.value), ("effect", taint.effect)) if value} for taint in node.taints
        ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels | dict(node.labels)},
        "spec": spec,
        "status": {
            "addresses": [
                *({"type": "InternalIP", "address": str(address)} for address in node.addresses),
                {"type": "Hostname", "address": node.name},
            ],
            "capacity": capacity,
            "allocatable": dict(capacity),
            "nodeInfo": _node_info(kernel, architecture),
        },
    }


def _node_info(kernel: str, architecture: str) -> dict[str, str]:
    return {
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
        "kernelVersion": kernel,
        "osImage": "klab",
        "containerRuntimeVersion": f"klab://{__version__}",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": KUBELET_VERSION,
        "operatingSystem": "linux",
        "architecture": architecture,
    }
