"""Server-side apply: each manager has its fields, and none takes another's without being told."""

from __future__ import annotations

from typing import Any

import pytest

from klab.apiserver.serverside import apply_fields
from klab.apiserver.status import StatusError


def deployment(replicas: int | None = None, **images: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": {"spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def configmap(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def fields_of(obj: dict[str, Any], manager: str) -> Any:
    return next(entry["fieldsV1"] for entry in obj["metadata"]["managedFields"] if entry["manager"] == manager)


def images(obj: dict[str, Any]) -> dict[str, str]:
    return {container["name"]: container["image"] for container in obj["spec"]["template"]["spec"]["containers"]}


def apply(
    live: dict[str, Any], applied: dict[str, Any], manager: str = "me", now: str = "2026-01-01T00:00:00Z", *, force: bool = False
) -> dict[str, Any]:
    return apply_fields(live, applied, manager, now, force=force)


def test_ownership_is_noted_as_kubernetes_does() -> None:
    made = apply({}, deployment(2, c="nginx"))
    (entry,) = made["metadata"]["managedFields"]
    assert entry == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:spec": {
                "f:replicas": {},
                "f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:name": {}, "f:image": {}}}}},
            }
        },
    }


def test_what_is_no_longer_applied_goes_and_what_others_set_stays() -> None:
    live = apply({}, configmap(a="1", b="2"))
    live["data"]["c"] = "3"
    assert apply(live, configmap(a="1"))["data"] == {"a": "1", "c": "3"}


def test_items_of_a_keyed_list_come_and_go_by_their_keys() -> None:
    live = apply({}, deployment(2, a="1", b="1"))
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    live["spec"]["template"]["spec"]["containers"][0]["tty"] = True
    changed = apply(live, deployment(2, a="2"))
    assert images(changed) == {"a": "2", "sidecar": "x"}
    assert changed["spec"]["template"]["spec"]["containers"][0]["tty"]


def test_two_managers_share_what_they_agree_on() -> None:
    live = apply({}, configmap(a="1", b="2"), "one")
    live = apply(live, configmap(a="1", c="3"), "two")
    assert live["data"] == {"a": "1", "b": "2", "c": "3"}
    live = apply(live, configmap(b="2"), "one")
    assert live["data"] == {"a": "1", "b": "2", "c": "3"}
    assert apply(live, configmap(c="3"), "two")["data"] == {"b": "2", "c": "3"}


def test_a_field_of_another_manager_is_a_conflict() -> None:
    live = apply({}, deployment(2, c="nginx"), "one")
    with pytest.raises(StatusError) as caught:
        apply(live, deployment(3), "two")
    status = caught.value.status
    assert (status["code"], status["message"]) == (409, 'Apply failed with 1 conflict: conflict with "one": .spec.replicas')
    assert status["details"]["causes"] == [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.replicas"}]
    with pytest.raises(StatusError, match=r'(?s)2 conflicts: conflicts:\n- .*\.spec\.template\.spec\.containers\[name="c"\]\.image'):
        apply(live, deployment(3, c="httpd"), "two")


def test_force_takes_the_field_over() -> None:
    live = apply({}, deployment(2, c="nginx"), "one")
    live = apply(live, deployment(3), "two", force=True)
    assert live["spec"]["replicas"] == 3
    assert "f:replicas" not in fields_of(live, "one")["f:spec"]
    assert "f:replicas" in fields_of(live, "two")["f:spec"]
    assert apply(live, deployment(None, c="nginx"), "one")["spec"]["replicas"] == 3


def test_a_manager_that_loses_everything_is_forgotten() -> None:
    live = apply({}, configmap(a="1"), "one")
    live = apply(live, configmap(a="2"), "two", force=True)
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["two"]


def test_the_same_again_changes_nothing_not_even_the_time() -> None:
    live = apply({}, configmap(a="1"))
    assert apply(live, configmap(a="1"), now="2027-01-01T00:00:00Z") == live


def test_lists_that_are_one_value_are_owned_as_a_whole() -> None:
    applied = deployment(1, c="nginx")
    applied["spec"]["template"]["spec"]["containers"][0]["args"] = ["a", "b"]
    live = apply({}, applied)
    container = fields_of(live, "me")["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert container["f:args"] == {}
    del applied["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "args" not in apply(live, applied)["spec"]["template"]["spec"]["containers"][0]


def test_finalizers_are_a_set_of_values() -> None:
    def with_finalizers(*finalizers: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": list(finalizers)}}

    live = apply({}, with_finalizers("x.io/a", "x.io/b"))
    assert fields_of(live, "me")["f:metadata"]["f:finalizers"] == {'v:"x.io/a"': {}, 'v:"x.io/b"': {}}
    live["metadata"]["finalizers"].append("x.io/other")
    assert apply(live, with_finalizers("x.io/b"))["metadata"]["finalizers"] == ["x.io/b", "x.io/other"]
