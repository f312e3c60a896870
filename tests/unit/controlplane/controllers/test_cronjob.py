"""A CronJob makes a Job at each moment of its schedule. The clock of these tests starts on Sunday, 1 March 2026, at noon."""

from __future__ import annotations

from typing import Any

import pytest

from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.cronjob import CronJobController
from klab.controlplane.controllers.garbagecollector import GarbageCollector
from klab.controlplane.controllers.job import JobController
from klab.controlplane.manager import Controller

from .conftest import START, Cluster, template

MINUTE = 60
NOON = int(START // 60)


def controllers(context: Context) -> list[Controller]:
    return [CronJobController(context), JobController(context), GarbageCollector(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def put(cluster: Cluster, schedule: str = "*/5 * * * *", **spec: Any) -> None:
    job = {"metadata": {"labels": {"tier": "batch"}}, "spec": {"template": template(labels={}, restartPolicy="Never"), "backoffLimit": 0}}
    cluster.put(
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {"schedule": schedule, "jobTemplate": job, **spec}}
    )


def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("cj", "tick").get("status", {})
    return found


def end_jobs(cluster: Cluster, code: int = 0) -> None:
    cluster.bind()
    for pod in cluster.pods():
        cluster.finish(pod, code)
    cluster.run()


def test_a_job_at_each_moment(cluster: Cluster) -> None:
    put(cluster)
    assert cluster.run() == 5 * MINUTE
    assert cluster.names("jobs") == []
    cluster.wait(5 * MINUTE)
    assert cluster.names("jobs") == [f"tick-{NOON + 5}"]
    assert cluster.wish == 5 * MINUTE
    job = cluster.list("jobs")[0]
    assert job["metadata"]["labels"] == {"tier": "batch"}
    assert job["metadata"]["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-01T12:05:00Z"}
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert status(cluster)["lastScheduleTime"] == "2026-03-01T12:05:00Z"
    assert [one["name"] for one in status(cluster)["active"]] == [f"tick-{NOON + 5}"]
    assert cluster.messages("SuccessfulCreate")[0] == f"Created job tick-{NOON + 5}"
    assert len(cluster.pods()) == 1
    end_jobs(cluster)
    assert "active" not in status(cluster)
    assert status(cluster)["lastSuccessfulTime"] == "2026-03-01T12:05:00Z"
    assert cluster.messages("SawCompletedJob") == [f"Saw completed job: tick-{NOON + 5}, condition: Complete"]
    cluster.wait(5 * MINUTE)
    assert cluster.names("jobs") == [f"tick-{NOON + 5}", f"tick-{NOON + 10}"]


def test_of_many_missed_moments_the_last_counts(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    cluster.wait(24 * 60 * MINUTE)
    assert cluster.names("jobs") == [f"tick-{NOON + 24 * 60}"]
    assert cluster.messages("TooManyMissedTimes") == [
        "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    ]


def test_a_moment_that_is_too_long_ago_is_left_out(cluster: Cluster) -> None:
    put(cluster, startingDeadlineSeconds=30)
    cluster.run()
    cluster.wait(6 * MINUTE)
    assert cluster.names("jobs") == []
    cluster.wait(4 * MINUTE + 20)
    assert cluster.names("jobs") == [f"tick-{NOON + 10}"]


@pytest.mark.parametrize(("policy", "names"), [("Allow", [5, 10]), ("Forbid", [5]), ("Replace", [10])])
def test_two_at_a_time(cluster: Cluster, policy: str, names: list[int]) -> None:
    put(cluster, concurrencyPolicy=policy)
    cluster.run()
    for _ in range(2):
        cluster.wait(5 * MINUTE)
    assert cluster.names("jobs") == sorted(f"tick-{NOON + minute}" for minute in names)
    assert len(status(cluster)["active"]) == len(names)
    assert len(cluster.messages("JobAlreadyActive")) == (policy == "Forbid")
    assert len(cluster.messages("SuccessfulDelete")) == (policy == "Replace")


def test_forbidden_jobs_start_when_the_way_is_free(cluster: Cluster) -> None:
    put(cluster, concurrencyPolicy="Forbid")
    cluster.run()
    cluster.wait(5 * MINUTE)
    cluster.wait(6 * MINUTE)
    end_jobs(cluster)
    assert cluster.names("jobs") == [f"tick-{NOON + 5}", f"tick-{NOON + 10}"]


def test_suspended_it_makes_none(cluster: Cluster) -> None:
    put(cluster, suspend=True)
    assert cluster.run() is None
    cluster.wait(60 * MINUTE)
    assert cluster.names("jobs") == []


def test_the_history_is_limited(cluster: Cluster) -> None:
    put(cluster, successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1)
    cluster.run()
    for code in (0, 1, 0, 1, 0):
        cluster.wait(5 * MINUTE)
        end_jobs(cluster, code)
    assert cluster.names("jobs") == [f"tick-{NOON + minute}" for minute in (15, 20, 25)]
    assert len(cluster.messages("SuccessfulDelete")) == 2
    cluster.settle()
    assert len(cluster.names("pods")) == 3


def test_a_time_zone_counts(cluster: Cluster) -> None:
    put(cluster, "0 14 * * *", timeZone="Europe/Berlin")
    assert cluster.run() == 60 * MINUTE
    cluster.wait(60 * MINUTE)
    annotations = cluster.list("jobs")[0]["metadata"]["annotations"]
    assert annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-03-01T14:00:00+01:00"


@pytest.mark.parametrize(("spec", "reason"), [({"schedule": "99 * * * *"}, "UnparseableSchedule"), ({"timeZone": "Mars/Phobos"}, "UnknownTimeZone")])
def test_what_cannot_be_read_is_told(cluster: Cluster, spec: dict[str, Any], reason: str) -> None:
    put(cluster, **spec)
    assert cluster.run() is None
    assert len(cluster.messages(reason)) == 1


def test_another_schedule_counts_at_once(cluster: Cluster) -> None:
    put(cluster, "0 0 1 1 *")
    cluster.run()
    cluster.change("cj", "tick", schedule="*/2 * * * *")
    assert cluster.run() == 2 * MINUTE


def test_a_job_that_somebody_deleted_is_missed(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    cluster.wait(5 * MINUTE)
    cluster.delete("job", f"tick-{NOON + 5}")
    cluster.settle()
    assert "active" not in status(cluster)
    assert cluster.messages("MissingJob") == [f"Active job went missing: tick-{NOON + 5}"]
    assert cluster.names("jobs") == cluster.names("pods") == []


def test_it_takes_its_jobs_along(cluster: Cluster) -> None:
    put(cluster)
    cluster.run()
    cluster.wait(5 * MINUTE)
    cluster.delete("cj", "tick")
    cluster.settle()
    assert cluster.names("jobs") == cluster.names("pods") == []
