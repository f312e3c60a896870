"""Variables of a container, as the kubelet's own tests state them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from klab.api.pod import Pod
from klab.api.service import Service
from klab.kubelet.environment import (
    ConfigError,
    NodeFacts,
    expand,
    expand_static,
    process_environment,
    resolve_environment,
    service_environment,
)

FACTS = NodeFacts(("172.18.0.11", "fd00::11"), {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110"})
OBJECTS = {
    ("ConfigMap", "default", "settings"): {"data": {"color": "blue", "size": "5"}, "binaryData": {"blob": "AAE="}},
    ("Secret", "default", "key"): {"data": {"password": base64.b64encode(b"s3cret").decode()}, "stringData": {"user": "admin"}},
}


def find(kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    return OBJECTS.get((kind, namespace, name))


def resolve(*env: Mapping[str, Any], service_env: Mapping[str, str] | None = None, status: Any = None, **container: Any) -> dict[str, str]:
    pod = Pod.of(
        {
            "metadata": {
                "name": "web",
                "namespace": "default",
                "uid": "u-1",
                "labels": {"app": "shop"},
                "annotations": {"example.com/Note": 'a "b"'},
            },
            "spec": {
                "nodeName": "node1",
                "containers": [{"name": "main", "env": list(env), **container}, {"name": "side", "resources": {"limits": {"cpu": "1500m"}}}],
            },
            "status": status or {},
        }
    )
    return resolve_environment(pod, pod.containers[0], FACTS, find, service_env or {})


def value_of(source: Mapping[str, Any], **container: Any) -> str:
    return resolve({"name": "X", "valueFrom": source}, **container)["X"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(VAR_A)", "A"),
        ("$(VAR_A)_$(VAR_B)", "A_B"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
        ("foo$$bar", "foo$bar"),
        ("$VAR_A", "$VAR_A"),
        ("$(MISSING)", "$(MISSING)"),
        ("$(VAR_A", "$(VAR_A"),
        ("$(VAR_A))", "A)"),
        ("$($(VAR_A))", "$($(VAR_A))"),
        ("$(EMPTY)", ""),
        ("$()", "$()"),
        ("cost: 5$", "cost: 5$"),
        ("$ü$(VAR_B)", "$üB"),
        ("\\$(VAR_A)", "\\A"),
        ("$(VAR_REF)", "$(VAR_A)"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    env = {"VAR_A": "A", "VAR_B": "B", "EMPTY": "", "VAR_REF": "$(VAR_A)"}
    assert expand([text], env) == (expected,)


def test_a_variable_sees_those_above_it_and_services_but_not_those_below() -> None:
    env = resolve(
        {"name": "URL", "value": "http://$(HOST):$(WEB_SERVICE_PORT)/$(LATER)"},
        {"name": "HOST", "value": "web"},
        {"name": "LATER", "value": "x"},
        {"name": "AGAIN", "value": "$(URL) $(HOST)"},
        service_env={"WEB_SERVICE_PORT": "80", "HOST": "service"},
    )
    assert env["URL"] == "http://service:80/$(LATER)"
    assert env["AGAIN"] == "http://service:80/$(LATER) web"
    assert env["HOST"] == "web"
    assert env["WEB_SERVICE_PORT"] == "80"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "shop"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['example.com/Note']", 'a "b"'),
        ("metadata.annotations", 'example.com/Note="a \\"b\\""'),
        ("spec.nodeName", "node1"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.0.0.5"),
        ("status.podIPs", "10.0.0.5,fd01::5"),
        ("status.hostIP", "172.18.0.11"),
        ("status.hostIPs", "172.18.0.11,fd00::11"),
    ],
)
def test_field_reference(path: str, expected: str) -> None:
    status = {"podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd01::5"}]}
    assert resolve({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}, status=status)["X"] == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("status.phase", "field label not supported: status.phase"),
        ("metadata.name['x']", "fieldPath \"metadata.name['x']\" does not support subscript"),
        ("metadata.labels['a/b/c']", "invalid key subscript in metadata.labels['a/b/c']: a valid label key"),
    ],
)
def test_unknown_field(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value_of({"fieldRef": {"fieldPath": path}})
    assert str(caught.value).startswith(message)


def test_a_pod_on_the_nodes_network_has_the_nodes_addresses() -> None:
    pod = Pod.of({"metadata": {"name": "p"}, "spec": {"hostNetwork": True, "containers": [{"name": "c"}]}})
    container = replace(pod.containers[0], env=Pod.of({"spec": {"containers": [{"env": [ref("status.podIP")]}]}}).containers[0].env)
    assert resolve_environment(pod, container, FACTS, find, {}) == {"X": "172.18.0.11"}


def ref(path: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("limits.cpu", None, "1"),
        ("limits.cpu", "1m", "250"),
        ("requests.cpu", "1m", "100"),
        ("limits.memory", None, "67108864"),
        ("limits.memory", "1Mi", "64"),
        ("limits.memory", "1Gi", "1"),
        ("requests.memory", "1Mi", "64"),  # unset: as much as the limit (API defaulting)
        ("limits.ephemeral-storage", "1Gi", "100"),  # unset: what the node has
        ("requests.ephemeral-storage", "1Gi", "0"),
        ("limits.memory", "0", "67108864"),
        ("limits.hugepages-2Mi", "1Mi", "4"),
    ],
)
def test_resource_reference(resource: str, divisor: str | None, expected: str) -> None:
    reference = {"resource": resource} | ({"divisor": divisor} if divisor else {})
    resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "250m", "memory": "64Mi", "hugepages-2Mi": "4Mi"}}
    assert value_of({"resourceFieldRef": reference}, resources=resources) == expected


def test_resource_of_another_container() -> None:
    assert value_of({"resourceFieldRef": {"containerName": "side", "resource": "limits.cpu", "divisor": "1m"}}) == "1500"
    with pytest.raises(ConfigError, match="container absent not found"):
        value_of({"resourceFieldRef": {"containerName": "absent", "resource": "limits.cpu"}})
    with pytest.raises(ConfigError, match="unsupported container resource : "):
        value_of({"resourceFieldRef": {"resource": "limits.pods"}})


def test_keys_of_config_maps_and_secrets() -> None:
    assert value_of({"configMapKeyRef": {"name": "settings", "key": "color"}}) == "blue"
    assert value_of({"secretKeyRef": {"name": "key", "key": "password"}}) == "s3cret"
    assert value_of({"secretKeyRef": {"name": "key", "key": "user"}}) == "admin"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "absent", "key": "a"}}, 'configmap "absent" not found'),
        ({"secretKeyRef": {"name": "absent", "key": "a"}}, 'secret "absent" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "y"}}, "couldn't find key y in ConfigMap default/settings"),
        ({"configMapKeyRef": {"name": "settings", "key": "blob"}}, "couldn't find key blob in ConfigMap default/settings"),
        ({"secretKeyRef": {"name": "key", "key": "y"}}, "couldn't find key y in Secret default/key"),
    ],
)
def test_what_is_missing_is_named(source: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value_of(source)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "source",
    [
        {"configMapKeyRef": {"name": "absent", "key": "a", "optional": True}},
        {"configMapKeyRef": {"name": "settings", "key": "y", "optional": True}},
        {"secretKeyRef": {"name": "absent", "key": "a", "optional": True}},
        {"secretKeyRef": {"name": "key", "key": "y", "optional": True}},
    ],
)
def test_an_optional_variable_is_left_out(source: Mapping[str, Any]) -> None:
    assert resolve({"name": "X", "valueFrom": source}) == {}


def test_broken_base64_is_said() -> None:
    pod = Pod.of({"metadata": {"namespace": "default"}, "spec": {"containers": [{"envFrom": [{"secretRef": {"name": "broken"}}]}]}})
    with pytest.raises(ConfigError, match="illegal base64 data"):
        resolve_environment(pod, pod.containers[0], FACTS, lambda *_: {"data": {"a": "%%"}}, {})


def test_env_from_with_prefix_and_env_wins() -> None:
    env = resolve(
        {"name": "size", "value": "$(S_user)/$(color)"},
        envFrom=[
            {"configMapRef": {"name": "settings"}},
            {"prefix": "S_", "secretRef": {"name": "key"}},
            {"configMapRef": {"name": "no", "optional": True}},
        ],
    )
    assert env == {"color": "blue", "size": "admin/blue", "S_password": "s3cret", "S_user": "admin"}
    with pytest.raises(ConfigError, match='secret "absent" not found'):
        resolve(envFrom=[{"secretRef": {"name": "absent"}}])


def service(name: str, ip: str = "10.96.0.7", namespace: str = "default", **spec: Any) -> Service:
    ports = spec.pop("ports", [{"port": 80}])
    return Service.of({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports, **spec}})


def test_service_variables() -> None:
    ports = [{"name": "http", "port": 8080}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]
    assert service_environment([service("my-web", ports=ports)], "default") == {
        "MY_WEB_SERVICE_HOST": "10.96.0.7",
        "MY_WEB_SERVICE_PORT": "8080",
        "MY_WEB_SERVICE_PORT_HTTP": "8080",
        "MY_WEB_SERVICE_PORT_DNS_UDP": "53",
        "MY_WEB_PORT": "tcp://10.96.0.7:8080",
        "MY_WEB_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        "MY_WEB_PORT_8080_TCP_PROTO": "tcp",
        "MY_WEB_PORT_8080_TCP_PORT": "8080",
        "MY_WEB_PORT_8080_TCP_ADDR": "10.96.0.7",
        "MY_WEB_PORT_53_UDP": "udp://10.96.0.7:53",
        "MY_WEB_PORT_53_UDP_PROTO": "udp",
        "MY_WEB_PORT_53_UDP_PORT": "53",
        "MY_WEB_PORT_53_UDP_ADDR": "10.96.0.7",
    }


def test_an_ipv6_service_is_bracketed_in_urls() -> None:
    env = service_environment([service("six", "fd00::7")], "default")
    assert env["SIX_PORT"] == "tcp://[fd00::7]:80"
    assert env["SIX_PORT_80_TCP_ADDR"] == "fd00::7"


def test_which_services_a_pod_sees() -> None:
    services = [
        service("kubernetes", "10.96.0.1"),
        service("web"),
        service("other", namespace="shop"),
        service("headless", "None"),
        service("outside", "", type="ExternalName", externalName="example.com"),
    ]
    hosts = {name for name in service_environment(services, "default") if name.endswith("_SERVICE_HOST")}
    assert hosts == {"KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"}
    hosts = {name for name in service_environment(services, "shop") if name.endswith("_SERVICE_HOST")}
    assert hosts == {"KUBERNETES_SERVICE_HOST", "OTHER_SERVICE_HOST"}
    hosts = {name for name in service_environment(services, "shop", links=False) if name.endswith("_SERVICE_HOST")}
    assert hosts == {"KUBERNETES_SERVICE_HOST"}


def test_a_namespaces_own_service_kubernetes_wins_there() -> None:
    services = [service("kubernetes", "10.96.0.9", namespace="shop"), service("kubernetes", "10.96.0.1")]
    assert service_environment(services[::-1], "shop")["KUBERNETES_SERVICE_HOST"] == "10.96.0.9"


def test_what_the_runtime_adds_can_be_overridden_and_is_unknown_to_expansion() -> None:
    assert process_environment({"PATH": "/x"}, "web-0") == {"PATH": "/x", "HOSTNAME": "web-0", "HOME": "/root"}
    assert process_environment({}, "web-0", tty=True)["TERM"] == "xterm"
    assert "HOSTNAME" not in resolve()


def test_a_probes_command_knows_literal_variables_alone() -> None:
    pod = Pod.of({"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, ref("metadata.name")]}]}})
    assert expand_static(["test", "$(A)", "$(X)"], pod.containers[0]) == ("test", "1", "$(X)")
