"""`scale`, `label`, `annotate` and `wait`: what they ask of the API, and what they print."""

from __future__ import annotations

from typing import Any

import pytest

from klab.cli.conditions import parse_condition
from klab.cli.durations import parse_duration
from klab.errors import ConflictError, KlabError, UsageError


def pod(name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name, **metadata},
        "spec": {"containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def deployment(replicas: int = 2, actual: int = 2, version: str = "7") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": version},
        "spec": {"replicas": replicas},
        "status": {"replicas": actual},
    }


class TestScale:
    def test_it_patches_the_scale(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment()]
        assert klab("scale --replicas=3 deployment/web").stdout == "deployment.apps/web scaled\n"
        assert backend.server.calls == [("patch", "deployments", "default", "web", {"spec": {"replicas": 3}}, "merge", "scale", False)]

    def test_a_precondition_holds_for_the_very_object_that_was_looked_at(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment()]
        backend.server.refusals = [ConflictError("it changed")]
        assert klab("scale --current-replicas=2 --replicas=3 deploy web").exit_code == 0
        assert [call[4] for call in backend.server.calls] == [{"spec": {"replicas": 3}, "metadata": {"resourceVersion": "7"}}] * 2

    def test_a_precondition_that_is_not_met(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment()]
        result = klab("scale --current-replicas=5 --replicas=3 deploy web")
        assert (result.exit_code, result.stderr) == (1, "error: Expected replicas to be 5, was 2\n")
        result = klab("scale --resource-version=1 --replicas=3 deploy web")
        assert (result.exit_code, result.stderr) == (1, "error: Expected resource version to be 1, was 7\n")
        assert backend.server.calls == []

    def test_it_waits_for_the_replicas(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment(replicas=3)]
        backend.server.events = [("MODIFIED", deployment(3, 3))]
        assert klab("scale --replicas=3 deploy/web --timeout=1m").exit_code == 0
        assert backend.server.calls[-1] == ("watch", "deployments", "default", "", "metadata.name=web", "7")

    def test_it_gives_up_waiting(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment(replicas=3)]
        result = klab("scale --replicas=3 deploy/web --timeout=1ms")
        assert (result.exit_code, result.stderr) == (1, 'error: timed out waiting for "web" to be synced\n')

    def test_a_dry_run_of_the_client_asks_nothing(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [deployment()]
        assert klab("scale --replicas=3 deploy/web --dry-run=client").stdout == "deployment.apps/web scaled (dry run)\n"
        assert backend.server.calls == []

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            ("deploy/web", 2, "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"),
            ("--replicas=-1 deploy/web", 2, "The --replicas=COUNT flag is required"),
            ("--replicas=1 --current-replicas=-2 deploy/web", 2, "The --current-replicas must specify an integer of -1 or greater"),
            ("--replicas=1 deploy -l app=web", 1, "no objects passed to scale"),
            ("--replicas=1 deploy/nope", 1, 'deployments.apps "nope" not found'),
            ("--replicas=1 deploy/web --dry-run=maybe", 2, "Invalid dry-run value (maybe)"),
        ],
    )
    def test_what_it_refuses(self, klab: Any, backend: Any, words: str, code: int, message: str) -> None:
        backend.server.objects = [deployment()]
        result = klab(f"scale {words}")
        assert result.exit_code == code
        assert result.stderr.startswith(f"error: {message}")


class TestLabel:
    def test_it_sets_and_takes_away(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod(labels={"app": "web", "old": "x"})]
        assert klab("label pod web tier=front old- nope-").stdout == 'label "nope" not found.\npod/web labeled\n'
        assert backend.server.objects[0]["metadata"]["labels"] == {"app": "web", "tier": "front"}
        assert klab("label pod/web tier-").stdout == "pod/web unlabeled\n"
        assert klab("label pod web app=web").stdout == "pod/web not labeled\n"

    def test_a_value_stays_unless_told_otherwise(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a"), pod(labels={"app": "web"})]
        result = klab("label pods --all app=api")
        assert (result.exit_code, result.stdout) == (1, "pod/a labeled\n")
        assert result.stderr == "error: 'app' already has a value (web), and --overwrite is false\n"
        assert klab("label pod web app=api --overwrite").stdout == "pod/web labeled\n"

    def test_the_list(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a", labels={"b": "2", "a": "1"}), pod()]
        assert klab("label pod a --list").stdout == "a=1\nb=2\n"
        assert klab("label pods --all --list").stdout == "Listing labels for Pod./a:\n a=1\n b=2\nListing labels for Pod./web:\n"
        assert backend.server.calls == []

    def test_a_dry_run_of_the_client_shows_the_object(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod()]
        assert klab("label pod web a=b --dry-run=client -o jsonpath={.metadata.labels.a}").stdout == "b"
        assert backend.server.calls == []

    def test_the_version_that_it_must_have(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod()]
        assert klab("label pod web a=b --resource-version=7").exit_code == 0
        assert backend.server.calls[0][4] == {"metadata": {"labels": {"a": "b"}, "resourceVersion": "7"}}
        backend.server.objects.append(pod("b"))
        assert klab("label pods --all a=b --resource-version=7").stderr == "error: --resource-version may only be used with a single resource\n"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("a=b", "one or more resources must be specified as <resource> <name> or <resource>/<name>"),
            ("pod web", "at least one label update is required"),
            ("pod web a=b c", "all resources must be specified before label changes: c"),
            ("pods --all -l app=web a=b", "cannot set --all and --selector at the same time"),
            ("pod web --list -o json", "--list and --output may not be specified together"),
        ],
    )
    def test_what_makes_no_sense(self, klab: Any, words: str, message: str) -> None:
        result = klab(f"label {words}")
        assert (result.exit_code, result.stderr) == (2, f"error: {message}\n")


class TestAnnotate:
    def test_it_sets_and_takes_away(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod(annotations={"old": "x"})]
        assert klab("annotate pod web note=a=b old-").stdout == "pod/web annotated\n"
        assert backend.server.objects[0]["metadata"]["annotations"] == {"note": "a=b"}
        assert klab("annotate pod web --list").stdout == "note=a=b\n"

    def test_a_value_stays_unless_told_otherwise(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod(annotations={"note": "a", "kubernetes.io/change-cause": "1"})]
        result = klab("annotate pod web note=b")
        message = "error: --overwrite is false but found the following declared annotation(s): 'note' already has a value (a)\n"
        assert (result.exit_code, result.stderr) == (1, message)
        assert klab("annotate pod web kubernetes.io/change-cause=2").exit_code == 0
        assert klab("annotate pod web note=b --overwrite -o name").stdout == "pod/web\n"

    def test_it_needs_a_change(self, klab: Any) -> None:
        result = klab("annotate pod web")
        assert (result.exit_code, result.stderr) == (2, "error: at least one annotation update is required\n")


class TestWait:
    def test_what_is_met_already(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a"), pod("b")]
        assert klab("wait --for=condition=ready pod/a pod/b").stdout == "pod/a condition met\npod/b condition met\n"
        assert klab("wait --for=jsonpath={.status.phase}=Running pods --all -o name").stdout == "pod/a\npod/b\n"
        assert backend.server.calls == []

    def test_it_waits_by_a_watch(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [{**pod(), "status": {}}]
        backend.server.events = [("MODIFIED", pod())]
        assert klab("wait --for=condition=Ready pod web").stdout == "pod/web condition met\n"
        assert backend.server.calls == [("watch", "pods", "default", "", "metadata.name=web", "7")]

    def test_the_time_is_over(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a"), pod("b")]
        result = klab("wait --for=condition=Ready=false pods --all --timeout=1ms")
        assert result.exit_code == 1
        assert result.stderr == "error: timed out waiting for the condition on pods/a\nerror: timed out waiting for the condition on pods/b\n"

    def test_without_time_it_looks_once(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod()]
        result = klab("wait --for=condition=Done pod/web --timeout=0")
        assert (result.exit_code, result.stderr) == (1, "error: condition not met for pods/web\n")
        assert backend.server.calls == []

    def test_until_it_is_gone(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod(deletionTimestamp="2024-01-01T00:00:00Z")]
        assert klab("wait --for=delete pod/web pod/gone").stdout == "pod/web condition met\n"
        assert klab("wait --for=delete pods -l app=web").exit_code == 0

    def test_another_of_the_same_name_is_not_waited_for(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod()]
        backend.server.events = [("MODIFIED", pod(uid="another"))]
        assert klab("wait --for=delete pod/web").exit_code == 0

    def test_until_it_is_there(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod()]
        assert klab("wait --for=create pod/web").stdout == "pod/web condition met\n"
        result = klab("wait --for=create pod/nope --timeout=1ms")
        assert (result.exit_code, result.stderr) == (1, "error: timed out waiting for the condition\n")

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            ("--for=condition=Ready pod/nope", 1, 'pods "nope" not found'),
            ("--for=condition=Ready pods -l app=nope", 1, "no matching resources found"),
            ("--for=condition=Ready pods", 2, "resource(s) were provided, but no name was specified; give names, -l QUERY or --all"),
            ("pod/web", 2, 'unrecognized condition: ""'),
            ("--for=ready pod/web", 2, 'unrecognized condition: "ready"'),
        ],
    )
    def test_what_it_refuses(self, klab: Any, backend: Any, words: str, code: int, message: str) -> None:
        backend.server.objects = [pod()]
        result = klab(f"wait {words}")
        assert (result.exit_code, result.stderr) == (code, f"error: {message}\n")


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("condition=READY", True),
        ("condition=Ready=False", False),
        ("condition=Other", False),
        ("condition=Stale", False),
        ("jsonpath={.spec.replicas}=3", True),
        ("jsonpath=.spec.replicas=2", False),
        ("jsonpath='{.spec.paused}'=true".replace("'", ""), True),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}="True"', True),
        ("jsonpath={.status.nothing}", False),
        ("jsonpath={.status.conditions}", True),
    ],
)
def test_conditions(text: str, met: bool) -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Stale", "status": "True", "observedGeneration": 1}]
    obj = {"metadata": {"generation": 2}, "spec": {"replicas": 3, "paused": True}, "status": {"conditions": conditions}}
    assert parse_condition(text)(obj) is met


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jsonpath={.a}=", "jsonpath wait has to have a value after equal sign"),
        ("jsonpath={.a}=b=c", "jsonpath wait format must be"),
        ("jsonpath={.a", "unexpected path string"),
    ],
)
def test_conditions_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_condition(text)


def test_a_path_to_several_values_or_to_an_object_has_no_value() -> None:
    obj = {"metadata": {}, "items": [{"a": 1}, {"a": 2}], "one": {"a": 1}}
    with pytest.raises(KlabError, match="matches more than one value"):
        parse_condition("jsonpath={.items[*].a}=1")(obj)
    with pytest.raises(KlabError, match="leads to a nested object or list"):
        parse_condition("jsonpath={.one}=1")(obj)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("30s", 30), ("1h30m", 5400), ("1.5m", 90), ("-1s", -1), ("250ms", 0.25), (".5s", 0.5)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1s 2m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match='for "--timeout" flag'):
        parse_duration(text, "--timeout")
