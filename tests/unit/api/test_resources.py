from __future__ import annotations

import pytest

from klab.api.resources import BUILTIN, Registry, Resource, by_word, of
from klab.api.schema import builtin
from klab.errors import NotFoundError


@pytest.mark.parametrize(
    ("word", "api_version", "kind"),
    [
        ("po", "v1", "Pod"),
        ("Pods", "v1", "Pod"),
        ("pod", "v1", "Pod"),
        ("pods.v1.", "v1", "Pod"),
        ("svc", "v1", "Service"),
        ("deploy", "apps/v1", "Deployment"),
        ("deployments.apps", "apps/v1", "Deployment"),
        ("deployment.v1.apps", "apps/v1", "Deployment"),
        ("ing.networking", "networking.k8s.io/v1", "Ingress"),
        ("hpa", "autoscaling/v2", "HorizontalPodAutoscaler"),
        ("hpa.v1.autoscaling", "autoscaling/v1", "HorizontalPodAutoscaler"),
        ("events", "v1", "Event"),
        ("events.events.k8s.io", "events.k8s.io/v1", "Event"),
        ("crds", "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("lab", "klab.dev/v1", "Lab"),
    ],
)
def test_words(word: str, api_version: str, kind: str) -> None:
    assert by_word(word) is of(api_version, kind)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pood", 'the server doesn\'t have a resource type "pood"; did you mean "pod"?'),
        ("deploymnets", 'the server doesn\'t have a resource type "deploymnets"; did you mean "deployments"?'),
        ("zzz", 'the server doesn\'t have a resource type "zzz"'),
        ("pods.apps", 'the server doesn\'t have a resource type "pods.apps"'),
    ],
)
def test_an_unknown_word_is_named_with_the_nearest(word: str, message: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        by_word(word)
    assert str(caught.value).startswith(message)


def test_an_unknown_kind_is_named_with_what_was_meant() -> None:
    with pytest.raises(NotFoundError, match=r'no matches for kind "Pood" in version "v1"; did you mean "Pod"\?'):
        of("v1", "Pood")
    with pytest.raises(NotFoundError, match=r'no matches for kind "Deployment" in version "v1"; Deployment is in apps/v1'):
        of("v1", "Deployment")


def test_paths() -> None:
    assert by_word("pods").path("default") == "/api/v1/namespaces/default/pods"
    assert by_word("pods").path() == "/api/v1/pods"
    assert by_word("nodes").path("default") == "/api/v1/nodes"
    assert by_word("deploy").path("x") == "/apis/apps/v1/namespaces/x/deployments"
    assert BUILTIN.by_path("apps/v1", "deployments") is by_word("deploy")
    assert BUILTIN.by_path("apps/v1", "pods") is None


def test_all_is_what_kubectl_lists() -> None:
    kinds = " ".join(resource.kind for resource in BUILTIN.in_category("all") if resource.version == "v1")
    assert kinds == "Pod ReplicationController Service DaemonSet Deployment ReplicaSet StatefulSet HorizontalPodAutoscaler CronJob Job"


def test_a_custom_resource_joins_without_changing_the_built_in_ones() -> None:
    thing = Resource("example.com", "v1", "Thing", "things", "thing", ("th",))
    registry = BUILTIN.including([thing])
    assert registry.by_word("th") is thing
    assert registry.by_word("po") is by_word("po")
    assert BUILTIN.find("example.com/v1", "Thing") is None


def test_including_a_kind_again_replaces_it() -> None:
    first = Resource("example.com", "v1", "Thing", "things", "thing")
    second = Resource("example.com", "v1", "Thing", "things", "thing", ("th",))
    assert list(Registry([first]).including([second])) == [second]


def test_every_kind_has_a_schema() -> None:
    assert [resource for resource in BUILTIN if builtin().kind(resource.api_version, resource.kind) is None] == []
