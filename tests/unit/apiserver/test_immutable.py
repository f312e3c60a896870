"""Changes that Kubernetes does not allow are told with their field."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver.immutable import check_update


def check(api_version: str, kind: str, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    return check_update(BUILTIN.of(api_version, kind), {"metadata": {"name": "a"}, **new}, {"metadata": {"name": "a"}, **old})


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "a"}], **spec}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pod(), pod(containers=[{"name": "c", "image": "b"}])),
        (pod(initContainers=[{"name": "i", "image": "a"}]), pod(initContainers=[{"name": "i", "image": "b"}])),
        (pod(tolerations=[{"key": "a"}]), pod(tolerations=[{"key": "a"}, {"key": "b"}])),
        (pod(), pod(activeDeadlineSeconds=5)),
        (pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=4)),
        (pod(terminationGracePeriodSeconds=-1), pod(terminationGracePeriodSeconds=1)),
        (pod(securityContext={}), pod()),
    ],
)
def test_what_of_a_pod_may_change(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert check("v1", "Pod", old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        (pod(), pod(nodeName="n"), "spec", "changed: spec.nodeName"),
        (pod(), pod(containers=[{"name": "c", "image": "b", "command": ["x"]}]), "spec", "changed: spec.containers[0].command"),
        (pod(), pod(containers=[]), "spec.containers", "Forbidden: pod updates may not add or remove containers"),
        (pod(tolerations=[{"key": "a"}]), pod(), "spec.tolerations", "Forbidden: existing toleration can not be modified"),
        (pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=6), "spec.activeDeadlineSeconds", "must be less than or equal to previous value"),
        (pod(activeDeadlineSeconds=5), pod(), "spec.activeDeadlineSeconds", "must not update from a positive integer to nil value"),
        (pod(terminationGracePeriodSeconds=5), pod(terminationGracePeriodSeconds=1), "spec", "changed: spec.terminationGracePeriodSeconds"),
        (pod(hostNetwork=True), pod(hostNetwork=False), "spec", "changed: spec.hostNetwork"),
    ],
)
def test_what_of_a_pod_may_not_change(old: dict[str, Any], new: dict[str, Any], path: str, words: str) -> None:
    ((found, message),) = check("v1", "Pod", old, new)
    assert found == path
    assert words in message


def test_selectors_are_immutable() -> None:
    for kind in ("Deployment", "ReplicaSet", "DaemonSet"):
        old, new = ({"spec": {"selector": {"matchLabels": {"app": label}}}} for label in "ab")
        assert check("apps/v1", kind, old, new) == [("spec.selector", 'Invalid value: {"matchLabels":{"app":"b"}}: field is immutable')]
        assert check("apps/v1", kind, old, old) == []


def test_what_of_a_stateful_set_may_change() -> None:
    old = {"spec": {"serviceName": "a", "replicas": 1}}
    assert check("apps/v1", "StatefulSet", old, {"spec": {"serviceName": "a", "replicas": 2}}) == []
    ((path, message),) = check("apps/v1", "StatefulSet", old, {"spec": {"serviceName": "b", "replicas": 1}})
    assert path == "spec"
    assert message == (
        "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
        "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    )


def test_an_immutable_config_map_stays() -> None:
    assert check("v1", "ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}) == []
    locked = {"immutable": True, "data": {"a": "1"}}
    words = "Forbidden: field is immutable when `immutable` is set"
    assert check("v1", "ConfigMap", locked, {"data": {"a": "1"}}) == [("immutable", words)]
    assert check("v1", "Secret", locked, {**locked, "data": {}}) == [("data", words)]


def test_other_fields_that_stay() -> None:
    assert check("rbac.authorization.k8s.io/v1", "RoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}})[0][0] == "roleRef"
    assert check("scheduling.k8s.io/v1", "PriorityClass", {"value": 1}, {"value": 2}) == [("value", "Forbidden: may not be changed in an update.")]
    assert check("storage.k8s.io/v1", "StorageClass", {"provisioner": "a"}, {"provisioner": "b"})[0][0] == "provisioner"
    assert check("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4"}, {"addressType": "IPv6"}) == [
        ("addressType", 'Invalid value: "IPv6": field is immutable')
    ]


def test_an_object_on_its_way_out_gets_no_new_finalizer() -> None:
    old = {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.io/a"]}}
    assert check("v1", "ConfigMap", old, {"metadata": {"name": "a", "finalizers": []}}) == []
    ((path, message),) = check("v1", "ConfigMap", old, {"metadata": {"name": "a", "finalizers": ["x.io/a", "x.io/b"]}})
    assert path == "metadata.finalizers"
    assert message.endswith('found new finalizers []string{"x.io/b"}')
