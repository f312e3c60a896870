"""The pruned OpenAPI schema: every fault at once, with path and nearest name; what Kubernetes accepts passes."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from klab.api import schema as schema_module
from klab.api.defaults import default
from klab.api.lab_parse import parse_lab
from klab.api.nodes import KUBELET_VERSION
from klab.api.resources import BUILTIN
from klab.api.schema import builtin, validate


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web"}], **spec}}


TYPICAL = pod(
    nodeName="node1",
    containers=[
        {
            "name": "web",
            "image": "nginx",
            "command": ["sleep", "1"],
            "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}],
            "env": [{"name": "A", "value": "b"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": 1}},
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "livenessProbe": {"tcpSocket": {"port": 80}},
        }
    ],
    volumes=[{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c", "defaultMode": 420}}],
)


def test_a_correct_object_has_no_faults() -> None:
    assert validate(TYPICAL) == []


def test_every_fault_at_once() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"nmae": "web", "labels": {"a": 1, "b": None, "c": True}},
        "spec": {
            "contianers": [],
            "restartPolicy": "Alway",
            "hostNetwork": "yes",
            "initContainers": [{"image": 5, "ports": [{"containerPort": "80", "protocol": "Tcp"}, None]}],
            "terminationGracePeriodSeconds": 1.5,
            "volumes": {"name": "v"},
            "nodeSelector": ["a"],
        },
    }
    assert validate(obj) == [
        ("metadata.nmae", 'unknown field "nmae"; did you mean "name"?'),
        ("metadata.labels[a]", "must be a string, not the integer 1"),
        ("metadata.labels[b]", "must be a string, not null"),
        ("metadata.labels[c]", "must be a string, not the boolean true"),
        ("spec.contianers", 'unknown field "contianers"; did you mean "containers"?'),
        ("spec.restartPolicy", 'Unsupported value: "Alway": supported values: "Always", "Never", "OnFailure"'),
        ("spec.hostNetwork", 'must be a boolean, not the string "yes"'),
        ("spec.initContainers[0].image", "must be a string, not the integer 5"),
        ("spec.initContainers[0].ports[0].containerPort", 'must be an integer, not the string "80"'),
        ("spec.initContainers[0].ports[0].protocol", 'Unsupported value: "Tcp": supported values: "SCTP", "TCP", "UDP"'),
        ("spec.initContainers[0].ports[1]", "must be an object, not null"),
        ("spec.initContainers[0].name", "Required value"),
        ("spec.terminationGracePeriodSeconds", "must be an integer, not the number 1.5"),
        ("spec.volumes", "must be a list, not an object"),
        ("spec.nodeSelector", "must be an object, not a list"),
        ("spec.containers", "Required value"),
    ]


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1x"}}}]}, "quantities must match the regular expression"),
        ({"containers": [{"name": "a", "resources": {"limits": {"cpu": True}}}]}, "must be a quantity"),
        ({"containers": [{"name": "a", "ports": [{"containerPort": 1 << 31}]}]}, "must be between -2147483648 and 2147483647"),
        ({"containers": [{"name": "a", "readinessProbe": {"httpGet": {"port": True}}}]}, "must be an integer or a string, not the boolean true"),
        ({"terminationGracePeriodSeconds": True}, "must be an integer, not the boolean true"),
        ({"hostname": ["x"]}, "must be a string, not a list"),
        ({"nodeName": 5.5}, "must be a string, not the number 5.5"),
    ],
)
def test_formats(spec: dict[str, Any], fault: str) -> None:
    assert [text for _, text in validate(pod(**spec)) if fault in text] != []


def test_long_texts_are_cut() -> None:
    assert validate(pod(hostNetwork="x" * 100)) == [("spec.hostNetwork", f'must be a boolean, not the string "{"x" * 37}..."')]


def test_base64_and_times() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"creationTimestamp": "yesterday"}, "data": {"good": "aGk=", "bad": "plain text!"}}
    assert [path for path, _ in validate(secret)] == ["metadata.creationTimestamp", "data[bad]"]
    good = {"apiVersion": "v1", "kind": "Secret", "metadata": {"creationTimestamp": "2006-01-02T15:04:05Z"}, "data": {"good": "aGk="}}
    assert validate(good) == []


@pytest.mark.parametrize(
    ("api_version", "kind", "missing"),
    [
        ("v1", "Pod", ["spec.containers"]),
        ("apps/v1", "Deployment", ["spec.selector", "spec.template"]),
        ("networking.k8s.io/v1", "Ingress", []),
        ("v1", "Namespace", []),
        ("batch/v1", "CronJob", ["spec"]),
    ],
)
def test_what_lacks_a_spec_lacks_what_is_required_in_it(api_version: str, kind: str, missing: list[str]) -> None:
    assert validate({"apiVersion": api_version, "kind": kind}) == [(path, "Required value") for path in missing]


def test_null_is_absent_but_for_required_lists() -> None:
    assert validate(pod(hostname=None, volumes=None)) == []
    assert validate({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": None}]}}) == [("spec.containers[0].name", "Required value")]
    assert validate({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [{"verbs": None}]}) == []


def test_an_empty_text_is_an_unset_enumeration() -> None:
    assert validate(pod(restartPolicy="")) == []


def test_nothing_is_required_in_status() -> None:
    assert validate({**pod(), "status": {"containerStatuses": [{"name": "a"}], "phase": "Running"}}) == []
    assert validate({**pod(), "status": {"podIP": 7}}) == [("status.podIP", "must be a string, not the integer 7")]


def test_the_lab_document_is_checked_like_all_others() -> None:
    lab = {"apiVersion": "klab.dev/v1", "kind": "Lab", "spec": {"network": {"plugin": "vxlna", "podCidr": "x"}, "nodes": [{"adress": "x"}]}}
    assert validate(lab) == [
        ("spec.network.plugin", 'Unsupported value: "vxlna": supported values: "bridge", "hostgw", "ipip", "plugin", "vxlan"'),
        ("spec.network.podCidr", 'unknown field "podCidr"; did you mean "podCIDR"?'),
        ("spec.nodes[0].adress", 'unknown field "adress"; did you mean "address"?'),
        ("spec.nodes[0].name", "Required value"),
    ]
    assert validate(parse_lab(None)[0].to_object()) == []


def test_an_unknown_kind_is_a_fault() -> None:
    assert validate({"apiVersion": "v1", "kind": "Pood"}) == [("kind", 'no schema for kind "Pood" in version "v1"')]


def test_a_custom_kind_can_join() -> None:
    node = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
        },
    }
    schema = builtin().including("example.com/v1", "Thing", node)
    assert schema.validate({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"size": "x", "sice": 1}}) == [
        ("spec.size", 'must be an integer, not the string "x"'),
        ("spec.sice", 'unknown field "sice"; did you mean "size"?'),
    ]
    assert builtin().kind("example.com/v1", "Thing") is None


def test_defaults_fit_the_schema() -> None:
    objects = [{"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}} for resource in BUILTIN]
    assert [fault for obj in objects for fault in validate(default(obj)) if fault[1] != "Required value"] == []


def test_a_thousand_pods_take_no_time() -> None:
    validate(TYPICAL)
    start = time.process_time()
    for _ in range(1000):
        validate(TYPICAL)
    assert time.process_time() - start < 0.5  # 0.03 s where nothing else runs; ten times that means a path is built for each field


def test_the_schema_is_that_of_the_version_that_nodes_tell() -> None:
    data = Path(str(schema_module.__file__)).with_name("schema.json.gz").read_bytes()
    assert json.loads(gzip.decompress(data))["version"] == KUBELET_VERSION
