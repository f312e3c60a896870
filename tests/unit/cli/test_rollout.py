"""`klab rollout` and `klab set image`: what they ask of the API, and what they print."""

from __future__ import annotations

from typing import Any

import pytest

from klab.errors import Fault, InvalidManifestError


def workload(kind: str = "Deployment", name: str = "web", **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:2"}]}},
        },
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }


def replica_set(number: int, cause: str = "") -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": str(number), **({"kubernetes.io/change-cause": cause} if cause else {})}
    labels = {"app": "web", "pod-template-hash": f"h{number}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-h{number}",
            "namespace": "default",
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web", "controller": True}],
        },
        "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": f"web:{number}"}]}}},
    }


@pytest.fixture
def deployed(backend: Any) -> Any:
    """Give the fake API with a deployment of two revisions."""
    backend.server.objects = [workload(), replica_set(1), replica_set(2, "second try")]
    return backend.server


class TestStatus:
    def test_a_rollout_that_is_done(self, klab: Any, deployed: Any) -> None:
        result = klab("rollout status deployment/web")
        assert (result.exit_code, result.stdout) == (0, 'deployment "web" successfully rolled out\n')
        assert deployed.calls == []

    def test_it_waits_for_the_rollout_by_a_watch(self, klab: Any, deployed: Any) -> None:
        deployed.objects[0] = workload(updatedReplicas=1)
        deployed.events = [("MODIFIED", workload(availableReplicas=1)), ("MODIFIED", workload())]
        assert klab("rollout status deploy web").stdout.splitlines() == [
            'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...',
            'Waiting for deployment "web" rollout to finish: 1 of 2 updated replicas are available...',
            'deployment "web" successfully rolled out',
        ]
        assert deployed.calls == [("watch", "deployments", "default", "", "metadata.name=web", "7")]

    def test_without_watch_it_looks_once(self, klab: Any, deployed: Any) -> None:
        deployed.objects[0] = workload(updatedReplicas=0)
        result = klab("rollout status deploy web --watch=false")
        assert (result.exit_code, len(result.stdout.splitlines()), deployed.calls) == (0, 1, [])

    def test_it_gives_up_at_the_timeout(self, klab: Any, deployed: Any) -> None:
        deployed.objects[0] = workload(updatedReplicas=0)
        result = klab("rollout status deploy web --timeout=1ms")
        assert (result.exit_code, result.stderr) == (1, "error: timed out waiting for the condition\n")

    def test_a_workload_that_is_deleted_meanwhile(self, klab: Any, deployed: Any) -> None:
        deployed.objects[0] = workload(updatedReplicas=0)
        deployed.events = [("DELETED", workload())]
        result = klab("rollout status deploy web")
        assert (result.exit_code, result.stderr) == (1, "error: object has been deleted\n")

    def test_a_kind_alone_means_all_of_it(self, klab: Any, deployed: Any) -> None:
        deployed.objects.append(workload(name="api"))
        assert len(klab("rollout status deployments").stdout.splitlines()) == 2
        assert klab("rollout status statefulsets").stderr == "No resources found in default namespace.\n"

    @pytest.mark.parametrize(
        ("line", "code", "message"),
        [
            ("rollout status", 2, "required resource not specified"),
            ("rollout status deploy/nope", 1, 'deployments.apps "nope" not found'),
            ("rollout status rs/web-h1", 1, "no status viewer has been implemented for ReplicaSet.apps"),
            ("rollout status deploy/web --revision=-1", 2, "revision must be a positive integer: -1"),
            ("rollout status deploy/web --revision=1", 1, "desired revision (1) is different from the running revision (2)"),
            ("rollout status deploy/web --timeout=soon", 2, 'invalid argument "soon" for "--timeout" flag'),
        ],
    )
    def test_what_it_refuses(self, klab: Any, deployed: Any, line: str, code: int, message: str) -> None:
        result = klab(line)
        assert result.exit_code == code
        assert result.stderr.startswith(f"error: {message}")


class TestHistory:
    def test_the_table(self, klab: Any, deployed: Any) -> None:
        text = "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         second try\n\n"
        assert klab("rollout history deployment/web").stdout == text

    def test_one_revision(self, klab: Any, deployed: Any) -> None:
        lines = klab("rollout history deployment/web --revision=2").stdout.splitlines()
        assert lines[:8] == [
            "deployment.apps/web with revision #2",
            "Pod Template:",
            "  Labels:\tapp=web",
            "\tpod-template-hash=h2",
            "  Annotations:\tkubernetes.io/change-cause: second try",
            "  Containers:",
            "   app:",
            "    Image:\tweb:2",
        ]

    def test_a_revision_that_is_not_there(self, klab: Any, deployed: Any) -> None:
        result = klab("rollout history deployment/web --revision=5")
        assert (result.exit_code, result.stderr) == (1, "error: unable to find the specified revision\n")

    def test_there_is_none(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [workload()]
        assert klab("rollout history deploy web").stdout == "deployment.apps/web \nNo rollout history found.\n"

    def test_as_names(self, klab: Any, deployed: Any) -> None:
        assert klab("rollout history deploy web -o name").stdout == "replicaset.apps/web-h1\nreplicaset.apps/web-h2\n"


class TestUndo:
    def test_it_goes_back_to_the_one_before(self, klab: Any, deployed: Any) -> None:
        assert klab("rollout undo deployment/web").stdout == "deployment.apps/web rolled back\n"
        template = deployed.objects[0]["spec"]["template"]
        assert template == {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}}

    def test_the_revision_that_runs_is_left_alone(self, klab: Any, deployed: Any) -> None:
        result = klab("rollout undo deployment/web --to-revision=2")
        assert result.stdout == "deployment.apps/web skipped rollback (current template already matches revision 2)\n"
        assert deployed.calls == []

    def test_a_dry_run(self, klab: Any, deployed: Any) -> None:
        assert klab("rollout undo deployment/web --dry-run=server").stdout == "deployment.apps/web rolled back (server dry run)\n"
        assert deployed.calls[0][-1] is True
        result = klab("rollout undo deployment/web --dry-run=client")
        assert result.stdout.startswith("deployment.apps/web Pod Template:\n  Labels:\tapp=web\n")
        assert len(deployed.calls) == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("deployment/web --to-revision=9", "unable to find specified revision 9 in history"),
            ("deployment/web --to-revision=-1", "unable to find specified revision -1 in history"),
            ("rs/web-h1", 'no rollbacker has been implemented for "ReplicaSet.apps"'),
        ],
    )
    def test_what_it_refuses(self, klab: Any, deployed: Any, words: str, message: str) -> None:
        result = klab(f"rollout undo {words}")
        assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")


class TestRestartPauseResume:
    def test_a_restart_marks_the_template(self, klab: Any, deployed: Any) -> None:
        assert klab("rollout restart deployment/web").stdout == "deployment.apps/web restarted\n"
        annotations = deployed.objects[0]["spec"]["template"]["metadata"]["annotations"]
        assert list(annotations) == ["kubectl.kubernetes.io/restartedAt"]

    def test_a_pause_and_its_end(self, klab: Any, deployed: Any) -> None:
        assert klab("rollout resume deploy/web").stderr == 'error: deployments.apps "web" is not paused\n'
        assert klab("rollout pause deploy/web").stdout == "deployment.apps/web paused\n"
        assert klab("rollout pause deploy/web").stderr == 'error: deployments.apps "web" is already paused\n'
        assert "can't restart paused deployment (run rollout resume first)" in klab("rollout restart deploy/web").stderr
        assert "you cannot rollback a paused deployment" in klab("rollout undo deploy/web").stderr
        assert klab("rollout resume deploy/web").stdout == "deployment.apps/web resumed\n"
        assert "paused" not in deployed.objects[0]["spec"]

    @pytest.mark.parametrize(("verb", "word"), [("restart", "restarting"), ("pause", "pausing"), ("resume", "resuming")])
    def test_a_replica_set_has_no_rollout(self, klab: Any, deployed: Any, verb: str, word: str) -> None:
        result = klab(f"rollout {verb} rs/web-h1")
        assert (result.exit_code, result.stderr) == (1, f'error: replicasets.apps "web-h1" {word} is not supported\n')

    def test_one_that_fails_does_not_keep_the_others_from_it(self, klab: Any, deployed: Any) -> None:
        result = klab("rollout restart deploy/nope deploy/web")
        assert (result.exit_code, result.stdout) == (1, "deployment.apps/web restarted\n")


class TestSetImage:
    def test_it_patches_the_container(self, klab: Any, deployed: Any) -> None:
        assert klab("set image deployment/web app=web:3").stdout == "deployment.apps/web image updated\n"
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "web:3"}]}}}}
        assert deployed.calls == [("patch", "deployments", "default", "web", patch, "strategic", "", False)]

    def test_the_same_image_is_no_change(self, klab: Any, deployed: Any) -> None:
        result = klab("set image deploy web app=web:2")
        assert (result.exit_code, result.stdout, deployed.calls) == (0, "", [])

    def test_all_containers_of_all_deployments(self, klab: Any, deployed: Any) -> None:
        deployed.objects.append(workload(name="api"))
        assert klab("set image deployments --all *=web:3").stdout == "deployment.apps/web image updated\ndeployment.apps/api image updated\n"

    def test_a_container_that_is_not_there(self, klab: Any, deployed: Any) -> None:
        result = klab("set image deploy/web app=web:3 side=x")
        assert (result.exit_code, result.stdout) == (1, "deployment.apps/web image updated\n")
        assert result.stderr == 'error: unable to find container named "side"\n'

    def test_what_the_lab_refuses(self, klab: Any, deployed: Any) -> None:
        deployed.refusals = [InvalidManifestError([Fault("", "spec.containers[0].image", "Required value")])]
        result = klab("set image deploy/web app=")
        assert (result.exit_code, result.stderr) == (3, "error: spec.containers[0].image: Required value\n")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("app=web:3", "one or more resources must be specified as <resource> <name> or <resource>/<name>"),
            ("deploy/web", "at least one image update is required"),
            ("deploy/web *=a app=b", "all containers are already specified by *"),
            ("deploy --all -l app=web app=b", "cannot set --all and --selector at the same time"),
            ("deploy app=b", "resource(s) were provided, but no name was specified"),
        ],
    )
    def test_what_makes_no_sense(self, klab: Any, deployed: Any, words: str, message: str) -> None:
        result = klab(f"set image {words}")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {message}")
