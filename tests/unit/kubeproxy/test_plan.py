"""Plans of whatever mode: names as on a real cluster, one value a key, IPv6, and what IPVS is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from klab.api.endpointslice import port_endpoints
from klab.api.service import Service
from klab.kubeproxy.config import MODES, ProxyConfig
from klab.kubeproxy.plan import plan_base, plan_service
from klab.linux.ipset import IpSet, IpSetEntry
from klab.linux.iptables import Chain, Rule, SharedChain
from klab.linux.ipvs import RealServer, VirtualServer
from klab.linux.nft import NftChain
from klab.linux.objects import Address, KernelObject

PODS = ("192.168.166.142", "192.168.166.141", "192.168.104.3", "192.168.104.4")


def qualify(name: str) -> str:
    return f"lab_{name}"


def plan(make: Any, mode: str, spec: dict[str, Any], addresses: tuple[str, ...] = PODS, **config: Any) -> tuple[KernelObject, ...]:
    ports = {port.get("name", ""): (port.get("protocol", "TCP"), 8080) for port in spec["ports"]}
    endpoints = [make.endpoint(address, "node1" if index < 2 else "node2") for index, address in enumerate(addresses)]
    slices = (make.slice(ports, endpoints),)
    ingress = ["198.51.100.1"] if spec.get("type") == "LoadBalancer" else []
    service = Service.of(make.service("echoserver", spec, ingress=ingress))
    return plan_service(service, port_endpoints(slices), make.node(), ProxyConfig(mode=mode, **config))


def test_chains_are_called_as_on_every_cluster(make: Any) -> None:
    """The chain of default/kubernetes:https and those of kube-dns are the same everywhere."""
    names = {}
    for namespace, name, port, protocol in (
        ("default", "kubernetes", "https", "TCP"),
        ("kube-system", "kube-dns", "dns", "UDP"),
        ("kube-system", "kube-dns", "dns-tcp", "TCP"),
    ):
        spec = {"clusterIP": "10.96.0.1", "ports": [{"name": port, "port": 443, "protocol": protocol}]}
        slices = (make.slice({port: (protocol, 6443)}, [make.endpoint("172.18.0.2")]),)
        planned = plan_service(Service.of(make.service(name, spec, namespace=namespace)), port_endpoints(slices), make.node(), ProxyConfig())
        names[port] = [item.name for item in planned if isinstance(item, Chain) and item.name.startswith("KUBE-SVC-")]
    assert names == {"https": ["KUBE-SVC-NPX46M4PTMTKRN6Y"], "dns": ["KUBE-SVC-TCOU7JCQXEZGVUNU"], "dns-tcp": ["KUBE-SVC-ERIFXISQEP7F7OF4"]}


@pytest.mark.parametrize("mode", MODES)
def test_one_value_a_key_with_its_reason_and_its_line(make: Any, mode: str) -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.9",
        "externalIPs": ["192.0.2.1", "198.51.100.1"],
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
        "healthCheckNodePort": 30999,
        "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081, "protocol": "SCTP"}],
    }
    planned = [*plan_base(make.node(), ProxyConfig(mode=mode)), *plan(make, mode, spec)]
    assert not [key for key, count in Counter(item.key for item in planned).items() if count > 1]
    assert {item.why for item in planned} == {"kube-proxy", "Service default/echoserver"}
    assert all("lab_node1" in line for item in planned for line in (*item.create(qualify), *item.delete(qualify)))


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_is_made_before_it_is_jumped_to(make: Any, mode: str) -> None:
    """So that the lines, typed one after another, work."""
    spec = {"type": "NodePort", "clusterIP": "10.96.0.9", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30080}]}
    made: set[str] = set()
    planned = [*plan_base(make.node(), ProxyConfig(mode=mode)), *plan(make, mode, spec)]
    for item in sorted(planned, key=lambda item: item.rank):
        rules = item.rules if isinstance(item, Chain | NftChain) else (item.text,) if isinstance(item, Rule) else ()
        if isinstance(item, Chain | SharedChain | NftChain | IpSet):
            made.add(item.name)
        words = {word.rstrip(",") for rule in rules for word in rule.split() if word.startswith(("KUBE-", "service-", "endpoint-", "external-"))}
        assert not {word for word in words if "/" in word or word.startswith("KUBE-")} - made


def test_ipvs_reads_as_in_the_talk(make: Any) -> None:
    """`TCP 10.99.153.85:8080 rr` and four `Masq 1 0 0` lines."""
    planned = plan(make, "ipvs", {"clusterIP": "10.99.153.85", "ports": [{"port": 8080}]}, cluster_cidr="192.168.0.0/16")
    virtual = [item for item in planned if isinstance(item, VirtualServer)]
    assert [item.create(qualify) for item in virtual] == [("ip netns exec lab_node1 ipvsadm -A -t 10.99.153.85:8080 -s rr",)]
    real = [item for item in planned if isinstance(item, RealServer)]
    assert {item.real_address for item in real} == set(PODS)
    assert real[0].create(qualify) == ("ip netns exec lab_node1 ipvsadm -a -t 10.99.153.85:8080 -r 192.168.104.3:8080 -m -w 1",)
    assert [(item.dev, item.cidr) for item in planned if isinstance(item, Address)] == [("kube-ipvs0", "10.99.153.85/32")]


def test_ipvs_sets(make: Any) -> None:
    """What decides about masquerading and access: the entries of a Local load balancer with source ranges."""
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.9",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["203.0.113.0/24", "192.0.2.1/32", "0.0.0.0/0"],
        "healthCheckNodePort": 30999,
        "ports": [{"port": 80, "nodePort": 30080}],
    }
    found: dict[str, set[str]] = {}
    for item in plan(make, "ipvs", spec):
        if isinstance(item, IpSetEntry):
            found.setdefault(item.set.removeprefix("KUBE-"), set()).add(item.entry)
    at = "198.51.100.1,tcp:80"
    assert found == {
        "LOOP-BACK": {f"{address},tcp:8080,{address}" for address in PODS[:2]},
        "CLUSTER-IP": {"10.96.0.9,tcp:80"},
        "IPVS-IPS": {"10.96.0.9", "198.51.100.1"},
        "LOAD-BALANCER": {at},
        "LOAD-BALANCER-LOCAL": {at},
        "LOAD-BALANCER-FW": {at},
        "LOAD-BALANCER-SOURCE-CIDR": {f"{at},203.0.113.0/24", f"{at},192.0.2.1", f"{at},0.0.0.0/1", f"{at},128.0.0.0/1"},
        "LOAD-BALANCER-SOURCE-IP": {f"{at},198.51.100.1"},
        "NODE-PORT-TCP": {"30080"},
        "NODE-PORT-LOCAL-TCP": {"30080"},
        "HEALTH-CHECK-NODE-PORT": {"30999"},
    }


def test_ipvs_does_not_take_an_address_that_the_node_has(make: Any) -> None:
    """An external IP that an interface of the node carries stays there."""
    spec = {"clusterIP": "10.96.0.9", "externalIPs": [make.node_ip], "ports": [{"port": 80}]}
    planned = plan(make, "ipvs", spec)
    assert [item.cidr for item in planned if isinstance(item, Address)] == ["10.96.0.9/32"]
    assert make.node_ip in {item.address for item in planned if isinstance(item, VirtualServer)}


def test_schedulers_and_affinity(make: Any) -> None:
    spec = {
        "clusterIP": "10.96.0.9",
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "ports": [{"port": 80}],
    }
    (server,) = (item for item in plan(make, "ipvs", spec, scheduler="mh") if isinstance(item, VirtualServer))
    assert server.create(qualify) == ("ip netns exec lab_node1 ipvsadm -A -t 10.96.0.9:80 -s mh -p 60 -b mh-port",)


@pytest.mark.parametrize("mode", MODES)
def test_ipv6(make: Any, mode: str) -> None:
    """The other family by itself: its addresses, programs and words, and nothing of IPv4."""
    spec = {
        "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9", "fd00:10:96::9"],
        "externalIPs": ["192.0.2.1", "2001:db8::1"],
        "ports": [{"port": 80}],
    }
    service = Service.of(make.service("web", spec))
    slices = port_endpoints((make.slice({"": ("TCP", 80)}, [make.endpoint("10.244.1.2")]),))
    node = make.node(ip="fd00:172::2", addresses=("fd00:172::2", make.node_ip))
    config = ProxyConfig(mode=mode, family=6, cluster_cidr="fd00:244::/56", service_cidrs=("10.96.0.0/12", "fd00:10:96::/112"))
    endpoints = {key: tuple(type(item)(ip="fd00:244::2", port=item.port) for item in listed) for key, listed in slices.items()}
    planned = [*plan_base(node, config), *plan_service(service, endpoints, node, config)]
    lines = [line for item in planned for line in item.create(qualify) if "sysctl" not in line]
    assert not [line for line in lines if "10.96.0.9" in line or "192.0.2.1" in line or "ipv4_addr" in line or "icmp-port" in line]
    text = "\n".join(lines)
    assert {"iptables": "DNAT --to-destination [fd00:244::2]:80", "nftables": "dnat to [fd00:244::2]:80", "ipvs": "-r [fd00:244::2]:80"}[mode] in text
    assert {"iptables": "ip6tables -w -t nat", "nftables": "add table ip6 kube-proxy", "ipvs": "KUBE-6-CLUSTER-IP hash:ip,port family inet6"}[
        mode
    ] in text
