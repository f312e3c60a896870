"""How far a rollout is, in kubectl's words."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.rollout import calc_rollout_status
from klab.errors import KlabError


def workload(kind: str, status: dict[str, Any], generation: int = 2, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "web", "generation": generation, "annotations": {"deployment.kubernetes.io/revision": "3"}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}


WAITING = 'Waiting for deployment "web" rollout to finish: '


@pytest.mark.parametrize(
    ("status", "text", "done"),
    [
        ({"observedGeneration": 1}, "Waiting for deployment spec update to be observed...", False),
        ({"observedGeneration": 2}, WAITING + "0 out of 4 new replicas have been updated...", False),
        ({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 5}, WAITING + "3 out of 4 new replicas have been updated...", False),
        ({"observedGeneration": 2, "updatedReplicas": 4, "replicas": 5}, WAITING + "1 old replicas are pending termination...", False),
        (
            {"observedGeneration": 2, "updatedReplicas": 4, "replicas": 4, "availableReplicas": 2},
            WAITING + "2 of 4 updated replicas are available...",
            False,
        ),
        (
            {"observedGeneration": 3, "updatedReplicas": 4, "replicas": 4, "availableReplicas": 4},
            'deployment "web" successfully rolled out',
            True,
        ),
    ],
)
def test_of_a_deployment(status: dict[str, Any], text: str, done: bool) -> None:
    assert calc_rollout_status(workload("Deployment", status, replicas=4)) == (text, done)


def test_a_deadline_that_is_over_is_a_failure() -> None:
    status = {"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}
    with pytest.raises(KlabError, match=r'deployment "web" exceeded its progress deadline'):
        calc_rollout_status(workload("Deployment", status, replicas=1))


def test_another_revision_than_the_one_asked_for_is_a_failure() -> None:
    with pytest.raises(KlabError, match=r"desired revision \(2\) is different from the running revision \(3\)"):
        calc_rollout_status(workload("Deployment", {}), 2)


@pytest.mark.parametrize(
    ("status", "text", "done"),
    [
        ({"observedGeneration": 1}, "Waiting for daemon set spec update to be observed...", False),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 1},
            'Waiting for daemon set "web" rollout to finish: 1 out of 3 new pods have been updated...',
            False,
        ),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2},
            'Waiting for daemon set "web" rollout to finish: 2 of 3 updated pods are available...',
            False,
        ),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3},
            'daemon set "web" successfully rolled out',
            True,
        ),
    ],
)
def test_of_a_daemon_set(status: dict[str, Any], text: str, done: bool) -> None:
    assert calc_rollout_status(workload("DaemonSet", status, updateStrategy={"type": "RollingUpdate"})) == (text, done)


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
PLAIN = {"type": "RollingUpdate"}


@pytest.mark.parametrize(
    ("strategy", "status", "text", "done"),
    [
        (PLAIN, {}, "Waiting for statefulset spec update to be observed...", False),
        (PLAIN, {"observedGeneration": 2, "readyReplicas": 1}, "Waiting for 2 pods to be ready...", False),
        (
            ROLLING,
            {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 1},
            "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            False,
        ),
        (
            ROLLING,
            {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 2},
            "partitioned roll out complete: 2 new pods have been updated...",
            True,
        ),
        (
            PLAIN,
            {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "web-a", "updateRevision": "web-b"},
            "waiting for statefulset rolling update to complete 1 pods at revision web-b...",
            False,
        ),
        (
            PLAIN,
            {"observedGeneration": 2, "readyReplicas": 3, "currentReplicas": 3, "currentRevision": "web-b", "updateRevision": "web-b"},
            "statefulset rolling update complete 3 pods at revision web-b...",
            True,
        ),
    ],
)
def test_of_a_stateful_set(strategy: dict[str, Any], status: dict[str, Any], text: str, done: bool) -> None:
    assert calc_rollout_status(workload("StatefulSet", status, replicas=3, updateStrategy=strategy)) == (text, done)


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_there_is_none_with_on_delete(kind: str) -> None:
    with pytest.raises(KlabError, match="only available for RollingUpdate strategy type"):
        calc_rollout_status(workload(kind, {}, updateStrategy={"type": "OnDelete"}))


def test_other_kinds_have_none() -> None:
    with pytest.raises(KlabError, match=r"no status viewer has been implemented for ReplicaSet\.apps"):
        calc_rollout_status(workload("ReplicaSet", {}))
