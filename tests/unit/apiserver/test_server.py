"""The server answers as kube-apiserver does: paths, verbs, codes, words."""

from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver.options import LogOptions
from klab.apiserver.rest import Hooks
from klab.errors import ConflictError, KlabError

if TYPE_CHECKING:
    from .conftest import Server

PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


def pod(name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    }


def deployment(name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}},
        },
    }


def names(body: Any) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


# discovery


def test_version_and_health(server: Server) -> None:
    version = server.send("GET", "/version").body
    assert version["major"] == "1"
    assert version["gitVersion"].startswith(f"v1.{version['minor']}.")
    assert [server.send("GET", path).body for path in ("/healthz", "/livez", "/readyz")] == ["ok"] * 3


def test_discovery_names_groups_versions_and_resources(server: Server) -> None:
    assert server.send("GET", "/api").body["versions"] == ["v1"]
    groups = {group["name"]: group for group in server.send("GET", "/apis").body["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert [version["version"] for version in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert server.send("GET", "/apis/apps").body["kind"] == "APIGroup"
    core = {entry["name"]: entry for entry in server.send("GET", "/api/v1").body["resources"]}
    assert core["pods"]["shortNames"] == ["po"]
    assert core["pods"]["namespaced"]
    assert "watch" in core["pods"]["verbs"]
    assert not core["nodes"]["namespaced"]
    assert core["pods/status"]["verbs"] == ["get", "patch", "update"]
    assert "configmaps/status" not in core
    apps = {entry["name"]: entry for entry in server.send("GET", "/apis/apps/v1").body["resources"]}
    assert (apps["deployments/scale"]["group"], apps["deployments/scale"]["kind"]) == ("autoscaling", "Scale")


@pytest.mark.parametrize("path", ["/", "/api/v2", "/apis/nope", "/apis/apps/v9/deployments", "/api/v1/things", PODS + "/a/nope", PODS + "/a/log/b"])
def test_an_unknown_path_is_a_404_status(server: Server, path: str) -> None:
    reply = server.send("GET", path)
    assert (reply.code, reply.body["reason"], reply.body["message"]) == (404, "NotFound", "the server could not find the requested resource")


def test_a_verb_that_is_not_there_is_a_405(server: Server) -> None:
    for method, path in [("POST", PODS + "/a"), ("PUT", PODS), ("POST", "/api/v1/pods"), ("DELETE", "/version"), ("GET", PODS + "/a/binding")]:
        reply = server.send(method, path, pod())
        assert (reply.code, reply.body["reason"]) == (405, "MethodNotAllowed"), (method, path)


def test_openapi_says_what_kubectl_asks(server: Server) -> None:
    index = server.send("GET", "/openapi/v3").body["paths"]
    assert index["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")
    for root in index:
        document = server.send("GET", f"/openapi/v3/{root}").body
        text = json.dumps(document)
        names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
        assert names <= set(document["components"]["schemas"]), root
    patch = server.send("GET", "/openapi/v3/apis/apps/v1").body["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert STRATEGIC in patch["requestBody"]["content"]
    assert server.send("GET", "/openapi/v3/apis/nope/v1").code == 404


def test_old_clients_get_an_empty_openapi_v2(server: Server) -> None:
    with server.open("GET", "/openapi/v2", Accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf") as response:
        assert (response.status, response.read()) == (200, b"\x0a\x032.0")


# create


def test_create_answers_201_with_defaults_and_status(server: Server) -> None:
    reply = server.send("POST", PODS, pod())
    assert reply.code == 201
    assert reply.body["metadata"]["namespace"] == "default"
    assert reply.body["spec"]["restartPolicy"] == "Always"
    assert reply.body["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert server.send("GET", PODS + "/web").body == reply.body


def test_a_creator_has_no_say_in_the_status(server: Server) -> None:
    reply = server.send("POST", PODS, {**pod(), "status": {"phase": "Running", "podIP": "10.0.0.1"}})
    assert reply.body["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    made = server.send("POST", "/apis/apps/v1/namespaces/default/deployments", {**deployment(), "status": {"replicas": 7}}).body
    assert made["status"] == {}


def test_a_node_comes_with_its_status(server: Server) -> None:
    node = {"metadata": {"name": "node1"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}
    assert server.send("POST", "/api/v1/nodes", node).body["status"]["addresses"] == node["status"]["addresses"]


def test_yaml_is_taken_as_well(server: Server) -> None:
    body = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata: {k: 'yes'}\n"
    assert server.send("POST", "/api/v1/namespaces/default/configmaps", body, "application/yaml").body["data"] == {"k": "yes"}


def test_null_means_not_set(server: Server) -> None:
    made = server.send("POST", PODS, {**pod(creationTimestamp=None, labels=None), "status": None}).body
    assert "labels" not in made["metadata"]
    assert made["metadata"]["creationTimestamp"]


def test_kind_and_version_may_be_left_to_the_path(server: Server) -> None:
    made = server.send("POST", PODS, {"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}).body
    assert (made["kind"], made["apiVersion"]) == ("Pod", "v1")
    assert made["metadata"]["name"].startswith("web-")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", 400, "couldn't get version/kind; json parse error"),
        (b"[]", 400, "the object provided is unrecognized"),
        (b"[" * 100_000, 400, "json parse error"),
        ({**pod(), "kind": "Service"}, 400, 'Service in version "v1" cannot be handled as a Pod'),
        ({**pod(), "apiVersion": "v2"}, 400, "the API version in the data (v2) does not match the expected API version (v1)"),
        (pod(namespace="other"), 400, "the namespace of the provided object does not match the namespace sent on the request"),
        ({**pod(), "metadata": []}, 400, "metadata: must be an object"),
        ({**pod(), "spec": {"containers": [{"name": 1, "image": "x"}]}}, 400, "spec.containers[0].name: must be a string, not the integer 1"),
        ({**pod(), "spec": {}}, 422, 'Pod "web" is invalid: spec.containers: Required value'),
        ({"metadata": {}, "spec": pod()["spec"]}, 422, "metadata.name: Required value: name or generateName is required"),
    ],
)
def test_a_wrong_body_is_refused_with_a_reason(server: Server, body: Any, code: int, message: str) -> None:
    reply = server.send("POST", PODS, body)
    assert (reply.code, reply.body["kind"], reply.body["status"], reply.body["code"]) == (code, "Status", "Failure", code)
    assert message in reply.body["message"]
    assert server.send("GET", PODS).body["items"] == []


def test_an_unknown_media_type_is_a_415(server: Server) -> None:
    reply = server.send("POST", PODS, b"k8s\0", "application/vnd.kubernetes.protobuf")
    assert (reply.code, reply.body["reason"]) == (415, "UnsupportedMediaType")


def test_invalid_has_a_cause_for_each_field(server: Server) -> None:
    body = {**pod(), "spec": {"restartPolicy": "Maybe", "containers": [{"name": "c", "image": "x", "ports": [{}]}]}}
    details = server.send("POST", PODS, body).body["details"]
    assert (details["name"], details["kind"]) == ("web", "Pod")
    causes = {cause["field"]: cause["reason"] for cause in details["causes"]}
    assert causes["spec.restartPolicy"] == "FieldValueNotSupported"
    assert causes["spec.containers[0].ports[0].containerPort"] == "FieldValueRequired"


def test_unknown_fields_are_dropped_warned_about_or_refused(server: Server) -> None:
    body = {**pod(), "spec": {"containers": [{"name": "c", "image": "x", "imge": 1, "ports": [{"containerPort": 80, "hotPort": 1}]}]}}
    strict = server.send("POST", PODS + "?fieldValidation=Strict", body)
    assert strict.code == 400
    assert 'spec.containers[0].imge: unknown field "imge"' in strict.body["message"]
    warned = server.send("POST", PODS, body)
    assert warned.code == 201
    assert warned.warnings == (
        '299 - "unknown field \\"spec.containers[0].imge\\""',
        '299 - "unknown field \\"spec.containers[0].ports[0].hotPort\\""',
    )
    (container,) = warned.body["spec"]["containers"]
    assert "imge" not in container
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    ignored = server.send("POST", PODS + "?fieldValidation=Ignore", {**body, "metadata": {"name": "b"}})
    assert (ignored.code, ignored.warnings) == (201, ())
    assert server.send("POST", PODS + "?fieldValidation=Maybe", body).code == 422


def test_a_taken_name_is_a_409(server: Server) -> None:
    server.send("POST", PODS, pod())
    reply = server.send("POST", PODS, pod())
    assert (reply.code, reply.body["reason"], reply.body["message"]) == (409, "AlreadyExists", 'pods "web" already exists')
    assert reply.body["details"] == {"name": "web", "kind": "pods"}


def test_a_missing_namespace_is_a_404(server: Server) -> None:
    reply = server.send("POST", "/api/v1/namespaces/nope/pods", pod())
    assert (reply.code, reply.body["message"]) == (404, 'namespaces "nope" not found')


def test_a_namespace_on_its_way_out_takes_nothing_new(server: Server) -> None:
    server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    server.send("DELETE", "/api/v1/namespaces/shop")
    reply = server.send("POST", "/api/v1/namespaces/shop/pods", pod())
    assert reply.code == 403
    assert reply.body["message"] == ('pods "web" is forbidden: unable to create new content in namespace shop because it is being terminated')
    assert reply.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"


def test_a_dry_run_answers_and_leaves_nothing(server: Server) -> None:
    assert server.send("POST", PODS + "?dryRun=All", pod()).code == 201
    assert server.send("GET", PODS + "/web").code == 404
    assert server.send("POST", PODS + "?dryRun=Some", pod()).code == 422
    server.send("POST", PODS, pod())
    assert server.send("DELETE", PODS + "/web?dryRun=All").code == 200
    assert server.send("GET", PODS + "/web").code == 200


# read


def test_a_missing_object_is_a_404(server: Server) -> None:
    reply = server.send("GET", "/apis/apps/v1/namespaces/default/deployments/web")
    assert reply.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_lists_by_labels_fields_and_namespace(server: Server) -> None:
    server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    server.send("POST", PODS, pod("a", labels={"app": "web"}))
    server.send("POST", PODS, pod("b", labels={"app": "db"}))
    server.send("POST", "/api/v1/namespaces/other/pods", pod("c", labels={"app": "web"}))
    listed = server.send("GET", PODS).body
    assert (listed["kind"], listed["apiVersion"], names(listed)) == ("PodList", "v1", ["a", "b"])
    assert int(listed["metadata"]["resourceVersion"]) == server.run(lambda: server.store.revision)
    assert names(server.send("GET", "/api/v1/pods").body) == ["a", "b", "c"]
    assert names(server.send("GET", "/api/v1/pods?labelSelector=app%3Dweb").body) == ["a", "c"]
    assert names(server.send("GET", PODS + "?fieldSelector=metadata.name%3Db").body) == ["b"]
    assert server.send("GET", PODS + "?labelSelector=%3D%3D").code == 400
    assert server.send("GET", PODS + "?fieldSelector=spec.nope%3Db").body["message"].startswith("field label not supported: spec.nope")


def test_a_long_list_comes_in_pages_of_one_revision(server: Server) -> None:
    for name in "abcde":
        server.send("POST", PODS, pod(name))
    first = server.send("GET", PODS + "?limit=2").body
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    server.send("DELETE", PODS + "/c?gracePeriodSeconds=0")
    second = server.send("GET", f"{PODS}?limit=2&continue={first['metadata']['continue']}").body
    assert names(second) == ["d", "e"]
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
    assert server.send("GET", PODS + "?limit=2&continue=nonsense").code == 400


def test_a_list_of_another_time_is_refused(server: Server) -> None:
    server.send("POST", PODS, pod())
    now = server.run(lambda: server.store.revision)
    assert server.send("GET", f"{PODS}?resourceVersion={now}&resourceVersionMatch=Exact").code == 200
    assert server.send("GET", PODS + "?resourceVersion=0").code == 200
    assert server.send("GET", PODS + "?resourceVersion=1&resourceVersionMatch=NotOlderThan").code == 200
    assert server.send("GET", PODS + "?resourceVersion=1&resourceVersionMatch=Exact").body["reason"] == "Expired"
    later = server.send("GET", f"{PODS}?resourceVersion={now + 9}").body
    assert (later["code"], later["message"]) == (504, f"Timeout: Too large resource version: {now + 9}, current: {now}")
    assert server.send("GET", f"{PODS}/web?resourceVersion={now + 9}").code == 504
    assert server.send("GET", PODS + "?resourceVersion=x").code == 422
    assert server.send("GET", PODS + "?resourceVersionMatch=Exact").code == 422
    assert server.send("GET", PODS + "?sendInitialEvents=true").code == 422


# update


def test_put_replaces_with_an_optimistic_lock(server: Server) -> None:
    made = server.send("POST", PODS, pod()).body
    made["metadata"]["labels"] = {"a": "b"}
    updated = server.send("PUT", PODS + "/web", made)
    assert (updated.code, updated.body["metadata"]["labels"]) == (200, {"a": "b"})
    stale = server.send("PUT", PODS + "/web", made)
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"].startswith('Operation cannot be fulfilled on pods "web": the object has been modified')


def test_put_under_another_name_is_refused(server: Server) -> None:
    server.send("POST", PODS, pod())
    reply = server.send("PUT", PODS + "/web", pod("other"))
    assert (reply.code, reply.body["message"]) == (400, "the name of the object (other) does not match the name on the URL (web)")
    assert server.send("PUT", PODS + "/none", pod("none")).code == 404


def test_put_creates_where_kubernetes_does(server: Server) -> None:
    lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "me"}}
    assert server.send("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader", lease).body["spec"] == {"holderIdentity": "me"}


def test_the_status_has_its_own_path(server: Server) -> None:
    made = server.send("POST", PODS, pod()).body
    changed = {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}, "status": {"phase": "Running"}}
    updated = server.send("PUT", PODS + "/web/status", changed).body
    assert updated["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert "labels" not in updated["metadata"]
    server.send("PUT", PODS + "/web", {**pod(), "status": {"phase": "Failed"}})
    assert server.send("GET", PODS + "/web/status").body["status"]["phase"] == "Running"
    patched = server.send("PATCH", PODS + "/web/status", {"status": {"podIP": "10.0.0.1"}}, STRATEGIC).body
    assert patched["status"] == {"phase": "Running", "podIP": "10.0.0.1", "qosClass": "BestEffort"}


def test_a_pods_spec_stands_but_for_its_image(server: Server) -> None:
    made = server.send("POST", PODS, pod()).body
    made["spec"]["containers"][0]["image"] = "nginx:2"
    assert server.send("PUT", PODS + "/web", made).code == 200
    reply = server.send("PATCH", PODS + "/web", {"spec": {"hostname": "other"}}, MERGE)
    assert reply.code == 422
    assert reply.body["message"].startswith(
        'Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`'
    )
    with pytest.raises(ConflictError, match="pod updates may not change fields"):
        server.client.patch(BUILTIN.of("v1", "Pod"), "default", "web", {"spec": {"hostname": "other"}})


# patch


def test_four_kinds_of_patch(server: Server) -> None:
    server.send("POST", PODS, pod(labels={"a": "1"}))
    path = PODS + "/web"
    assert server.send("PATCH", path, {"metadata": {"labels": {"b": "2", "a": None}}}, MERGE).body["metadata"]["labels"] == {"b": "2"}
    strategic = server.send("PATCH", path, {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}, STRATEGIC).body
    assert [container["image"] for container in strategic["spec"]["containers"]] == ["nginx:2"]
    operations = [{"op": "test", "path": "/metadata/labels/b", "value": "2"}, {"op": "add", "path": "/metadata/labels/c", "value": "3"}]
    assert server.send("PATCH", path, operations, JSON_PATCH).body["metadata"]["labels"] == {"b": "2", "c": "3"}
    applied = b"apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {d: '4'}}\n"
    assert server.send("PATCH", path + "?fieldManager=me", applied, APPLY).body["metadata"]["labels"] == {"b": "2", "c": "3", "d": "4"}


def test_a_patch_that_fails_says_why(server: Server) -> None:
    server.send("POST", PODS, pod())
    path = PODS + "/web"
    failed = server.send("PATCH", path, [{"op": "test", "path": "/kind", "value": "Service"}], JSON_PATCH)
    assert (failed.code, failed.body["reason"]) == (422, "Invalid")
    assert server.send("PATCH", path, {"a": 1}, JSON_PATCH).code == 400
    assert server.send("PATCH", path, [], MERGE).code == 400
    assert server.send("PATCH", path, b"{", MERGE).code == 400
    assert server.send("PATCH", path, {}, "application/json").code == 415
    assert server.send("PATCH", path, {"metadata": {"name": "other"}}, MERGE).code == 400
    assert server.send("PATCH", path, {"metadata": {"resourceVersion": "1"}}, MERGE).code == 409
    assert server.send("PATCH", PODS + "/none", {}, MERGE).code == 404
    assert server.send("PATCH", path, {"spec": {"containers": [{"image": "x"}]}}, STRATEGIC).code == 400


def test_a_patch_that_changes_nothing_is_no_write(server: Server) -> None:
    made = server.send("POST", PODS, pod()).body
    assert server.send("PATCH", PODS + "/web", {}, MERGE).body == made


# delete


def test_a_deletion_is_answered_with_a_status_or_the_object(server: Server) -> None:
    made = server.send("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}}).body
    gone = server.send("DELETE", "/api/v1/namespaces/default/configmaps/a").body
    assert gone == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    }
    server.send("POST", PODS, pod())
    assert server.send("DELETE", PODS + "/web").body["kind"] == "Pod"
    assert server.send("DELETE", PODS + "/web").code == 404


def test_a_pod_on_a_node_has_its_grace(server: Server) -> None:
    server.send("POST", PODS, {**pod(), "spec": {**pod()["spec"], "nodeName": "node1", "terminationGracePeriodSeconds": 7}})
    assert server.send("DELETE", PODS + "/web").body["metadata"]["deletionGracePeriodSeconds"] == 7
    server.send("DELETE", PODS + "/web", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 3, "propagationPolicy": "Background"})
    assert server.send("GET", PODS + "/web").body["metadata"]["deletionGracePeriodSeconds"] == 3
    server.send("DELETE", PODS + "/web?gracePeriodSeconds=0")
    assert server.send("GET", PODS + "/web").code == 404


def test_delete_options_are_checked(server: Server) -> None:
    server.send("POST", PODS, pod())
    for options, code in [
        ({"propagationPolicy": "Never"}, 422),
        ({"gracePeriodSeconds": "1"}, 400),
        ({"preconditions": {"uid": "other"}}, 409),
        ({"preconditions": {"resourceVersion": "1"}}, 409),
    ]:
        assert server.send("DELETE", PODS + "/web", options).code == code
    assert server.send("DELETE", PODS + "/web?gracePeriodSeconds=x").code == 400


def test_a_collection_is_deleted_by_selector(server: Server) -> None:
    for name in "abc":
        server.send("POST", PODS, pod(name, labels={"keep": str(name == "b")}))
    gone = server.send("DELETE", PODS + "?labelSelector=keep%21%3DTrue").body
    assert (gone["kind"], names(gone)) == ("PodList", ["a", "c"])
    assert names(server.send("GET", PODS).body) == ["b"]


def test_the_system_namespaces_stay(server: Server) -> None:
    reply = server.send("DELETE", "/api/v1/namespaces/default")
    assert (reply.code, reply.body["message"]) == (403, 'namespaces "default" is forbidden: this namespace may not be deleted')


def test_a_namespace_goes_when_it_is_finalized(server: Server) -> None:
    made = server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}}).body
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    dying = server.send("DELETE", "/api/v1/namespaces/shop").body
    assert dying["status"]["phase"] == "Terminating"
    assert server.send("PUT", "/api/v1/namespaces/shop", {**dying, "spec": {}}).body["spec"] == {"finalizers": ["kubernetes"]}
    assert server.send("PUT", "/api/v1/namespaces/shop/finalize", {**made, "spec": {"finalizers": []}}).code == 409
    dying["metadata"].pop("resourceVersion")
    assert server.send("PUT", "/api/v1/namespaces/shop/finalize", {**dying, "spec": {"finalizers": []}}).code == 200
    assert server.send("GET", "/api/v1/namespaces/shop").code == 404


# subresources


def test_scale_is_a_view_of_replicas(server: Server) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    server.send("POST", "/apis/apps/v1/namespaces/default/deployments", deployment())
    scale = server.send("GET", path + "/scale").body
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 2}, {"replicas": 0, "selector": "app=web"})
    scale["spec"]["replicas"] = 5
    assert server.send("PUT", path + "/scale", scale).body["spec"] == {"replicas": 5}
    assert server.send("PUT", path + "/scale", scale).code == 409
    assert server.send("PATCH", path + "/scale", {"spec": {"replicas": 0}}, MERGE).body["spec"] == {}
    stored = server.send("GET", path).body
    assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (0, 3)
    assert server.send("PATCH", path + "/scale", {"spec": {"replicas": -1}}, MERGE).code == 422
    assert server.send("GET", PODS + "/web/scale").code == 404


def test_binding_puts_a_pod_on_a_node_once(server: Server) -> None:
    server.send("POST", PODS, pod())
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"}, "target": {"kind": "Node", "name": "node1"}}
    assert server.send("POST", PODS + "/web/binding", binding).code == 201
    bound = server.send("GET", PODS + "/web").body
    assert bound["spec"]["nodeName"] == "node1"
    assert [(condition["type"], condition["status"]) for condition in bound["status"]["conditions"]] == [("PodScheduled", "True")]
    again = server.send("POST", PODS + "/web/binding", binding)
    assert (again.code, again.body["message"]) == (
        409,
        'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "node1"',
    )


def test_the_older_way_to_bind_names_the_pod_in_the_body(server: Server) -> None:
    server.send("POST", PODS, pod())
    binding = {"metadata": {"name": "web"}, "target": {"name": "node1"}}
    assert server.send("POST", "/api/v1/namespaces/default/bindings", binding).code == 201
    assert server.send("GET", PODS + "/web").body["spec"]["nodeName"] == "node1"
    assert server.send("POST", "/api/v1/namespaces/default/bindings", {}).code == 404
    assert server.send("POST", PODS + "/web/binding", {}).code == 409


def test_eviction_deletes_a_pod(server: Server) -> None:
    server.send("POST", PODS, pod())
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    assert server.send("POST", PODS + "/web/eviction", eviction).code == 201
    assert server.send("GET", PODS + "/web").code == 404


# what the composition root hands in


class TestHooks:
    """Logs, admission and extensions come from outside."""

    @pytest.fixture
    def hooks(self) -> Hooks:
        async def logs(pod: dict[str, Any], options: LogOptions) -> AsyncIterator[bytes]:
            if options.previous:
                raise KlabError("no previous container")
            yield f"{pod['metadata']['name']}/{options.container}\n".encode()
            yield f"{options.tail_lines} {options.follow}\n".encode()

        async def settled() -> dict[str, Any]:
            return {"settled": True}

        return Hooks(logs=logs, extensions={("GET", "/klab/v1/settled"): settled})

    def test_logs_stream_as_text(self, server: Server) -> None:
        server.send("POST", PODS, pod())
        reply = server.send("GET", PODS + "/web/log?tailLines=5&follow=true")
        assert (reply.headers["Content-Type"], reply.body) == ("text/plain", "web/c\n5 True\n")
        assert b"".join(server.client.logs("default", "web", {"tailLines": 3})) == b"web/c\n3 False\n"

    def test_a_log_that_cannot_be_read_is_a_status(self, server: Server) -> None:
        server.send("POST", PODS, pod())
        assert server.send("GET", PODS + "/web/log?previous=1").body["message"] == "Internal error occurred: no previous container"
        unknown = server.send("GET", PODS + "/web/log?container=x")
        assert (unknown.code, unknown.body["message"]) == (400, "container x is not valid for pod web")
        assert server.send("GET", PODS + "/web/log?tailLines=-1").code == 422

    def test_of_several_containers_one_must_be_named(self, server: Server) -> None:
        both = [{"name": name, "image": "x"} for name in ("a", "b")]
        server.send("POST", PODS, {**pod(), "spec": {"containers": both, "initContainers": [{"name": "i", "image": "x"}]}})
        reply = server.send("GET", PODS + "/web/log")
        assert reply.body["message"] == ("a container name must be specified for pod web, choose one of: [a b] or one of the init containers: [i]")
        assert server.send("GET", PODS + "/web/log?container=i").code == 200

    def test_extensions_answer_their_paths(self, server: Server) -> None:
        assert server.client.call("GET", "/klab/v1/settled") == {"settled": True}


def test_without_a_kubelet_there_are_no_logs(server: Server) -> None:
    server.send("POST", PODS, pod())
    assert server.send("GET", PODS + "/web/log").code == 503


class TestBrokenAdmission:
    """A defect of ours never shows a client a traceback."""

    @pytest.fixture
    def hooks(self) -> Hooks:
        def fail(review: Any, obj: dict[str, Any]) -> dict[str, Any]:
            raise RuntimeError("secret detail")

        return Hooks(admit=(fail,))

    def test_an_unexpected_failure_is_a_500_and_is_logged(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            reply = server.send("POST", PODS, pod())
        assert (reply.code, reply.body["reason"]) == (500, "InternalError")
        assert "secret detail" not in json.dumps(reply.body)
        assert "RuntimeError: secret detail" in caplog.text


def test_the_socket_is_private_and_replaced_when_dead(server: Server) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    server.stop()
    again = type(server)(server.path, Hooks())
    try:
        assert again.client.version()["major"] == "1"
    finally:
        again.stop()
