"""Who gets which address of a node's block."""

from __future__ import annotations

import json
from typing import Any

from klab.api.lab_parse import parse_lab
from klab.api.nodes import node_objects
from klab.api.pod import Pod
from klab.cluster.addresses import allocate
from klab.cluster.topology import PINNED_ANNOTATION, Topology


def make_topology(pinned: str = "") -> Topology:
    spec = {"network": {"plugin": "vxlan", "podCIDR": "10.244.0.0/16"}, "nodes": [{"name": "node1", "podCIDR": "10.244.1.0/29"}]}
    lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": spec})
    assert not faults
    nodes = node_objects(lab, "6.1")
    for node in nodes:
        node["metadata"]["annotations"] = {PINNED_ANNOTATION: pinned}
    return Topology.of(lab, nodes, "")


def make_pod(name: str, fixed: str = "", held: str = "", namespace: str = "default") -> Pod:
    meta: dict[str, Any] = {"name": name, "namespace": namespace, "uid": name}
    if fixed:
        meta["annotations"] = {"cni.projectcalico.org/ipAddrs": json.dumps([fixed])}
    status = {"podIP": held, "podIPs": [{"ip": held}]} if held else {}
    return Pod.of({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": "node1", "containers": []}, "status": status})


def test_what_pods_of_the_files_are_pinned_to_is_kept_from_others() -> None:
    given, refused = allocate(make_topology("10.244.1.2,10.244.1.4"), [], [make_pod("first"), make_pod("second")])
    assert (given, refused) == ({"first": ("10.244.1.3",), "second": ("10.244.1.5",)}, {})


def test_who_is_pinned_gets_the_address_that_was_kept() -> None:
    given, refused = allocate(
        make_topology("10.244.1.2"), [make_pod("held", held="10.244.1.3")], [make_pod("free"), make_pod("pinned", "10.244.1.2")]
    )
    assert (given, refused) == ({"pinned": ("10.244.1.2",), "free": ("10.244.1.4",)}, {})


def test_a_block_is_full_where_the_rest_is_kept() -> None:
    pods = [make_pod(f"p{number}") for number in range(5)]
    given, refused = allocate(make_topology("10.244.1.6"), [], pods)
    assert list(given.values()) == [("10.244.1.2",), ("10.244.1.3",), ("10.244.1.4",), ("10.244.1.5",)]
    assert [str(error) for error in refused.values()] == [
        "no IP addresses available in range set: 10.244.1.0/29 for pod default/p4; all 8 are taken or kept"
    ]


def test_the_systems_pods_have_the_last_addresses_and_count_for_nobody() -> None:
    system = [make_pod("dns-1", namespace="kube-system"), make_pod("dns-2", namespace="kube-system")]
    given, refused = allocate(make_topology("10.244.1.5"), [], [*system, make_pod("first")])
    assert (given, refused) == ({"dns-1": ("10.244.1.6",), "dns-2": ("10.244.1.4",), "first": ("10.244.1.2",)}, {})
    holders = [make_pod("first", held="10.244.1.2"), make_pod("dns-1", held="10.244.1.6", namespace="kube-system")]
    given, refused = allocate(make_topology(), holders, [make_pod("second"), make_pod("greedy", "10.244.1.6")])
    assert given == {"second": ("10.244.1.3",)}
    assert [str(error) for error in refused.values()] == ["requested IP address 10.244.1.6 for pod default/greedy is not available in 10.244.1.0/29"]
