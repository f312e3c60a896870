"""Typed views of Services and EndpointSlices."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.endpointslice import Endpoint, EndpointSlice, PortEndpoint, port_endpoints
from klab.api.service import Service


def service(**spec: Any) -> Service:
    return Service.of({"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


def test_defaults() -> None:
    """A manifest that says next to nothing reads as the API server would fill it in."""
    found = service(ports=[{"port": 80}])
    assert (found.name, found.namespace, found.type, found.session_affinity) == ("web", "default", "ClusterIP", "None")
    assert (found.internal_traffic_policy, found.external_traffic_policy, found.affinity_timeout_seconds) == ("Cluster", "Cluster", 10800)
    (port,) = found.ports
    assert (port.protocol, port.port, port.target_port, port.node_port) == ("TCP", 80, 80, 0)


@pytest.mark.parametrize(
    ("spec", "cluster_ips", "headless", "proxied"),
    [
        ({}, (), False, False),
        ({"clusterIP": "10.96.0.1"}, ("10.96.0.1",), False, True),
        ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}, ("10.96.0.1", "fd00::1"), False, True),
        ({"clusterIP": "None"}, ("None",), True, False),
        ({"type": "ExternalName", "externalName": "example.com"}, (), False, False),
        ({"type": "ExternalName", "externalName": "example.com", "clusterIP": "10.96.0.1"}, (), False, False),
    ],
)
def test_who_is_proxied(spec: dict[str, Any], cluster_ips: tuple[str, ...], *, headless: bool, proxied: bool) -> None:
    found = service(**spec)
    assert (found.cluster_ips, found.headless, found.proxied) == (cluster_ips, headless, proxied)


@pytest.mark.parametrize(
    ("spec", "local", "checked"),
    [
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, True, True),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, True, False),
        ({"externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Local"}, True, False),
        ({"externalTrafficPolicy": "Local"}, False, False),
        ({"type": "LoadBalancer"}, False, False),
    ],
)
def test_external_policy(spec: dict[str, Any], *, local: bool, checked: bool) -> None:
    found = service(**spec)
    assert (found.external_policy_local, found.needs_health_check) == (local, checked)


def test_load_balancer_status() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"ip": "198.51.100.2", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}]}}
    found = Service.of({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}, "status": status})
    assert [(entry.ip, entry.hostname, entry.ip_mode) for entry in found.ingress] == [
        ("198.51.100.1", "", "VIP"),
        ("198.51.100.2", "", "Proxy"),
        ("", "lb.example.com", "VIP"),
    ]


def test_unset_conditions_mean_ready() -> None:
    """As the API says of hand-written slices."""
    assert Endpoint.of({"addresses": ["192.0.2.1"]}) == Endpoint("192.0.2.1")
    assert Endpoint.of({"addresses": ["192.0.2.1"], "conditions": {"ready": False}}) == Endpoint("192.0.2.1", ready=False)


def piece(*addresses: str, ports: dict[str, int], kind: str = "IPv4", **more: Any) -> EndpointSlice:
    endpoints = [{"addresses": [address], **more} for address in addresses]
    listed = [{"name": name, "port": number} for name, number in ports.items()]
    return EndpointSlice.of(
        {"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": kind, "endpoints": endpoints, "ports": listed}
    )


def test_endpoints_by_port() -> None:
    """Of all slices together, in order, each once; the other family and ports without a number left out."""
    slices = [
        piece("10.244.1.9", "10.244.1.2", ports={"http": 8080, "open": 0}),
        piece("10.244.1.2", ports={"http": 8080}, nodeName="node1"),
        piece("10.244.1.3", ports={"http": 9090}),
        piece("fd00::2", ports={"http": 8080}, kind="IPv6"),
    ]
    found = port_endpoints(slices)
    assert [str(item) for item in found["http", "TCP"]] == ["10.244.1.2:8080", "10.244.1.3:9090", "10.244.1.9:8080"]
    assert found["http", "TCP"][0].node_name == "node1"
    assert found.keys() == {("http", "TCP")}
    assert [str(item) for item in port_endpoints(slices, "IPv6")["http", "TCP"]] == ["[fd00::2]:8080"]
    assert slices[0].service == "web"


def test_port_endpoint_text() -> None:
    assert (str(PortEndpoint("10.0.0.1", 80)), str(PortEndpoint("fd00::1", 80))) == ("10.0.0.1:80", "[fd00::1]:80")
