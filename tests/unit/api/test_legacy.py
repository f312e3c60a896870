"""Objects of API versions that are no longer served."""

from __future__ import annotations

from pathlib import Path

import pytest

from klab.api.check import read
from klab.api.legacy import convert
from klab.api.load import load
from klab.errors import InvalidManifestError

SLIDE = """\
apiVersion: extensions/v1beta1
kind: Ingress
metadata:
  name: test
spec:
  backend: {serviceName: rest, servicePort: 8080}
  rules:
  - host: foo.bar.com
    http:
      paths:
      - path: /foo
        backend:
          serviceName: s1
          servicePort: 80
      - path: /bar
        pathType: Exact
        backend:
          serviceName: s2
          servicePort: http
"""


def test_the_ingress_of_2017_is_read_as_that_of_today(tmp_path: Path) -> None:
    (tmp_path / "slide.yaml").write_text(SLIDE)
    (document,) = load([str(tmp_path / "slide.yaml")])
    assert document.warning == "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"
    assert document.obj == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "test"},
        "spec": {
            "defaultBackend": {"service": {"name": "rest", "port": {"number": 8080}}},
            "rules": [
                {
                    "host": "foo.bar.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/foo",
                                "pathType": "ImplementationSpecific",
                                "backend": {"service": {"name": "s1", "port": {"number": 80}}},
                            },
                            {"path": "/bar", "pathType": "Exact", "backend": {"service": {"name": "s2", "port": {"name": "http"}}}},
                        ]
                    },
                }
            ],
        },
    }


def test_a_served_version_is_left_alone() -> None:
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"backend": {}}}
    assert convert(ingress) == (ingress, "")


def test_an_ingress_class_changes_its_version_alone() -> None:
    old = {"apiVersion": "networking.k8s.io/v1beta1", "kind": "IngressClass", "spec": {"controller": "x/y"}}
    converted, warning = convert(old)
    assert converted == {**old, "apiVersion": "networking.k8s.io/v1"}
    assert "v1.19+" in warning


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("serviceName: s1", "servicename: s1", "servicename"),
        ("servicePort: 80\n", "servicePort: 99999\n", "99999"),
        ("rules:\n", "rules: {}\n  x:\n", "rules"),
        ("paths:\n", "paths: 1\n      x:\n", "paths"),
        ("path: /foo", "path: foo", "must be an absolute path"),
    ],
)
def test_faults_are_found_as_in_any_other(tmp_path: Path, before: str, after: str, fault: str) -> None:
    (tmp_path / "slide.yaml").write_text(SLIDE.replace(before, after))
    with pytest.raises(InvalidManifestError, match=fault):
        read([str(tmp_path / "slide.yaml")])
