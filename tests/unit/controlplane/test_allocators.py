"""Cluster IPs and node ports: chosen, asked for, refused in Kubernetes' words, kept and let go."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from klab.controlplane.allocators import ServiceAllocator
from klab.errors import InvalidManifestError, KlabError

Object = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "ClusterIP", "ports": [{"port": 80}], **spec}}


def allocator(*cidrs: str, ports: range = range(30000, 32768)) -> ServiceAllocator:
    return ServiceAllocator([ip_network(cidr) for cidr in cidrs or ("10.96.0.0/12",)], ports)


def faults(error: pytest.ExceptionInfo[InvalidManifestError]) -> list[str]:
    return [str(fault) for fault in error.value.faults]


def test_a_service_gets_an_address_of_its_own() -> None:
    """The same one each time, from the upper band, with the fields that go with it."""
    spec = allocator().admit(service())["spec"]
    assert spec == allocator().admit(service())["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert ip_network("10.96.0.0/12").supernet_of(ip_network(spec["clusterIP"]))
    assert spec["ipFamilies"] == ["IPv4"]
    assert spec["ipFamilyPolicy"] == "SingleStack"
    assert "nodePort" not in spec["ports"][0]


def test_many_services_fill_a_range() -> None:
    """All addresses but network and broadcast are given out once, the lower band last, and then it says so."""
    given = allocator("10.96.0.0/26")
    addresses = [given.admit(service(f"s{number}"))["spec"]["clusterIP"] for number in range(62)]
    assert len(set(addresses)) == 62
    assert set(addresses[-16:]) == {f"10.96.0.{number}" for number in range(1, 17)}
    with pytest.raises(KlabError, match=r"default/more gets no cluster IP.*range is full \(10\.96\.0\.0/26\)"):
        given.admit(service("more"))


def test_an_address_can_be_asked_for_once() -> None:
    given = allocator()
    assert given.admit(service(clusterIP="10.99.153.85"))["spec"]["clusterIPs"] == ["10.99.153.85"]
    with pytest.raises(InvalidManifestError) as error:
        given.admit(service("other", clusterIP="10.99.153.85"))
    assert faults(error) == ['spec.clusterIPs: Invalid value: ["10.99.153.85"]: failed to allocate IP 10.99.153.85: provided IP is already allocated']


def test_an_address_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidManifestError) as error:
        allocator().admit(service(clusterIP="192.0.2.1"))
    words = "the provided IP (192.0.2.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12"
    assert faults(error) == [f'spec.clusterIPs: Invalid value: ["192.0.2.1"]: failed to allocate IP 192.0.2.1: {words}']


def test_a_deleted_service_gives_back_what_it_had() -> None:
    given = allocator()
    made = given.admit(service(type="NodePort", clusterIP="10.96.0.7", ports=[{"port": 80, "nodePort": 30007}]))
    given.settle(made)
    given.release(made)
    assert given.admit(service("next", type="NodePort", clusterIP="10.96.0.7", ports=[{"port": 80, "nodePort": 30007}]))


def test_what_stands_is_known_after_a_restart() -> None:
    given = allocator()
    given.settle(service("old", type="NodePort", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"], ports=[{"port": 80, "nodePort": 30007}]))
    with pytest.raises(InvalidManifestError, match="provided IP is already allocated"):
        given.admit(service(clusterIP="10.96.0.7"))
    with pytest.raises(InvalidManifestError, match="provided port is already allocated"):
        given.admit(service(type="NodePort", ports=[{"port": 80, "nodePort": 30007}]))


def test_node_ports() -> None:
    """Of the range, no two alike, one number for the protocols of a port."""
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 53}, {"name": "c", "port": 53, "protocol": "UDP"}]
    spec = allocator().admit(service(type="NodePort", ports=ports))["spec"]
    numbers = [port["nodePort"] for port in spec["ports"]]
    assert all(30086 <= number <= 32767 for number in numbers)
    assert numbers[0] != numbers[1] == numbers[2]
    assert "nodePort" not in ports[0], "what was handed in stays as it was"


@pytest.mark.parametrize("port", [80, 29999, 32768])
def test_a_node_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(InvalidManifestError) as error:
        allocator().admit(service(type="NodePort", ports=[{"port": 80, "nodePort": port}]))
    words = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    assert faults(error) == [f"spec.ports[0].nodePort: Invalid value: {port}: {words}"]


def test_a_taken_node_port_is_refused() -> None:
    """All wrong ports of a service are told at once, and nothing of it is kept."""
    given = allocator()
    given.settle(service("first", type="NodePort", clusterIP="10.96.0.7", ports=[{"port": 80, "nodePort": 30007}]))
    with pytest.raises(InvalidManifestError) as error:
        given.admit(service(type="NodePort", clusterIP="10.96.0.8", ports=[{"port": port, "nodePort": port} for port in (30007, 30008, 80)]))
    assert [line.split(":")[0] for line in faults(error)] == ["spec.ports[0].nodePort", "spec.ports[2].nodePort"]
    assert given.admit(service("next", type="NodePort", clusterIP="10.96.0.8", ports=[{"port": 80, "nodePort": 30008}]))


def test_a_full_range_of_node_ports() -> None:
    given = allocator(ports=range(30000, 30002))
    assert {given.admit(service(name, type="NodePort"))["spec"]["ports"][0]["nodePort"] for name in ("a", "b")} == {30000, 30001}
    with pytest.raises(KlabError, match="default/c gets no node port: failed to allocate a nodePort: range is full"):
        given.admit(service("c", type="NodePort"))


def test_load_balancers_need_not_have_node_ports() -> None:
    spec = allocator().admit(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))["spec"]
    assert "nodePort" not in spec["ports"][0]
    assert allocator().admit(service(type="LoadBalancer"))["spec"]["ports"][0]["nodePort"]


def test_a_local_load_balancer_gets_a_health_check_port() -> None:
    given = allocator()
    spec = given.admit(service(type="LoadBalancer", externalTrafficPolicy="Local"))["spec"]
    assert spec["healthCheckNodePort"] in range(30000, 32768)
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]
    with pytest.raises(InvalidManifestError, match=r"spec.healthCheckNodePort: Invalid value: 80: provided port is not in the valid range"):
        given.admit(service("other", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=80))


def test_services_without_an_address() -> None:
    """ExternalName gets nothing; a headless service nothing but families, both of them where it has no selector."""
    assert allocator().admit(service(type="ExternalName", externalName="example.com"))["spec"].keys() == {"type", "externalName", "ports"}
    headless = allocator().admit(service(clusterIP="None", selector={"app": "web"}))["spec"]
    assert (headless["clusterIPs"], headless["ipFamilies"], headless["ipFamilyPolicy"]) == (["None"], ["IPv4"], "SingleStack")
    bare = allocator().admit(service(clusterIP="None"))["spec"]
    assert (bare["ipFamilies"], bare["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


def test_dual_stack() -> None:
    given = allocator("10.96.0.0/12", "fd00:10:96::/112")
    spec = given.admit(service(ipFamilyPolicy="PreferDualStack"))["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    assert [":" in address for address in spec["clusterIPs"]] == [False, True]
    first = given.admit(service("six", ipFamilies=["IPv6"]))["spec"]
    assert (first["ipFamilies"], first["clusterIP"]) == (["IPv6"], first["clusterIPs"][0])


def test_families_that_the_cluster_lacks() -> None:
    with pytest.raises(InvalidManifestError, match=r"spec.ipFamilyPolicy: .*this cluster is not configured for dual-stack services"):
        allocator().admit(service(ipFamilyPolicy="RequireDualStack"))
    with pytest.raises(InvalidManifestError, match=r'spec.ipFamilies\[0\]: Invalid value: "IPv6": not configured on this cluster'):
        allocator().admit(service(ipFamilies=["IPv6"]))
    with pytest.raises(InvalidManifestError, match=r"spec.clusterIPs\[0\]: .*IPv6 is not configured on this cluster"):
        allocator().admit(service(clusterIP="fd00::1"))


def test_an_update_keeps_what_it_does_not_name() -> None:
    """As `kubectl apply` of the first manifest does it again and again."""
    given = allocator()
    manifest = service(type="LoadBalancer", externalTrafficPolicy="Local")
    first = given.admit(manifest)
    given.settle(first)
    assert given.admit(manifest, first) == first
    more = given.admit(service(type="NodePort", ports=[{"port": 80}, {"name": "more", "port": 81}]), first)["spec"]
    assert more["clusterIP"] == first["spec"]["clusterIP"]
    assert more["ports"][0]["nodePort"] == first["spec"]["ports"][0]["nodePort"]
    assert more["ports"][1]["nodePort"]


def test_the_cluster_ip_never_changes() -> None:
    given = allocator()
    first = given.admit(service())
    given.settle(first)
    with pytest.raises(InvalidManifestError) as error:
        given.admit(service(clusterIP="10.96.0.7"), first)
    assert faults(error) == ['spec.clusterIPs[0]: Invalid value: ["10.96.0.7"]: may not change once set']


def test_changes_of_type() -> None:
    """To ClusterIP and back, to ExternalName and back: what the type has no use for is let go, even where the client sends it along."""
    given = allocator()
    first = given.admit(service(type="NodePort", ports=[{"port": 80, "nodePort": 30007}]))
    given.settle(first)
    plain = given.admit({**first, "spec": {**first["spec"], "type": "ClusterIP"}}, first)
    assert "nodePort" not in plain["spec"]["ports"][0]
    given.settle(plain)
    assert given.admit(service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30007}]))
    alias = given.admit({**plain, "spec": {**plain["spec"], "type": "ExternalName", "externalName": "example.com"}}, plain)
    assert not alias["spec"].keys() & {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}
    given.settle(alias)
    assert given.admit(service("heir", clusterIP=plain["spec"]["clusterIP"]))
    assert given.admit(service(), alias)["spec"]["clusterIP"] != plain["spec"]["clusterIP"]


def test_a_change_to_cluster_ip_drops_what_was_for_the_outside() -> None:
    """Carried along it goes, as long as it is what it was; with external IPs the traffic policy keeps its meaning."""
    given = allocator()
    outside = {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True, "loadBalancerClass": "example.com/lb"}
    first = given.admit(service(type="LoadBalancer", **outside))
    given.settle(first)
    plain = {**first["spec"], "type": "ClusterIP"}
    assert not given.admit({**first, "spec": plain}, first)["spec"].keys() & outside.keys()
    assert given.admit({**first, "spec": {**plain, "externalTrafficPolicy": "Local"}}, first)["spec"]["externalTrafficPolicy"] == "Local"
    assert given.admit({**first, "spec": {**plain, "externalIPs": ["192.0.2.1"]}}, first)["spec"]["externalTrafficPolicy"] == "Cluster"


def test_a_write_that_fails_can_be_undone() -> None:
    given = allocator()
    given.undo(given.admit(service(clusterIP="10.96.0.7")), None)
    first = given.admit(service("heir", clusterIP="10.96.0.7"))
    given.settle(first)
    given.admit(service("heir", type="NodePort", ports=[{"port": 80, "nodePort": 30007}]), first)
    given.undo(first, first)
    assert given.admit(service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30007}]))
