"""EndpointSlices and Endpoints from services and pods."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.pod import Pod
from klab.api.service import Service
from klab.controlplane.controllers.endpoints import reconcile_endpoints
from klab.controlplane.controllers.endpointslice import reconcile_mirror, reconcile_slices, selected

Object = dict[str, Any]
ZONES = {"node1": "a", "node2": ""}


def service(**spec: Any) -> Object:
    base = {"clusterIP": "10.96.0.9", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], "ipFamilies": ["IPv4"]}
    return {"metadata": {"name": "web", "namespace": "default", "uid": "s1", "labels": {"team": "x"}}, "spec": {**base, **spec}}


def pod(number: int, *, ready: bool = True, terminating: bool = False, node: str = "node1", phase: str = "Running", **spec: Any) -> Pod:
    metadata = {"name": f"web-{number}", "namespace": "default", "uid": f"p{number}", "labels": {"app": "web"}}
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ips = [{"ip": f"10.244.{number // 250}.{number % 250 + 1}"}, {"ip": f"fd00::{number:x}"}]
    status = {"phase": phase, "podIPs": ips, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return Pod.of({"metadata": metadata, "spec": {"nodeName": node, "containers": [{"name": "c"}], **spec}, "status": status})


def stored(slices: list[Any]) -> list[Object]:
    """Give what the store makes of them: names."""
    found = []
    for number, piece in enumerate(slices):
        metadata = dict(piece["metadata"])
        prefix = metadata.pop("generateName", None)
        found.append(piece if prefix is None else {**piece, "metadata": {**metadata, "name": f"{prefix}{number}x{len(slices)}"}})
    return found


def addresses(slices: list[Any]) -> list[list[str]]:
    return [[endpoint["addresses"][0] for endpoint in piece["endpoints"]] for piece in slices]


def test_a_slice() -> None:
    """Everything that a ready pod says about itself."""
    (made,) = reconcile_slices(service(), [pod(1, hostname="zero", subdomain="web")], ZONES, [])
    assert made == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": "web-",
            "namespace": "default",
            "labels": {
                "team": "x",
                "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s1", "controller": True, "blockOwnerDeletion": True}],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.244.0.2"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "default", "uid": "p1"},
                "nodeName": "node1",
                "zone": "a",
                "hostname": "zero",
            }
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    }


@pytest.mark.parametrize(
    ("ready", "terminating", "publish", "expected"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (False, False, True, (True, False, False)),
        (True, True, False, (False, True, True)),
        (True, True, True, (True, True, True)),
    ],
)
def test_conditions(*, ready: bool, terminating: bool, publish: bool, expected: tuple[bool, bool, bool]) -> None:
    (made,) = reconcile_slices(service(publishNotReadyAddresses=publish), [pod(1, ready=ready, terminating=terminating)], ZONES, [])
    conditions = made["endpoints"][0]["conditions"]
    assert (conditions["ready"], conditions["serving"], conditions["terminating"]) == expected


def test_pods_that_are_no_endpoints() -> None:
    """Finished ones, ones without an address, ones whose node is gone; the service then has one empty slice."""
    bare = Pod.of({"metadata": {"name": "new", "namespace": "default"}, "spec": {}, "status": {}})
    (made,) = reconcile_slices(service(), [pod(1, phase="Succeeded"), bare, pod(2, node="gone")], ZONES, [])
    assert (made["endpoints"], made["ports"]) == ([], [])
    (empty,) = stored([made])
    assert reconcile_slices(service(), [], ZONES, [empty])[0] is empty
    (published,) = reconcile_slices(service(publishNotReadyAddresses=True), [pod(2, node="gone")], ZONES, [])
    assert addresses([published]) == [["10.244.0.3"]]


def test_named_target_ports_are_each_pods_own() -> None:
    """Pods with the same numbers share a slice; a port that a pod does not declare with that protocol is not there."""

    def declaring(number: int, *ports: Object) -> Pod:
        return pod(number, containers=[{"name": "c", "ports": list(ports)}])

    ports = [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "dns", "port": 53, "targetPort": "q", "protocol": "UDP"}]
    one, other = {"name": "web", "containerPort": 8080}, {"name": "web", "containerPort": 9090}
    tcp = {"name": "q", "containerPort": 53}
    pods = [declaring(1, one), declaring(2, other), declaring(3, one, tcp), declaring(4, one, {**tcp, "protocol": "UDP"})]
    made = reconcile_slices(service(ports=ports), pods, ZONES, [])
    found = {tuple((port["name"], port["port"]) for port in piece["ports"]): addresses([piece])[0] for piece in made}
    assert found == {
        (("http", 8080),): ["10.244.0.2", "10.244.0.4"],
        (("http", 9090),): ["10.244.0.3"],
        (("http", 8080), ("dns", 53)): ["10.244.0.5"],
    }


def test_sidecars_declare_ports_too() -> None:
    sidecar = {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 15001}]}
    ports = [{"port": 80, "targetPort": "web"}]
    (made,) = reconcile_slices(service(ports=ports), [pod(1, initContainers=[sidecar])], ZONES, [])
    assert made["ports"] == [{"name": "", "protocol": "TCP", "port": 15001}]


def test_a_hundred_endpoints_a_slice() -> None:
    made = reconcile_slices(service(), [pod(number) for number in range(250)], ZONES, [])
    assert [len(piece["endpoints"]) for piece in made] == [100, 100, 50]


def test_nothing_changes_without_a_reason() -> None:
    """The mappings that stand come back themselves, in whatever order the pods are."""
    pods = [pod(number) for number in range(120)]
    standing = stored(reconcile_slices(service(), pods, ZONES, []))
    again = reconcile_slices(service(), pods[::-1], ZONES, standing)
    assert all(one is other for one, other in zip(again, standing, strict=True))


def test_endpoints_stay_where_they_are() -> None:
    """One that goes leaves a place, which the next one takes; the other slices are not touched."""
    pods = [pod(number) for number in range(150)]
    first, second = stored(reconcile_slices(service(), pods, ZONES, []))
    changed = reconcile_slices(service(), [*pods[1:], pod(200)], ZONES, [first, second])
    assert changed[1] is second
    assert changed[0]["metadata"]["name"] == first["metadata"]["name"]
    assert addresses([changed[0]])[0][-1] == "10.244.0.201"
    assert len(changed[0]["endpoints"]) == 100
    grown = reconcile_slices(service(), [*pods, pod(200)], ZONES, [first, second])
    assert grown[0] is first
    assert len(grown[1]["endpoints"]) == 51


def test_a_changed_condition_changes_one_slice() -> None:
    pods = [pod(number) for number in range(150)]
    first, second = stored(reconcile_slices(service(), pods, ZONES, []))
    pods[140] = pod(140, ready=False)
    changed = reconcile_slices(service(), pods, ZONES, [first, second])
    assert changed[0] is first
    assert [endpoint["conditions"]["ready"] for endpoint in changed[1]["endpoints"]].count(False) == 1


def test_changed_ports_and_labels() -> None:
    """Other ports are another slice; other labels are the same slice with other labels; slices of a namesake that is gone are not taken over."""
    (standing,) = stored(reconcile_slices(service(), [pod(1)], ZONES, []))
    (moved,) = reconcile_slices(service(ports=[{"name": "http", "port": 80, "targetPort": 81}]), [pod(1)], ZONES, [standing])
    assert "name" not in moved["metadata"]
    relabelled = service()
    relabelled["metadata"] = {**relabelled["metadata"], "labels": {"team": "y"}}
    (kept,) = reconcile_slices(relabelled, [pod(1)], ZONES, [standing])
    assert (kept["metadata"]["name"], kept["metadata"]["labels"]["team"]) == (standing["metadata"]["name"], "y")
    heir = service()
    heir["metadata"] = {**heir["metadata"], "uid": "s2"}
    assert "name" not in reconcile_slices(heir, [pod(1)], ZONES, [standing])[0]["metadata"]


def test_headless_and_dual_stack() -> None:
    headless = service(clusterIP="None", clusterIPs=["None"], ports=[], ipFamilies=["IPv4", "IPv6"])
    four, six = reconcile_slices(headless, [pod(1)], ZONES, [])
    assert four["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert (four["ports"], four["addressType"], six["addressType"]) == ([], "IPv4", "IPv6")
    assert addresses([four, six]) == [["10.244.0.2"], ["fd00::1"]]


@pytest.mark.parametrize(
    ("distribution", "hints"),
    [
        ("PreferClose", {"forZones": [{"name": "a"}]}),
        ("PreferSameZone", {"forZones": [{"name": "a"}]}),
        ("PreferSameNode", {"forZones": [{"name": "a"}], "forNodes": [{"name": "node1"}]}),
        ("", None),
    ],
)
def test_hints(distribution: str, hints: Object | None) -> None:
    (made,) = reconcile_slices(service(trafficDistribution=distribution), [pod(1), pod(2, ready=False)], ZONES, [])
    assert [endpoint.get("hints") for endpoint in made["endpoints"]] == [hints, None]


def test_selection() -> None:
    """By namespace and all labels; a service without a selector selects nothing."""
    other = Pod.of({"metadata": {"name": "x", "namespace": "other", "labels": {"app": "web"}}})
    assert selected(Service.of(service()), [pod(1), other]) == [pod(1)]
    assert selected(Service.of(service(selector={"app": "web", "tier": "b"})), [pod(1)]) == []
    assert selected(Service.of(service(selector={})), [pod(1)]) == []


def test_hand_written_endpoints_are_mirrored() -> None:
    endpoints = {
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default", "uid": "e1"},
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1"}, {"ip": "fd00::1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2", "nodeName": "node1"}],
                "ports": [{"port": 80}],
            }
        ],
    }
    bare = service(selector=None)
    made = reconcile_mirror(bare, endpoints, [])
    assert {piece["addressType"]: addresses([piece])[0] for piece in made} == {"IPv4": ["192.0.2.1", "192.0.2.2"], "IPv6": ["fd00::1"]}
    assert made[0]["ports"] == [{"name": "", "protocol": "TCP", "port": 80}]
    assert [endpoint["conditions"]["ready"] for endpoint in made[0]["endpoints"]] == [True, False]
    standing = stored(made)
    assert all(one is other for one, other in zip(reconcile_mirror(bare, endpoints, standing), standing, strict=True))
    assert reconcile_mirror(service(), endpoints, standing) == []
    endpoints["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    assert reconcile_mirror(bare, endpoints, standing) == []


def test_endpoints_objects() -> None:
    """Addresses in order, by readiness; terminating pods are gone; what others wrote into the metadata stays."""
    pods = [pod(3), pod(1), pod(2, ready=False), pod(4, terminating=True)]
    made = reconcile_endpoints(service(), pods, {"metadata": {"name": "web", "resourceVersion": "7", "annotations": {"mine": "1"}}, "subsets": [{}]})
    assert made["metadata"]["resourceVersion"] == "7"
    assert made["metadata"]["annotations"] == {"mine": "1"}
    assert made["metadata"]["labels"] == {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    (subset,) = made["subsets"]
    assert [address["ip"] for address in subset["addresses"]] == ["10.244.0.2", "10.244.0.4"]
    assert [address["ip"] for address in subset["notReadyAddresses"]] == ["10.244.0.3"]
    assert subset["addresses"][0] == {
        "ip": "10.244.0.2",
        "nodeName": "node1",
        "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "default", "uid": "p1"},
    }
    assert subset["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]


def test_endpoints_of_a_service_without_pods_or_ports() -> None:
    assert "subsets" not in reconcile_endpoints(service(), [], None)
    (subset,) = reconcile_endpoints(service(clusterIP="None", ports=[]), [pod(1)], None)["subsets"]
    assert [address["ip"] for address in subset["addresses"]] == ["10.244.0.2"]
    assert "ports" not in subset


def test_endpoints_with_different_ports_are_subsets() -> None:
    def declaring(number: int, port: int) -> Pod:
        return pod(number, containers=[{"name": "c", "ports": [{"name": "web", "containerPort": port}]}])

    ports = [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "fixed", "port": 81}]
    made = reconcile_endpoints(service(ports=ports), [declaring(1, 8080), declaring(2, 9090)], None)
    found = {
        tuple(sorted(port["port"] for port in subset["ports"])): [address["ip"] for address in subset["addresses"]] for subset in made["subsets"]
    }
    assert found == {(81,): ["10.244.0.2", "10.244.0.3"], (8080,): ["10.244.0.2"], (9090,): ["10.244.0.3"]}


def test_a_thousand_addresses_at_most() -> None:
    pods = [pod(number, ready=number > 10) for number in range(1100)]
    made = reconcile_endpoints(service(), pods, None)
    assert sum(len(subset.get("addresses", ())) for subset in made["subsets"]) == 1000
    assert made["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
