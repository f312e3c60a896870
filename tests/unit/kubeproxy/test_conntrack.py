"""Which UDP flows a change of a service ends."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.endpointslice import port_endpoints
from klab.api.service import Service
from klab.kubeproxy.config import ProxyConfig
from klab.kubeproxy.conntrack import calc_frontends
from klab.linux.conntrack import Flow, is_stale

DNS = {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}
WEB = {"name": "web", "port": 80, "nodePort": 30080}


def service(make: Any, *ports: dict[str, Any]) -> Service:
    spec = {"type": "LoadBalancer", "clusterIP": "10.96.0.10", "externalIPs": ["192.0.2.1"], "ports": list(ports)}
    return Service.of(make.service("dns", spec, ingress=["198.51.100.1"]))


def frontends(make: Any, endpoints: list[Any], *, before: Service | None = None, after: Service | None = None) -> Any:
    slices = (make.slice({"dns": ("UDP", 53), "web": ("TCP", 80)}, endpoints),)
    return calc_frontends(before, after, port_endpoints(slices), ProxyConfig())


def flow(destination: str = "10.96.0.10", port: int = 53, answered_by: str = "10.244.1.2", protocol: str = "UDP") -> Flow:
    return Flow(protocol, "10.244.1.9", 4000, destination, port, answered_by)


def test_every_frontend_of_udp_ports(make: Any) -> None:
    """Endpoints that serve keep their flows, ready or not; TCP is left alone."""
    endpoints = [
        make.endpoint("10.244.1.2"),
        make.endpoint("10.244.1.3", ready=False, serving=True),
        make.endpoint("10.244.1.4", ready=False, serving=False),
    ]
    serving = frozenset({"10.244.1.2", "10.244.1.3"})
    found = frontends(make, endpoints, after=service(make, DNS, WEB))
    assert found == {("10.96.0.10", 53): serving, ("192.0.2.1", 53): serving, ("198.51.100.1", 53): serving, ("", 30053): serving}


@pytest.mark.parametrize(
    ("found", "stale"),
    [
        (flow(answered_by="10.244.1.2"), False),
        (flow(answered_by="10.244.1.7"), True),
        (flow(answered_by="10.96.0.10"), True),
        (flow(answered_by="10.244.1.7", protocol="TCP"), False),
        (flow(answered_by="10.244.1.7", port=54), False),
        (flow("172.18.0.2", 30053, "10.244.1.7"), True),
        (flow("172.18.0.2", 30053, "10.244.1.2"), False),
        (flow("8.8.8.8", 53, "8.8.8.8"), False),
    ],
)
def test_flows_to_a_service_with_an_endpoint(make: Any, found: Flow, *, stale: bool) -> None:
    """Those of an endpoint that is gone end, and so do those that began before there was one (0 -> ready)."""
    assert is_stale(found, frontends(make, [make.endpoint("10.244.1.2")], after=service(make, DNS))) == stale


def test_flows_to_a_service_without_endpoints(make: Any) -> None:
    """What was translated to somebody ends; what never was goes on."""
    none = frontends(make, [], after=service(make, DNS))
    assert is_stale(flow(), none)
    assert not is_stale(flow(answered_by="10.96.0.10"), none)


def test_a_removed_port_or_service(make: Any) -> None:
    endpoints = [make.endpoint("10.244.1.2")]
    for after in (None, service(make, WEB), service(make, {**DNS, "nodePort": 30054, "port": 54})):
        found = frontends(make, endpoints, before=service(make, DNS), after=after)
        assert is_stale(flow(), found)
        assert is_stale(flow("172.18.0.2", 30053), found)
    assert not is_stale(flow("172.18.0.2", 30054), found)
