"""Paths and queries mean what they mean to Kubernetes."""

from __future__ import annotations

import pytest

from klab.api.resources import BUILTIN
from klab.apiserver.status import StatusError
from klab.apiserver.target import Target, parse_continue, parse_list_options, parse_path, render_continue


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("/api/v1/pods", ("pods", None, None, None)),
        ("/api/v1/namespaces/a/pods", ("pods", "a", None, None)),
        ("/api/v1/namespaces/a/pods/b", ("pods", "a", "b", None)),
        ("/api/v1/namespaces/a/pods/b/status", ("pods", "a", "b", "status")),
        ("/api/v1/namespaces", ("namespaces", None, None, None)),
        ("/api/v1/namespaces/a", ("namespaces", None, "a", None)),
        ("/api/v1/namespaces/a/status", ("namespaces", None, "a", "status")),
        ("/api/v1/namespaces/a/finalize", ("namespaces", None, "a", "finalize")),
        ("/api/v1/nodes/n", ("nodes", None, "n", None)),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", ("deployments", "a", "b", "scale")),
        ("/apis/klab.dev/v1/labs/x", ("labs", None, "x", None)),
        ("/api/v1/namespaces/a/pods/b%2Fc", ("pods", "a", "b/c", None)),
    ],
)
def test_a_path_names_what_is_meant(path: str, meaning: tuple[str | None, ...]) -> None:
    target = parse_path(path, BUILTIN)
    assert target is not None
    assert (target.resource.plural, target.namespace, target.name, target.subresource) == meaning


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/apis/apps/v1", "/api/v1/pods/b", "/api/v1/namespaces/a/nodes", "/api/v1/namespaces/a/pods/b/status/c", "/api/v2/pods",
     "/api/v1/namespaces/a/pods//status", "/v1/pods", "/api/v1/deployments"],
)  # fmt: skip
def test_other_paths_mean_nothing(path: str) -> None:
    assert parse_path(path, BUILTIN) is None


def test_a_continue_token_comes_back() -> None:
    assert parse_continue(render_continue(42, "default", "web-1")) == (42, ("default", "web-1"))
    for token in ("", "x", "bnVsbA", "e30"):
        with pytest.raises(StatusError, match="continue key is not valid"):
            parse_continue(token)


def test_a_continued_list_keeps_its_revision() -> None:
    target = Target(BUILTIN.of("v1", "Pod"), None, None, None)
    token = render_continue(42, "default", "web-1")
    options = parse_list_options({"continue": token, "limit": "5"}, target)
    assert (options.revision, options.start, options.limit) == (42, ("default", "web-1"), 5)
    with pytest.raises(StatusError, match="specifying resource version is not allowed when using continue"):
        parse_list_options({"continue": token, "resourceVersion": "3"}, target)
