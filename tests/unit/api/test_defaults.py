"""What the API server fills in, as `kubectl get -o yaml` shows it on a real cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from klab.api.defaults import default
from klab.api.defaults_pod import calc_pull_policy, calc_qos_class


def spec_of(api_version: str, kind: str, **spec: Any) -> dict[str, Any]:
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    before = copy.deepcopy(obj)
    result = default(obj)
    assert obj == before
    assert default(result) == result
    found: dict[str, Any] = result["spec"]
    return found


CONTAINER = {"name": "c", "image": "nginx"}


def test_a_pod() -> None:
    spec = spec_of(
        "v1", "Pod", containers=[{**CONTAINER, "ports": [{"containerPort": 80}]}], volumes=[{"name": "v"}, {"name": "c", "configMap": {"name": "c"}}]
    )
    assert spec == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": "default",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c", "defaultMode": 420}}],
    }


def test_metadata_and_status_of_a_pod() -> None:
    pod = default(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": None}, "spec": {"containers": [CONTAINER], "hostname": None}}
    )
    assert pod["metadata"] == {"name": "x", "namespace": "default"}
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert "hostname" not in pod["spec"]
    assert "namespace" not in default({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}})["metadata"]


def test_what_is_said_stays() -> None:
    spec = spec_of("v1", "Pod", containers=[CONTAINER], terminationGracePeriodSeconds=0, restartPolicy="Never", tolerations=[{"operator": "Exists"}])
    assert (spec["terminationGracePeriodSeconds"], spec["restartPolicy"], spec["tolerations"]) == (0, "Never", [{"operator": "Exists"}])


def test_probes_and_references() -> None:
    container = {
        **CONTAINER,
        "readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 5},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    (filled,) = spec_of("v1", "Pod", containers=[container])["containers"]
    assert filled["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 5,
    }
    assert filled["lifecycle"]["preStop"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert filled["env"][0]["valueFrom"]["fieldRef"] == {"fieldPath": "metadata.name", "apiVersion": "v1"}


def test_limits_are_requests_in_a_pod_but_not_in_a_template() -> None:
    limited = {**CONTAINER, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}
    assert spec_of("v1", "Pod", containers=[limited])["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [limited]}}
    deployment = spec_of("apps/v1", "Deployment", template=template, selector={})
    assert deployment["template"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m"}
    assert "tolerations" not in deployment["template"]["spec"]


def test_host_network_pods_take_their_ports_on_the_host() -> None:
    spec = spec_of("v1", "Pod", hostNetwork=True, containers=[{**CONTAINER, "ports": [{"containerPort": 80}]}])
    assert spec["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_a_service() -> None:
    assert spec_of("v1", "Service", ports=[{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": "dns"}]) == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}, {"port": 53, "protocol": "UDP", "targetPort": "dns"}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }


@pytest.mark.parametrize(
    ("spec", "filled"),
    [
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
        ({"externalIPs": ["1.2.3.4"]}, {"externalTrafficPolicy": "Cluster"}),
        ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
        ({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, {"sessionAffinityConfig": None}),
        ({"type": "ExternalName", "externalName": "x.y"}, {"internalTrafficPolicy": None, "externalTrafficPolicy": None}),
        ({}, {"externalTrafficPolicy": None}),
    ],
)
def test_kinds_of_services(spec: dict[str, Any], filled: dict[str, Any]) -> None:
    found = spec_of("v1", "Service", **spec)
    assert {key: found.get(key) for key in filled} == filled


def test_workloads() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
    deployment = spec_of("apps/v1", "Deployment", template=template)
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert (deployment["replicas"], deployment["revisionHistoryLimit"], deployment["progressDeadlineSeconds"]) == (1, 10, 600)
    assert deployment["template"]["spec"]["restartPolicy"] == "Always"
    assert spec_of("apps/v1", "Deployment", replicas=0, strategy={"type": "Recreate"})["strategy"] == {"type": "Recreate"}
    assert spec_of("apps/v1", "Deployment", replicas=0)["replicas"] == 0
    assert spec_of("apps/v1", "DaemonSet")["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    stateful = spec_of("apps/v1", "StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "v"}}])
    assert (stateful["podManagementPolicy"], stateful["updateStrategy"]) == (
        "OrderedReady",
        {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    )
    assert stateful["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"
    assert spec_of("v1", "ReplicationController", template=template)["selector"] == {"a": "b"}
    job = spec_of("batch/v1", "Job", template=template)
    assert (job["completions"], job["parallelism"], job["backoffLimit"], job["completionMode"]) == (1, 1, 6, "NonIndexed")
    assert "completions" not in spec_of("batch/v1", "Job", parallelism=3)
    assert spec_of("batch/v1", "CronJob", schedule="* * * * *")["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"


def test_other_kinds() -> None:
    assert spec_of("networking.k8s.io/v1", "NetworkPolicy", egress=[{"ports": [{"port": 53}]}]) == {
        "egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}],
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    secret = default({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "hi"}})
    assert (secret["data"], secret["type"], "stringData" in secret) == ({"a": "YQ==", "b": "aGk="}, "Opaque", False)
    namespace = default({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    assert (namespace["metadata"]["labels"], namespace["status"]) == ({"kubernetes.io/metadata.name": "n"}, {"phase": "Active"})
    endpoints = default({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"}, "subsets": [{"ports": [{"port": 80}]}]})
    assert endpoints["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
    binding = default(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "u"}]}
    )
    assert binding["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_pull_policies(image: str, policy: str) -> None:
    assert calc_pull_policy(image) == policy


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_quality_of_service(resources: list[dict[str, Any]], qos: str) -> None:
    assert calc_qos_class({"containers": [{"resources": part} for part in resources]}) == qos


def test_an_unknown_kind_is_only_copied() -> None:
    assert default({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"a": None, "b": [1]}}) == {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "spec": {"b": [1]},
    }
