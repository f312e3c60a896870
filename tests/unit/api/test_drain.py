"""Which pods a drain takes away."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.drain import DrainOptions, plan_drain

AGENTS = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "kube-system"}}


def pod(name: str, owner: str = "ReplicaSet/web", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    kind, _, owner_name = owner.partition("/")
    references = [{"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": "u", "controller": True}] if owner else []
    namespace = "kube-system" if kind == "DaemonSet" else "default"
    metadata = {"name": name, "namespace": namespace, "ownerReferences": references}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


WEB = pod("web-1")
BARE = pod("bare", owner="")
AGENT = pod("agent-1", owner="DaemonSet/agent")
ORPHAN = pod("gone-1", owner="DaemonSet/gone")
CACHE = pod("cache-1", volumes=[{"name": "tmp", "emptyDir": {}}])
MIRROR = {**BARE, "metadata": {"name": "etcd", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}}}


def test_pods_of_controllers_and_finished_ones_go() -> None:
    done = pod("done", owner="", phase="Succeeded", volumes=[{"name": "tmp", "emptyDir": {}}])
    plan = plan_drain([WEB, done, MIRROR], [], DrainOptions())
    assert (plan.pods, plan.warnings, plan.errors) == ([WEB, done], "", [])


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (BARE, "cannot delete cannot delete Pods that declare no controller (use --force to override): default/bare"),
        (AGENT, "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): kube-system/agent-1"),
        (ORPHAN, 'cannot delete daemonsets.apps "gone" not found: kube-system/gone-1'),
        (CACHE, "cannot delete Pods with local storage (use --delete-emptydir-data to override): default/cache-1"),
    ],
)
def test_what_forbids_a_drain(one: dict[str, Any], error: str) -> None:
    assert plan_drain([WEB, one], [AGENTS], DrainOptions()).errors == [error]


def test_what_is_put_up_with_is_warned_of() -> None:
    other = pod("other", owner="")
    plan = plan_drain([BARE, AGENT, CACHE, other], [AGENTS], DrainOptions(force=True, ignore_daemonsets=True, delete_emptydir_data=True))
    assert plan.pods == [BARE, CACHE, other]
    assert plan.warnings == (
        "deleting Pods that declare no controller: default/bare, default/other; ignoring DaemonSet-managed Pods: kube-system/agent-1"
    )
    assert plan.errors == []


def test_pods_of_a_daemon_set_that_is_gone_go_by_force() -> None:
    assert plan_drain([ORPHAN], [AGENTS], DrainOptions(force=True)).pods == [ORPHAN]
