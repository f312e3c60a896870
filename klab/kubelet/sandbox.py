"""The files of a pod's sandbox: /etc/hosts, /etc/resolv.conf and /etc/hostname, and the kernel's host name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from klab.api.pod import Pod
from klab.kubelet.resolv import (
    ClusterDns,
    Note,
    ResolvConf,
    plan_pod_name,
    plan_resolv_conf,
    render_hosts,
    render_node_hosts,
    render_resolv_conf,
)

_NODE_HOSTS = "127.0.0.1\tlocalhost\n"


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """Texts by file name in /etc, what `hostname` says, and events worth recording."""

    etc: dict[str, str]
    hostname: str
    notes: tuple[Note, ...] = ()


def plan_sandbox_files(pod: Pod, addresses: Sequence[str], dns: ClusterDns, node_resolver: ResolvConf) -> SandboxFiles:
    """Plan the files for a pod with these addresses; one on its node's network has the node's addresses, name and hosts."""
    resolver, notes = plan_resolv_conf(pod, dns, node_resolver)
    if pod.host_network:
        own = "".join(f"{address}\t{pod.node_name}\n" for address in addresses)
        hostname, hosts = pod.node_name, render_node_hosts(_NODE_HOSTS + own, pod.host_aliases)
    else:
        name = plan_pod_name(pod, dns.domain)
        hostname, hosts = name.kernel, render_hosts(name, addresses, pod.host_aliases)
    return SandboxFiles({"hosts": hosts, "resolv.conf": render_resolv_conf(resolver), "hostname": f"{hostname}\n"}, hostname, notes)
