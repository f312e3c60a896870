"""The Lab document: defaults, allocation of addresses and blocks, and what must not be."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
import yaml

from klab.api.addresses import first_address, free_addresses, free_blocks, interface_of
from klab.api.check import check_object
from klab.api.lab import RESERVED_NODE_NAMES, Lab, Subnet, Taint
from klab.api.lab_parse import parse_lab
from klab.api.nodes import node_objects
from klab.api.schema import validate
from klab.linux import names

DEEP_DIVE = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {name: deep-dive}
spec:
  underlay: {cidr: 172.16.224.0/24, gateway: 172.16.224.2, interface: ens192}
  network:  {plugin: ipip, podCIDR: 192.168.0.0/16, nodeMask: 26}
  services: {cidr: 10.96.0.0/12, proxy: ipvs, nodePorts: 30000-32767}
  dns:      {domain: cluster.local, server: builtin}
  ingress:  {controller: haproxy}
  nodes:
  - {name: node1, address: 172.16.224.51, podCIDR: 192.168.166.128/26, labels: {disk: ssd}}
  - {name: node2, address: 172.16.224.52, podCIDR: 192.168.104.0/26}
"""


def lab_of(**spec: Any) -> Lab:
    lab, faults = parse_lab({"apiVersion": "klab.dev/v1", "kind": "Lab", "metadata": {"name": "lab"}, "spec": spec})
    assert faults == []
    return lab


def faults_of(**spec: Any) -> list[tuple[str, str]]:
    return check_object({"apiVersion": "klab.dev/v1", "kind": "Lab", "metadata": {"name": "lab"}, "spec": spec})


def test_no_document_gives_two_nodes_and_vxlan() -> None:
    lab, faults = parse_lab(None)
    assert faults == []
    assert (lab.name, lab.network.plugin, [node.name for node in lab.nodes]) == ("lab", "vxlan", ["node1", "node2"])
    assert [str(node.pod_cidr) for node in lab.nodes] == ["10.244.0.0/24", "10.244.1.0/24"]
    assert [str(node.address) for node in lab.nodes] == ["172.18.0.2", "172.18.0.3"]
    assert lab.underlay.subnets == (Subnet(ip_network("172.18.0.0/24"), ip_address("172.18.0.1")),)
    assert (lab.services.cidr, lab.services.proxy, lab.services.node_ports) == (ip_network("10.96.0.0/12"), "iptables", range(30000, 32768))
    assert (lab.underlay.client, lab.underlay.client_gateway) == (ip_interface("203.0.113.10/24"), ip_address("203.0.113.1"))


def test_the_defaults_are_without_fault() -> None:
    for spec in ({}, {"network": {"plugin": "bridge"}}, {"network": {"plugin": "ipip", "nodeMask": 26}}):
        assert faults_of(**spec) == []


def test_the_deep_dive_lab() -> None:
    obj = yaml.safe_load(DEEP_DIVE)
    lab, faults = parse_lab(obj)
    assert (faults, check_object(obj), validate(obj)) == ([], [], [])
    assert lab.underlay.subnets[0].gateway == ip_address("172.16.224.2")
    assert lab.underlay.interface == "ens192"
    assert (lab.network.plugin, lab.network.node_masks, lab.services.proxy) == ("ipip", (26,), "ipvs")
    node = lab.node("node1")
    assert node is not None
    assert (node.address, node.pod_cidr, node.labels) == (ip_address("172.16.224.51"), ip_network("192.168.166.128/26"), {"disk": "ssd"})
    assert lab.node("node3") is None


def test_docker_on_one_host() -> None:
    lab = lab_of(network={"plugin": "bridge"})
    assert [(node.name, str(node.pod_cidr)) for node in lab.nodes] == [("host", "172.17.0.0/16")]


def test_docker_on_one_host_has_no_dns_unless_it_is_asked_for() -> None:
    assert lab_of(network={"plugin": "bridge"}).dns.server == "none"
    assert lab_of(network={"plugin": "bridge"}, dns={"server": "builtin"}).dns.server == "builtin"
    assert lab_of(network={"plugin": "vxlan"}).dns.server == "builtin"


def test_several_nodes_with_bridges_share_the_pod_network() -> None:
    lab = lab_of(network={"plugin": "bridge"}, nodes=[{"name": "a"}, {"name": "b"}])
    assert [str(node.pod_cidr) for node in lab.nodes] == ["172.17.0.0/24", "172.17.1.0/24"]


def test_free_addresses_and_blocks_keep_away_from_given_ones() -> None:
    lab = lab_of(
        underlay={"cidr": "192.1.6.0/29", "gateway": "192.1.6.2"},
        network={"podCIDR": "10.20.0.0/16"},
        nodes=[
            {"name": "a"},
            {"name": "b", "address": "192.1.6.3", "podCIDR": "10.20.0.0/23"},
            {"name": "c", "podCIDR": "10.20.3.128/25"},
            {"name": "d"},
        ],
    )
    assert [str(node.address) for node in lab.nodes] == ["192.1.6.1", "192.1.6.3", "192.1.6.4", "192.1.6.5"]
    assert [str(node.pod_cidr) for node in lab.nodes] == ["10.20.2.0/24", "10.20.0.0/23", "10.20.3.128/25", "10.20.4.0/24"]


def test_dual_stack() -> None:
    lab = lab_of(network={"podCIDR": "10.244.0.0/16,fd00:10::/48", "nodeMask": 26}, services={"cidr": "10.96.0.0/16,fd00:20::/112"})
    assert lab.network.node_masks == (26, 64)
    assert [str(block) for block in lab.nodes[1].pod_cidrs] == ["10.244.0.64/26", "fd00:10:0:1::/64"]
    assert [str(cidr) for cidr in lab.services.cidrs] == ["10.96.0.0/16", "fd00:20::/112"]


def test_a_lab_of_ipv6_alone() -> None:
    lab = lab_of(underlay={"cidr": "fd01::/64"}, network={"podCIDR": "fd00:10::/56", "nodeMask": 64}, services={"cidr": "fd00:20::/112"})
    assert [(str(node.address), str(node.pod_cidr)) for node in lab.nodes] == [("fd01::2", "fd00:10::/64"), ("fd01::3", "fd00:10:0:1::/64")]


def test_everything_can_be_said() -> None:
    lab = lab_of(
        underlay={
            "cidr": "10.1.0.0/24",
            "mtu": 9000,
            "subnets": [{"cidr": "10.2.0.0/24", "gateway": "10.2.0.254"}],
            "client": {"cidr": "198.51.100.0/24", "address": "198.51.100.7"},
        },
        network={
            "plugin": "plugin",
            "cniConf": {"name": "n", "plugins": [{"type": "bridge"}]},
            "cniBin": "/opt/cni/bin",
            "mtu": 1400,
            "vni": 7,
            "port": 4789,
        },
        services={"scheduler": "lc"},
        dns={"domain": "example.test.", "upstream": ["9.9.9.9"], "server": "none"},
        nodes=[{"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}], "maxPods": 5, "capacity": {"cpu": 2, "memory": "1Gi"}}],
    )
    assert [subnet.gateway for subnet in lab.underlay.subnets] == [ip_address("10.1.0.1"), ip_address("10.2.0.254")]
    assert lab.underlay.client == ip_interface("198.51.100.7/24")
    assert (lab.network.mtu, lab.network.vni, lab.network.port, lab.network.cni_bin) == (1400, 7, 4789, "/opt/cni/bin")
    assert (lab.dns.domain, lab.dns.upstream) == ("example.test", (ip_address("9.9.9.9"),))
    assert (lab.nodes[0].taints, lab.nodes[0].pods, lab.nodes[0].capacity) == ((Taint("k", "", "NoSchedule"),), 5, {"cpu": "2", "memory": "1Gi"})
    assert parse_lab(lab.to_object()) == (lab, [])
    assert validate(lab.to_object()) == []


def test_capacity_may_name_the_pods_too() -> None:
    assert lab_of(nodes=[{"name": "a", "capacity": {"pods": "30"}}]).nodes[0].pods == 30


@pytest.mark.parametrize("spec", [{}, {"network": {"podCIDR": "10.0.0.0/16,fd00::/48"}, "services": {"cidr": "10.96.0.0/12,fd01::/112"}}])
def test_the_full_document_parses_to_the_same_lab(spec: dict[str, Any]) -> None:
    lab = lab_of(**spec)
    assert parse_lab(lab.to_object()) == (lab, [])


def test_node_objects() -> None:
    lab, _ = parse_lab(yaml.safe_load(DEEP_DIVE))
    node, _ = node_objects(lab, "6.1.0")
    assert validate(node) == []
    assert check_object(node) == []
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "node1"
    assert node["metadata"]["labels"]["disk"] == "ssd"
    assert node["spec"] == {"podCIDR": "192.168.166.128/26", "podCIDRs": ["192.168.166.128/26"]}
    assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "172.16.224.51"}, {"type": "Hostname", "address": "node1"}]
    assert node["status"]["allocatable"]["pods"] == "110"
    assert node["status"]["nodeInfo"]["kernelVersion"] == "6.1.0"


def test_reserved_names_are_those_of_the_namespaces() -> None:
    assert RESERVED_NODE_NAMES == names.RESERVED_NODE_NAMES


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"underlay": {"cidr": "10.0.0.0/33"}}, "spec.underlay.cidr", 'Invalid value: "10.0.0.0/33": must be a valid CIDR value'),
        ({"underlay": {"cidr": "10.0.0.1"}}, "spec.underlay.cidr", "must be a valid CIDR value"),
        ({"underlay": {"cidr": "10.0.0.1/24"}}, "spec.underlay.cidr", "must not have bits set beyond the prefix length; the network is 10.0.0.0/24"),
        ({"underlay": {"gateway": "10.0.0.1"}}, "spec.underlay.gateway", "must be a host address in 172.18.0.0/24"),
        ({"underlay": {"gateway": "172.18.0.255"}}, "spec.underlay.gateway", "must be a host address in 172.18.0.0/24"),
        ({"underlay": {"gateway": "x"}}, "spec.underlay.gateway", "must be a valid IP address"),
        ({"underlay": {"subnets": [{"cidr": "172.18.0.128/25"}]}}, "spec.underlay.subnets[0].cidr", "overlaps spec.underlay.cidr 172.18.0.0/24"),
        ({"underlay": {"mtu": 5}}, "spec.underlay.mtu", "must be between 576 and 65535"),
        ({"underlay": {"interface": "x" * 16}}, "spec.underlay.interface", "must be an interface name"),
        ({"underlay": {"client": {"address": "10.0.0.1"}}}, "spec.underlay.client.address", "no address for the client in 203.0.113.0/24"),
        (
            {"underlay": {"client": {"address": "203.0.113.1"}}},
            "spec.underlay.client.address",
            "must not be the first address, which is the router's",
        ),
        ({"network": {"podCIDR": "172.18.0.0/16"}}, "spec.network.podCIDR", "overlaps spec.underlay.cidr 172.18.0.0/24"),
        ({"network": {"podCIDR": "10.100.0.0/16"}}, "spec.services.cidr", "overlaps spec.network.podCIDR 10.100.0.0/16"),
        ({"network": {"podCIDR": "10.0.0.0/16,10.1.0.0/16"}}, "spec.network.podCIDR", "expected one CIDR of each IP family"),
        ({"network": {"nodeMask": 8}}, "spec.network.nodeMask", "a node's block would be larger than podCIDR 10.244.0.0/16"),
        ({"network": {"nodeMask": 33}}, "spec.network.nodeMask", "must be between 1 and 32"),
        ({"network": {"nodeMask": 31}}, "spec.nodes[0].podCIDR", "has no room for a gateway and a pod"),
        ({"network": {"podCIDR": "10.0.0.0/24"}}, "spec.nodes[1].podCIDR", "no free /24 is left in spec.network.podCIDR 10.0.0.0/24"),
        ({"network": {"bridge": "a b"}}, "spec.network.bridge", "must be an interface name"),
        ({"network": {"vni": 0}}, "spec.network.vni", "must be between 1 and 16777215"),
        ({"network": {"cniConf": {"name": "x"}}}, "spec.network.cniConf.plugins", "Required value"),
        ({"services": {"cidr": "10.0.0.0/8"}}, "spec.services.cidr", "must have a prefix length of /12 to /28"),
        ({"services": {"cidr": "fd00::/64"}}, "spec.services.cidr", "must have a prefix length of /108 to /124"),
        ({"services": {"nodePorts": "30000"}}, "spec.services.nodePorts", "must be a range of ports such as 30000-32767"),
        ({"services": {"nodePorts": "9-5"}}, "spec.services.nodePorts", "must be a range of ports"),
        ({"services": {"nodePorts": "1-99999"}}, "spec.services.nodePorts", "must be a range of ports"),
        ({"dns": {"domain": "A_b"}}, "spec.dns.domain", "a lowercase RFC 1123 subdomain"),
        ({"dns": {"upstream": ["x"]}}, "spec.dns.upstream[0]", "must be a valid IP address"),
        ({"nodes": [{"name": "a"}, {"name": "a"}]}, "spec.nodes[1].name", 'Duplicate value: "a"'),
        ({"nodes": [{"name": "client"}]}, "spec.nodes[0].name", "is a name of the lab's own"),
        ({"nodes": [{"name": "A_"}]}, "spec.nodes[0].name", "a lowercase RFC 1123 subdomain"),
        ({"nodes": [{"name": ""}]}, "spec.nodes[0].name", "Required value"),
        ({"nodes": [{"name": "a", "address": "10.0.0.1"}]}, "spec.nodes[0].address", "is outside the underlay (172.18.0.0/24)"),
        ({"nodes": [{"name": "a", "address": "172.18.0.255"}]}, "spec.nodes[0].address", "is the network or broadcast address of 172.18.0.0/24"),
        ({"nodes": [{"name": "a", "address": "172.18.0.1"}]}, "spec.nodes[0].address", 'Duplicate value: "172.18.0.1": the gateway has it'),
        ({"nodes": [{"name": "a", "address": "172.18.0.9"}, {"name": "b", "address": "172.18.0.9"}]}, "spec.nodes[1].address", "a has it"),
        ({"nodes": [{"name": "a", "address": "172.18.0.9,172.18.0.8"}]}, "spec.nodes[0].address", "may hold one address of each family only"),
        ({"nodes": [{"name": "a", "podCIDR": "10.9.0.0/24"}]}, "spec.nodes[0].podCIDR", "is outside spec.network.podCIDR 10.244.0.0/16"),
        ({"nodes": [{"name": "a", "podCIDR": "10.0.0.0/8"}]}, "spec.nodes[0].podCIDR", "is outside spec.network.podCIDR 10.244.0.0/16"),
        (
            {"nodes": [{"name": "a", "podCIDR": "10.244.1.0/24"}, {"name": "b", "podCIDR": "10.244.0.0/23"}]},
            "spec.nodes[1].podCIDR",
            "overlaps 10.244.1.0/24 of a",
        ),
        ({"nodes": [{"name": "a", "labels": {"a b": "c"}}]}, "spec.nodes[0].labels", "name part must consist of"),
        ({"nodes": [{"name": "a", "maxPods": -1}]}, "spec.nodes[0].maxPods", "must be between 0 and"),
        (
            {"underlay": {"cidr": "172.18.0.0/30"}, "nodes": [{"name": "a"}, {"name": "b"}]},
            "spec.nodes[1].address",
            "no address is left in the underlay",
        ),
    ],
)
def test_refusals(spec: dict[str, Any], path: str, message: str) -> None:
    assert [(found, text) for found, text in faults_of(**spec) if found == path and message in text] != [], faults_of(**spec)


def test_what_cannot_be_read_makes_no_further_faults() -> None:
    assert [path for path, _ in faults_of(underlay={"cidr": "x"}, nodes=[{"name": "a", "address": "10.0.0.1"}])] == ["spec.underlay.cidr"]
    assert [path for path, _ in faults_of(network={"podCIDR": "x"}, nodes=[{"name": "a", "podCIDR": "10.0.0.0/24"}])] == ["spec.network.podCIDR"]


def test_more_nodes_than_the_fabric_has_ports() -> None:
    spec = {"underlay": {"cidr": "172.18.0.0/20"}, "network": {"nodeMask": 28}, "nodes": [{"name": f"n{index}"} for index in range(1023)]}
    assert faults_of(**spec) == [
        ("spec.nodes", "1023 nodes in 172.18.0.0/20: the fabric's bridge has 1023 ports, one of them the router's; use more subnets")
    ]
    spec["nodes"].pop()
    assert faults_of(**spec) == []


def test_free_blocks() -> None:
    taken = [ip_network("10.0.0.64/26"), ip_network("10.0.1.0/25"), ip_network("fd00::/64")]
    assert [str(block) for block in free_blocks(ip_network("10.0.0.0/23"), 25, taken)] == ["10.0.0.128/25", "10.0.1.128/25"]
    assert list(free_blocks(ip_network("10.0.0.0/24"), 23, [])) == []
    assert [str(block) for block in free_blocks(ip_network("10.0.0.0/24"), 24, [])] == ["10.0.0.0/24"]
    assert list(free_blocks(ip_network("10.0.0.0/24"), 26, [ip_network("10.0.0.0/16")])) == []


def test_free_addresses() -> None:
    assert [str(address) for address in free_addresses(ip_network("10.0.0.0/29"), [ip_address("10.0.0.2")])] == [
        f"10.0.0.{last}" for last in (1, 3, 4, 5, 6)
    ]
    assert first_address(ip_network("10.0.0.0/24")) == ip_address("10.0.0.1")
    assert first_address(ip_network("10.0.0.7/32")) == ip_address("10.0.0.7")
    assert interface_of(ip_address("10.0.0.7"), ip_network("10.0.0.0/24")) == ip_interface("10.0.0.7/24")
