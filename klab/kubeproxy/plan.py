"""The front of the room: plan a node without services, and each service by itself, in the mode that the configuration names."""

from __future__ import annotations

from collections.abc import Iterable

from klab.api.endpointslice import PortEndpoints
from klab.api.service import Service
from klab.kubeproxy import iptables, ipvs, nftables
from klab.kubeproxy.config import ProxyConfig, ProxyNode
from klab.linux.objects import KernelObject, Key

_MODES = {"iptables": iptables, "ipvs": ipvs, "nftables": nftables}


def plan_base(node: ProxyNode, config: ProxyConfig) -> tuple[KernelObject, ...]:
    """Plan what kube-proxy keeps on a node whatever services there are."""
    return _once(_MODES[config.mode].plan_base(node, config))


def plan_service(service: Service, endpoints: PortEndpoints, node: ProxyNode, config: ProxyConfig) -> tuple[KernelObject, ...]:
    """Plan what one service needs on a node; `endpoints` are those of all its slices in the family of `config`.

    Services may ask for the same object (an external IP that two of them share): it has to stand as long as one of them asks for it.
    """
    return _once(_MODES[config.mode].plan_service(service, endpoints, node, config))


def _once(planned: Iterable[KernelObject]) -> tuple[KernelObject, ...]:
    """Leave one object for each key."""
    kept: dict[Key, KernelObject] = {}
    for item in planned:
        kept.setdefault(item.key, item)
    return tuple(kept.values())
