"""Revisions of workloads and the way back to them."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.history import choose_rollback, find_revision, is_current, list_revisions, plan_rollback
from klab.api.merge import json_patch, strategic_merge_patch
from klab.errors import KlabError


def template(image: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web", **labels}}, "spec": {"containers": [{"name": "app", "image": image}]}}


def deployment(**spec: Any) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": "3", "kubernetes.io/change-cause": "third"}
    metadata = {"name": "web", "uid": "d", "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template("web:3"), **spec}}


def replica_set(revision: str, owner: str = "d", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-{revision}",
            "annotations": {"deployment.kubernetes.io/revision": revision, **annotations},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner, "controller": True}],
        },
        "spec": {"template": template(f"web:{revision}", **{"pod-template-hash": f"hash{revision}"})},
    }


def daemon_set(image: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "uid": "d"}, "spec": {"template": template(image)}}


def controller_revision(number: int) -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web", "uid": "d", "controller": True}]
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": f"web-{number}", "ownerReferences": owners, "annotations": {"kubernetes.io/change-cause": f"change {number}"}},
        "revision": number,
        "data": {"spec": {"template": {**template(f"web:{number}"), "$patch": "replace"}}},
    }


HELD = [replica_set("10"), replica_set("2", **{"kubernetes.io/change-cause": "second"}), replica_set("3"), replica_set("4", owner="other")]


def test_revisions_are_sorted_by_number_and_strangers_left_out() -> None:
    assert [revision.number for revision in list_revisions(deployment(), [*HELD, replica_set("")])] == [2, 3, 10]


def test_those_of_a_daemon_set_have_the_template_without_the_directive() -> None:
    (revision,) = list_revisions(daemon_set("web:1"), [controller_revision(7)])
    assert (revision.number, revision.change_cause, revision.template) == (7, "change 7", template("web:7"))


def test_a_revision_that_is_not_there() -> None:
    with pytest.raises(KlabError, match="unable to find the specified revision"):
        find_revision(list_revisions(deployment(), HELD), 5)


def test_without_a_number_the_one_before_the_last_is_gone_back_to() -> None:
    revisions = list_revisions(deployment(), HELD)
    assert choose_rollback(deployment(), revisions, 0).number == 3
    assert choose_rollback(deployment(), revisions, 2).number == 2


def test_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(KlabError, match=r'no rollout history found for deployment "web"'):
        choose_rollback(deployment(), list_revisions(deployment(), HELD[:1]), 0)
    with pytest.raises(KlabError, match="no last revision to roll back to"):
        choose_rollback(daemon_set("a"), [], 0)
    with pytest.raises(KlabError, match="unable to find specified revision 9 in history"):
        choose_rollback(deployment(), list_revisions(deployment(), HELD), 9)


def test_a_deployment_gets_the_template_without_the_hash_and_the_annotations_of_then() -> None:
    owner = deployment()
    kind, patch = plan_rollback(owner, find_revision(list_revisions(owner, HELD), 2))
    found = json_patch(owner, patch)
    assert kind == "json"
    assert found["spec"]["template"] == template("web:2")
    assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "3", "kubernetes.io/change-cause": "second"}


def test_a_daemon_set_gets_the_whole_template() -> None:
    owner = daemon_set("web:1")
    owner["spec"]["template"]["spec"]["hostNetwork"] = True
    kind, patch = plan_rollback(owner, list_revisions(owner, [controller_revision(2)])[0])
    assert kind == "strategic"
    assert strategic_merge_patch(owner, patch)["spec"]["template"] == template("web:2")


def test_a_paused_deployment_cannot_go_back() -> None:
    with pytest.raises(KlabError, match="you cannot rollback a paused deployment"):
        plan_rollback(deployment(paused=True), find_revision(list_revisions(deployment(), HELD), 2))


def test_the_hash_does_not_make_a_template_another_one() -> None:
    owner = deployment()
    revisions = list_revisions(owner, HELD)
    assert is_current(owner, find_revision(revisions, 3))
    assert not is_current(owner, find_revision(revisions, 2))
