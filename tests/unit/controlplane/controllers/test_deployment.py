"""A Deployment goes from one pod template to the next without more pods missing, or too many, than it allows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from klab.controlplane.controllers import rollout
from klab.controlplane.controllers.context import REPLICASETS, Context
from klab.controlplane.controllers.deployment import DeploymentController
from klab.controlplane.controllers.replicaset import ReplicaSetController
from klab.controlplane.controllers.templates import calc_template_hash, encode_safely, fnv32a
from klab.controlplane.manager import Controller

from .conftest import Cluster, template, workload

REVISION = "deployment.kubernetes.io/revision"


def controllers(context: Context) -> list[Controller]:
    return [DeploymentController(context), ReplicaSetController(context)]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(controllers)


def roll_out(cluster: Cluster, image: str, **spec: Any) -> None:
    cluster.put(workload("Deployment", image=image, **spec))


def sizes(cluster: Cluster) -> dict[str, int]:
    """The size of each ReplicaSet by its image."""
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"] for one in cluster.list("rs")}


def conditions(cluster: Cluster) -> dict[str, tuple[str, str, str]]:
    found = cluster.get("deploy", "web")["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def revisions(cluster: Cluster) -> dict[str, str]:
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one["metadata"]["annotations"][REVISION] for one in cluster.list("rs")}


def test_fnv_is_the_known_one() -> None:
    assert fnv32a(b"") == 0x811C9DC5
    assert fnv32a(b"foobar") == 0xBF9CF968
    assert encode_safely("1234567890") == "56789bcdf4"


def test_a_hash_is_stable_and_collisions_make_another() -> None:
    found = calc_template_hash(template())
    assert found == calc_template_hash({"spec": template()["spec"], "metadata": template()["metadata"]})
    assert re.fullmatch("[bcdfghjklmnpqrstvwxz2456789]{1,10}", found)
    assert len({found, calc_template_hash(template(), 0), calc_template_hash(template(), 1)}) == 3


def test_a_new_deployment_has_one_replica_set_with_a_hash(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=3, minReadySeconds=2)
    cluster.run()
    (found,) = cluster.list("rs")
    name = found["metadata"]["name"]
    digest = name.removeprefix("web-")
    labels = {"app": "web", "pod-template-hash": digest}
    assert found["metadata"]["labels"] == found["spec"]["template"]["metadata"]["labels"] == found["spec"]["selector"]["matchLabels"] == labels
    assert found["metadata"]["annotations"] == {
        REVISION: "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert found["spec"]["minReadySeconds"] == 2
    assert all(re.fullmatch(f"{name}-[a-z0-9]{{5}}", pod["metadata"]["name"]) and pod["metadata"]["labels"] == labels for pod in cluster.pods())
    assert cluster.get("deploy", "web")["metadata"]["annotations"] == {REVISION: "1"}
    assert cluster.messages("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"]
    assert cluster.get("deploy", "web")["metadata"]["generation"] == 1


def test_the_status_from_nothing_to_complete(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=2)
    cluster.run()
    name = cluster.names("rs")[0]
    status = cluster.get("deploy", "web")["status"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 2,
        "updatedReplicas": 2,
        "unavailableReplicas": 2,
        "terminatingReplicas": 0,
    }
    assert conditions(cluster) == {
        "Available": ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
        "Progressing": ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'),
    }
    cluster.settle()
    status = cluster.get("deploy", "web")["status"]
    assert (status["readyReplicas"], status["availableReplicas"], status.get("unavailableReplicas")) == (2, 2, None)
    assert conditions(cluster) == {
        "Available": ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        "Progressing": ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'),
    }
    assert cluster.wish is None


@pytest.mark.parametrize(
    ("surge", "unavailable", "most", "least"), [("25%", "25%", 5, 3), (1, 0, 5, 4), (0, 1, 4, 3), ("100%", 0, 8, 4), (0, "50%", 4, 2), (2, 2, 6, 2)]
)
def test_a_rolling_update_keeps_its_bounds(cluster: Cluster, surge: Any, unavailable: Any, most: int, least: int) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    roll_out(cluster, "nginx:1", replicas=4, strategy=strategy)
    cluster.settle()
    roll_out(cluster, "nginx:2", replicas=4, strategy=strategy)
    seen = []
    for _ in range(40):
        cluster.run()
        seen.append((len(cluster.pods()), len(cluster.ready_pods())))
        cluster.bind()
        unready = [pod for pod in cluster.pods() if pod not in cluster.ready_pods()]
        cluster.start(unready[:1])  # one after the other
        cluster.reap()
    assert sizes(cluster) == {"nginx:1": 0, "nginx:2": 4}
    assert max(total for total, _ in seen) == most
    assert min(ready for _, ready in seen) == least
    assert conditions(cluster)["Progressing"][:2] == ("True", "NewReplicaSetAvailable")
    assert revisions(cluster) == {"nginx:1": "1", "nginx:2": "2"}
    assert cluster.get("deploy", "web")["metadata"]["annotations"][REVISION] == "2"


def test_a_rollout_waits_for_readiness(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=4)
    cluster.settle()
    roll_out(cluster, "nginx:2", replicas=4)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 3, "nginx:2": 2}
    old, new = sorted(cluster.list("rs"), key=lambda one: one["metadata"]["annotations"][REVISION])
    assert cluster.messages("ScalingReplicaSet")[1:] == [
        f"Scaled up replica set {new['metadata']['name']} from 0 to 1",
        f"Scaled down replica set {old['metadata']['name']} from 4 to 3",
        f"Scaled up replica set {new['metadata']['name']} from 1 to 2",
    ]
    for _ in range(3):
        cluster.run()
    assert sizes(cluster) == {"nginx:1": 3, "nginx:2": 2}


def test_min_ready_seconds_slow_a_rollout_down(cluster: Cluster) -> None:
    bounds = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    roll_out(cluster, "nginx:1", replicas=1, minReadySeconds=30, strategy=bounds)
    cluster.settle()
    cluster.wait(30)
    roll_out(cluster, "nginx:2", replicas=1, minReadySeconds=30, strategy=bounds)
    cluster.settle()
    assert sizes(cluster) == {"nginx:1": 1, "nginx:2": 1}
    cluster.wait(29)
    assert sizes(cluster) == {"nginx:1": 1, "nginx:2": 1}
    cluster.wait(1)
    assert sizes(cluster) == {"nginx:1": 0, "nginx:2": 1}


def test_recreate_makes_new_pods_when_the_last_old_one_has_gone(cluster: Cluster) -> None:
    strategy = {"type": "Recreate"}
    roll_out(cluster, "nginx:1", replicas=2, strategy=strategy)
    cluster.settle()
    roll_out(cluster, "nginx:2", replicas=2, strategy=strategy)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 0}
    assert cluster.pods() == []
    first, second = cluster.names("pods")
    cluster.delete("pod", first, 0)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 0}
    cluster.delete("pod", second, 0)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 0, "nginx:2": 2}
    cluster.settle()
    assert conditions(cluster)["Progressing"][:2] == ("True", "NewReplicaSetAvailable")


def test_scaling_makes_no_revision(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=2)
    cluster.settle()
    for size in (5, 0, 3):
        cluster.change("deploy", "web", replicas=size)
        cluster.settle()
        assert len(cluster.pods()) == size
    assert revisions(cluster) == {"nginx:1": "1"}
    name = cluster.names("rs")[0]
    assert cluster.messages("ScalingReplicaSet")[1:] == [
        f"Scaled up replica set {name} from 2 to 5",
        f"Scaled down replica set {name} from 5 to 0",
        f"Scaled up replica set {name} from 0 to 3",
    ]


def test_scaling_in_a_stuck_rollout_is_proportional(cluster: Cluster) -> None:
    """The example of the Kubernetes documentation: 10 to 15 in the middle of a rollout with 8 old and 5 new ones gives 11 and 7."""
    bounds = {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    roll_out(cluster, "nginx:1", replicas=10, strategy=bounds)
    cluster.settle()
    roll_out(cluster, "nginx:2", replicas=10, strategy=bounds)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 8, "nginx:2": 5}
    cluster.change("deploy", "web", replicas=15)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 11, "nginx:2": 7}


def test_going_back_to_an_earlier_template_takes_its_replica_set_again(cluster: Cluster) -> None:
    for image in ("nginx:1", "nginx:2", "nginx:1"):
        roll_out(cluster, image, replicas=1)
        cluster.settle()
    assert revisions(cluster) == {"nginx:1": "3", "nginx:2": "2"}
    assert cluster.get("deploy", "web")["metadata"]["annotations"][REVISION] == "3"
    back = next(one for one in cluster.list("rs") if one["spec"]["replicas"])
    assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert cluster.pods()[0]["metadata"]["name"].startswith(back["metadata"]["name"])


def test_a_rollout_over_a_broken_one_takes_the_broken_pods_first(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=4)
    cluster.settle()
    roll_out(cluster, "broken", replicas=4)
    cluster.run()
    roll_out(cluster, "nginx:3", replicas=4)
    cluster.run()
    assert sizes(cluster) == {"nginx:1": 3, "broken": 0, "nginx:3": 2}


def test_history_is_limited(cluster: Cluster) -> None:
    for number in range(1, 6):
        roll_out(cluster, f"nginx:{number}", replicas=1, revisionHistoryLimit=2)
        cluster.settle()
    assert revisions(cluster) == {"nginx:3": "3", "nginx:4": "4", "nginx:5": "5"}


def test_a_paused_deployment_scales_and_rolls_out_when_it_goes_on(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=2)
    cluster.settle()
    roll_out(cluster, "nginx:2", replicas=3, paused=True)
    cluster.settle()
    assert sizes(cluster) == {"nginx:1": 3}
    assert conditions(cluster)["Progressing"] == ("Unknown", "DeploymentPaused", "Deployment is paused")
    cluster.change("deploy", "web", paused=False)
    cluster.settle()
    assert sizes(cluster) == {"nginx:1": 0, "nginx:2": 3}


def test_a_rollout_without_progress_is_told_after_its_deadline(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=1, progressDeadlineSeconds=60)
    cluster.run()
    name = cluster.names("rs")[0]
    assert cluster.wish == 61
    cluster.wait(60)
    assert conditions(cluster)["Progressing"][1] == "ReplicaSetUpdated"
    assert cluster.wish == 1
    cluster.wait(1)
    assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
    assert cluster.wish is None
    cluster.settle()
    assert conditions(cluster)["Progressing"][:2] == ("True", "NewReplicaSetAvailable")


def test_annotations_go_along_but_not_the_applied_configuration(cluster: Cluster) -> None:
    wish = workload("Deployment", replicas=1)
    wish["metadata"]["annotations"] = {"kubernetes.io/change-cause": "first", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    cluster.put(wish)
    cluster.run()
    annotations = cluster.list("rs")[0]["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "first"
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations


def test_a_taken_name_leads_to_another_hash(cluster: Cluster) -> None:
    wish = workload("Deployment", replicas=1)
    cluster.put(wish)
    cluster.manager.stop("deployment-controller")
    digest = calc_template_hash(cluster.get("deploy", "web")["spec"]["template"])
    cluster.put(workload("ReplicaSet", f"web-{digest}", replicas=0, template=template({"app": "web", "tier": "x"})))
    stranger = cluster.get("rs", f"web-{digest}")
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": True}]
    cluster.store.update(REPLICASETS, {**stranger, "metadata": {**stranger["metadata"], "ownerReferences": owners}})
    cluster.manager.start("deployment-controller")
    cluster.run()
    assert cluster.get("deploy", "web")["status"]["collisionCount"] == 1
    assert len(cluster.pods()) == 1


def test_pods_that_cannot_be_are_the_deployments_failure(cluster: Cluster) -> None:
    roll_out(cluster, "nginx:1", replicas=1, template=template(hostname="Not_A_Name"))
    cluster.run()
    assert conditions(cluster)["ReplicaFailure"][:2] == ("True", "FailedCreate")


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "found"),
    [
        (2, 0, "1%", (0, 1)),
        (1, "1%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (0, "25%", "25%", (0, 0)),
        (3, 0, 5, (0, 3)),
    ],
)
def test_bounds_of_a_rollout(replicas: int, surge: Any, unavailable: Any, found: tuple[int, int]) -> None:
    bounds = {"maxSurge": surge, "maxUnavailable": unavailable}
    deployment = {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": bounds}}}
    assert (rollout.max_surge(deployment), rollout.max_unavailable(deployment)) == found
