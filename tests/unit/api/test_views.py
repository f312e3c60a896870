"""Typed views of metadata and pods."""

from __future__ import annotations

from klab.api.meta import Meta, OwnerReference, describe, labels_of, name_of, namespace_of
from klab.api.pod import Container, ContainerPort, DnsConfig, EnvFrom, EnvSource, EnvVar, HostAlias, Pod, Toleration, VolumeMount, parse_fixed_ips

FULL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web"},
        "annotations": {"cni.projectcalico.org/ipAddrs": '["10.1.2.3", "fd00::3"]'},
        "resourceVersion": "7",
        "generation": 2,
        "deletionTimestamp": "2024-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 0,
        "finalizers": ["x/y"],
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u0"},
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u2", "controller": True},
        ],
    },
    "spec": {
        "nodeName": "node1",
        "hostNetwork": True,
        "hostname": "h",
        "subdomain": "s",
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["x.y"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": 9,
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}, {"key": "k", "value": "v", "effect": "NoExecute", "tolerationSeconds": 5}],
        "initContainers": [{"name": "i", "image": "busybox", "restartPolicy": "Always"}],
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "command": ["sh"],
                "args": ["-c", "x"],
                "workingDir": "/w",
                "tty": True,
                "ports": [{"containerPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP", "hostPort": 53, "hostIP": "10.0.0.1"}],
                "env": [
                    {"name": "A", "value": "b"},
                    {"name": "EMPTY"},
                    {"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
                    {"name": "CM", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k", "optional": True}}},
                    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}}},
                ],
                "envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/m", "subPath": "p", "readOnly": True}],
                "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
                "readinessProbe": {"tcpSocket": {"port": 80}},
            }
        ],
        "readinessGates": [{"conditionType": "example.com/ready"}],
    },
    "status": {"phase": "Running", "podIPs": [{"ip": "10.1.2.3"}], "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_a_pod_in_full() -> None:
    pod = Pod.of(FULL)
    assert (pod.name, pod.namespace, pod.uid, pod.labels, pod.meta.resource_version) == ("web", "shop", "u1", {"app": "web"}, "7")
    assert (pod.node_name, pod.host_network, pod.hostname, pod.subdomain, pod.restart_policy) == ("node1", True, "h", "s", "Never")
    assert pod.host_aliases == (HostAlias("1.2.3.4", ("a", "b")),)
    assert pod.dns_config == DnsConfig(("9.9.9.9",), ("x.y",), (("ndots", "2"), ("edns0", None)))
    assert (pod.termination_grace_period_seconds, pod.active_deadline_seconds) == (0, 9)
    assert pod.tolerations == (Toleration("", "Exists", "", "", None), Toleration("k", "Equal", "v", "NoExecute", 5))
    assert [(container.name, container.restart_policy) for container in pod.init_containers] == [("i", "Always")]
    assert pod.fixed_ips == ("10.1.2.3", "fd00::3")
    assert (pod.phase, pod.pod_ips, pod.ready, pod.finished, pod.terminating) == ("Running", ("10.1.2.3",), True, False, True)
    assert pod.readiness_gates == ("example.com/ready",)
    assert pod.meta.controller == OwnerReference("apps/v1", "ReplicaSet", "rs", "u2", controller=True)


def test_a_container_in_full() -> None:
    (container,) = Pod.of(FULL).containers
    assert (container.command, container.args, container.working_dir, container.tty) == (("sh",), ("-c", "x"), "/w", True)
    assert container.ports == (ContainerPort("", 80, "TCP", 0, ""), ContainerPort("dns", 53, "UDP", 53, "10.0.0.1"))
    assert container.env == (
        EnvVar("A", "b", None),
        EnvVar("EMPTY", "", None),
        EnvVar("IP", "", EnvSource("fieldRef", "", "status.podIP", optional=False)),
        EnvVar("CM", "", EnvSource("configMapKeyRef", "cm", "k", optional=True)),
        EnvVar("CPU", "", EnvSource("resourceFieldRef", "c", "limits.cpu", optional=False, divisor="1m")),
    )
    assert container.env_from == (EnvFrom("secretRef", "s", "P_", optional=False),)
    assert container.volume_mounts == (VolumeMount("v", "/m", "p", read_only=True),)
    assert (container.requests, container.limits) == ({"cpu": "1"}, {"memory": "1Gi"})
    assert (container.readiness_probe, container.liveness_probe) == ({"tcpSocket": {"port": 80}}, None)


def test_what_is_absent_has_the_api_servers_default() -> None:
    pod = Pod.of({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c"}]}})
    assert (pod.namespace, pod.dns_policy, pod.restart_policy, pod.termination_grace_period_seconds) == ("", "ClusterFirst", "Always", 30)
    assert (pod.phase, pod.service_account_name, pod.scheduler_name, pod.ready, pod.pod_ips) == ("Pending", "default", "default-scheduler", False, ())
    assert Container.of({"name": "c"}).termination_message_path == "/dev/termination-log"
    assert Pod.of({}).containers == ()


def test_finished_pods() -> None:
    assert [Pod.of({"status": {"phase": phase}}).finished for phase in ("Pending", "Running", "Succeeded", "Failed")] == [False, False, True, True]


def test_fixed_addresses_that_are_no_list_are_none() -> None:
    key = "cni.projectcalico.org/ipAddrs"
    assert [parse_fixed_ips({key: text}) for text in ("", "x", "5", "[5]", '"10.0.0.1"', "[]")] == [()] * 6


def test_metadata_of_what_is_no_object_is_empty() -> None:
    for obj in ({}, {"metadata": None}, {"metadata": []}, {"metadata": {"name": 5, "labels": []}}):
        assert (name_of(obj), namespace_of(obj), labels_of(obj)) == ("", "", {})
    assert Meta.of({}).controller is None


def test_describe() -> None:
    assert describe(FULL) == "Pod shop/web"
    assert describe({"kind": "Node", "metadata": {"name": "n"}}) == "Node n"
    assert describe({}) == ""
