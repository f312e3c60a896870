"""A Job runs pods until enough have succeeded or too many have failed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from klab.api import resources
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.garbagecollector import GarbageCollector, delete
from klab.controlplane.controllers.job import JobController
from klab.controlplane.controllers.jobplan import parse_indexes, render_indexes
from klab.controlplane.controllers.ttl import TtlController
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload

JOBS = resources.by_word("jobs")


def controllers(context: Context) -> list[Controller]:
    return [JobController(context), GarbageCollector(context), TtlController(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def put(cluster: Cluster, restart: str = "Never", **spec: Any) -> None:
    cluster.put(workload("Job", **{"template": template(labels={}, restartPolicy=restart), **spec}))


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("job", "web")["status"]
    return found


def counts(cluster: Cluster) -> tuple[int, int, int]:
    """Active, succeeded, failed."""
    found = status(cluster)
    return found.get("active", 0), found.get("succeeded", 0), found.get("failed", 0)


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in status(cluster).get("conditions") or ()}


def fail(cluster: Cluster, code: int = 1) -> None:
    """Let all active pods fail."""
    cluster.bind()
    for pod in cluster.pods():
        cluster.finish(pod, code)
    cluster.run()


def succeed(cluster: Cluster, number: int | None = None) -> None:
    cluster.bind()
    for pod in cluster.pods()[:number]:
        cluster.finish(pod)
    cluster.run()


def test_a_job_gets_its_selector_and_its_pods_their_labels(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    job = cluster.get("job", "web")
    uid = job["metadata"]["uid"]
    labels = {"job-name": "web", "batch.kubernetes.io/job-name": "web", "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid}
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    (pod,) = cluster.pods()
    assert pod["metadata"]["labels"] == labels
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert re.fullmatch("web-[a-z0-9]{5}", pod["metadata"]["name"])
    assert cluster.messages("SuccessfulCreate") == [f"Created pod: {pod['metadata']['name']}"]


def test_one_pod_that_succeeds_completes_it(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    assert status(cluster) == {"active": 1, "ready": 0, "terminating": 0, "startTime": "2026-03-01T12:00:00Z", "uncountedTerminatedPods": {}}
    cluster.start()
    cluster.run()
    assert status(cluster)["ready"] == 1
    cluster.time += 5
    succeed(cluster)
    assert counts(cluster) == (0, 1, 0)
    assert conditions(cluster) == {"SuccessCriteriaMet": ("True", "CompletionsReached"), "Complete": ("True", "CompletionsReached")}
    assert status(cluster)["completionTime"] == "2026-03-01T12:00:05Z"
    assert cluster.messages("Completed") == ["Job completed"]
    (pod,) = cluster.list("pods")
    assert "finalizers" not in pod["metadata"]  # it stays, for its logs
    cluster.delete("pod", pod["metadata"]["name"])
    cluster.run()
    assert cluster.names("pods") == []
    assert counts(cluster) == (0, 1, 0)


def test_completions_with_parallelism(cluster: Cluster) -> None:
    put(cluster, completions=5, parallelism=2)
    seen = []
    for _ in range(3):
        cluster.run()
        seen.append(len(cluster.pods()))
        succeed(cluster)
    assert seen == [2, 2, 1]
    assert counts(cluster) == (0, 5, 0)
    assert "Complete" in conditions(cluster)


def test_without_completions_any_success_ends_it_when_the_others_are_through(cluster: Cluster) -> None:
    put(cluster, parallelism=3)
    cluster.run()
    assert len(cluster.pods()) == 3
    succeed(cluster, 1)
    assert counts(cluster) == (2, 1, 0)
    assert conditions(cluster) == {}
    fail(cluster)
    assert counts(cluster) == (0, 1, 2)
    assert "Complete" in conditions(cluster)


def test_failed_pods_are_replaced_with_growing_pauses_until_the_limit(cluster: Cluster) -> None:
    put(cluster, backoffLimit=3)
    cluster.run()
    for failures, pause in ((1, 10), (2, 20), (3, 40)):
        fail(cluster)
        assert counts(cluster) == (0, 0, failures)
        assert cluster.wish == pause
        cluster.wait(pause - 1)
        assert cluster.pods() == []
        cluster.wait(1)
        assert len(cluster.pods()) == 1
    fail(cluster)
    assert conditions(cluster) == {"FailureTarget": ("True", "BackoffLimitExceeded"), "Failed": ("True", "BackoffLimitExceeded")}
    assert cluster.messages("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]
    assert counts(cluster) == (0, 0, 4)
    assert cluster.wish is None


def test_a_success_resets_the_pause(cluster: Cluster) -> None:
    put(cluster, completions=3)
    cluster.run()
    fail(cluster)
    cluster.wait(10)
    succeed(cluster)
    fail(cluster)
    assert cluster.wish == 10


def test_a_job_that_fails_takes_its_other_pods_down_and_waits_for_them(cluster: Cluster) -> None:
    put(cluster, completions=3, parallelism=3, backoffLimit=0)
    cluster.run()
    cluster.start()
    cluster.finish(cluster.pods()[0], 1)
    cluster.run()
    assert cluster.pods() == []
    assert conditions(cluster) == {"FailureTarget": ("True", "BackoffLimitExceeded")}
    assert status(cluster)["terminating"] == 2
    cluster.reap()
    cluster.run()
    assert conditions(cluster)["Failed"] == ("True", "BackoffLimitExceeded")
    assert counts(cluster) == (0, 0, 3)


def test_containers_that_are_restarted_in_place_count(cluster: Cluster) -> None:
    put(cluster, "OnFailure", backoffLimit=2)
    cluster.run()
    cluster.start()
    (pod,) = cluster.pods()
    cluster.report(pod, "Running", containerStatuses=[{"name": "web", "restartCount": 1}])
    cluster.run()
    assert conditions(cluster) == {}
    cluster.report(pod, "Running", containerStatuses=[{"name": "web", "restartCount": 2}])
    cluster.run()
    assert conditions(cluster)["FailureTarget"] == ("True", "BackoffLimitExceeded")


def test_the_deadline(cluster: Cluster) -> None:
    put(cluster, activeDeadlineSeconds=30)
    cluster.settle()
    assert cluster.wish == 30
    cluster.wait(30)
    cluster.reap()
    cluster.run()
    assert conditions(cluster)["Failed"] == ("True", "DeadlineExceeded")
    assert cluster.messages("DeadlineExceeded") == ["Job was active longer than specified deadline"]
    assert counts(cluster) == (0, 0, 1)


def test_a_deleted_pod_counts_as_failed_and_goes(cluster: Cluster) -> None:
    put(cluster)
    cluster.settle()
    (pod,) = cluster.pods()
    cluster.delete("pod", pod["metadata"]["name"])
    cluster.run()
    assert counts(cluster) == (0, 0, 1)
    assert status(cluster)["terminating"] == 1
    cluster.reap()
    cluster.wait(10)
    assert len(cluster.pods()) == 1
    assert counts(cluster) == (1, 0, 1)


def test_a_replacement_may_wait_for_the_end_of_the_old_pod(cluster: Cluster) -> None:
    put(cluster, podReplacementPolicy="Failed")
    cluster.settle()
    (pod,) = cluster.pods()
    cluster.delete("pod", pod["metadata"]["name"])
    cluster.wait(60)
    assert cluster.pods() == []
    cluster.finish(cluster.get("pod", pod["metadata"]["name"]), 137)
    cluster.run()
    cluster.wait(10)
    assert len(cluster.pods()) == 1
    assert counts(cluster) == (1, 0, 1)


def test_less_parallelism_deletes_pods_that_do_not_count(cluster: Cluster) -> None:
    put(cluster, completions=4, parallelism=3)
    cluster.settle()
    cluster.change("job", "web", parallelism=1)
    cluster.settle()
    assert counts(cluster) == (1, 0, 0)


def test_suspending_and_going_on(cluster: Cluster) -> None:
    put(cluster, suspend=True)
    cluster.run()
    assert cluster.pods() == []
    assert conditions(cluster) == {"Suspended": ("True", "JobSuspended")}
    assert "startTime" not in status(cluster)
    cluster.time += 100
    cluster.change("job", "web", suspend=False)
    cluster.settle()
    assert conditions(cluster) == {"Suspended": ("False", "JobResumed")}
    assert status(cluster)["startTime"] == "2026-03-01T12:01:40Z"
    cluster.change("job", "web", suspend=True)
    cluster.settle()
    assert cluster.pods() == []
    assert counts(cluster) == (0, 0, 0)
    assert cluster.messages("Suspended") == ["Job suspended"]
    assert cluster.messages("Resumed") == ["Job resumed"]


def test_a_job_that_is_deleted_takes_its_pods_along(cluster: Cluster) -> None:
    put(cluster, parallelism=2, completions=2)
    cluster.settle()
    delete(cluster.store, JOBS, cluster.get("job", "web"), "Background")
    cluster.settle()
    assert cluster.names("jobs") == cluster.names("pods") == []


@pytest.mark.parametrize("policy", ["Foreground", "Orphan"])
def test_other_ways_to_delete(cluster: Cluster, policy: str) -> None:
    put(cluster)
    cluster.settle()
    delete(cluster.store, JOBS, cluster.get("job", "web"), policy)
    cluster.settle()
    assert cluster.names("jobs") == []
    assert len(cluster.names("pods")) == (policy == "Orphan")
    assert all("finalizers" not in pod["metadata"] for pod in cluster.list("pods"))


def test_it_goes_some_time_after_its_end(cluster: Cluster) -> None:
    put(cluster, ttlSecondsAfterFinished=60)
    cluster.run()
    succeed(cluster)
    cluster.wait(59)
    assert cluster.names("jobs") == ["web"]
    assert cluster.wish == 1
    cluster.wait(1)
    cluster.settle()
    assert cluster.names("jobs") == cluster.names("pods") == []


def indexes(cluster: Cluster) -> list[str]:
    return sorted(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in cluster.pods())


def test_an_indexed_job(cluster: Cluster) -> None:
    put(cluster, completionMode="Indexed", completions=4, parallelism=2)
    cluster.run()
    assert indexes(cluster) == ["0", "1"]
    pod = cluster.pods()[0]
    assert re.fullmatch("web-0-[a-z0-9]{5}", pod["metadata"]["name"])
    assert pod["spec"]["hostname"] == "web-0"
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "0"
    field = {"apiVersion": "v1", "fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}
    assert pod["spec"]["containers"][0]["env"] == [{"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": field}}]
    cluster.bind()
    cluster.finish(cluster.pods()[1])
    cluster.run()
    assert indexes(cluster) == ["0", "2"]
    assert status(cluster)["completedIndexes"] == "1"
    cluster.finish(cluster.pods()[0], 1)
    cluster.wait(10)
    assert indexes(cluster) == ["0", "2"]
    for _ in range(2):
        succeed(cluster)
    assert status(cluster)["completedIndexes"] == "0-3"
    assert counts(cluster) == (0, 4, 1)
    assert "Complete" in conditions(cluster)


def test_limits_for_each_index(cluster: Cluster) -> None:
    put(cluster, completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1)
    cluster.run()
    cluster.bind()
    first, second = cluster.pods()
    cluster.finish(first, 1)
    cluster.finish(second)
    cluster.run()
    assert cluster.wish == 10
    cluster.wait(10)
    assert indexes(cluster) == ["0"]
    assert cluster.pods()[0]["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
    fail(cluster)
    assert status(cluster)["failedIndexes"] == "0"
    assert conditions(cluster)["Failed"] == ("True", "FailedIndexes")
    assert counts(cluster) == (0, 1, 2)


def test_a_success_policy(cluster: Cluster) -> None:
    policy = {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]}
    put(cluster, completionMode="Indexed", completions=3, parallelism=3, successPolicy=policy)
    cluster.settle()
    cluster.finish(cluster.pods()[0])
    cluster.settle()
    assert conditions(cluster) == {"SuccessCriteriaMet": ("True", "SuccessPolicy"), "Complete": ("True", "SuccessPolicy")}
    assert counts(cluster) == (0, 1, 0)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}, "PodFailurePolicy"),
        ({"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [42]}}, None),
        ({"action": "FailJob", "onExitCodes": {"containerName": "other", "operator": "In", "values": [42]}}, None),
        ({"action": "FailJob", "onPodConditions": [{"type": "Ready", "status": "False"}]}, "PodFailurePolicy"),
    ],
)
def test_a_pod_failure_policy_ends_a_job_at_once(cluster: Cluster, rule: dict[str, Any], found: str | None) -> None:
    put(cluster, podFailurePolicy={"rules": [rule]})
    cluster.run()
    fail(cluster, 42)
    assert conditions(cluster).get("Failed", (None, None))[1] == found


def test_ignored_failures_do_not_count(cluster: Cluster) -> None:
    put(cluster, backoffLimit=0, podFailurePolicy={"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]})
    cluster.run()
    fail(cluster, 42)
    assert counts(cluster) == (0, 0, 0)
    cluster.wait(10)
    fail(cluster, 1)
    assert conditions(cluster)["Failed"] == ("True", "BackoffLimitExceeded")


def test_a_job_of_another_controller_is_let_be(cluster: Cluster) -> None:
    put(cluster, managedBy="x.io/controller")
    cluster.run()
    assert cluster.pods() == []


@pytest.mark.parametrize(("text", "found"), [("", set()), ("3", {3}), ("0-2,5", {0, 1, 2, 5}), ("1,2,4-6", {1, 2, 4, 5, 6})])
def test_indexes_as_text(text: str, found: set[int]) -> None:
    assert parse_indexes(text) == found
    assert render_indexes(found) == text
