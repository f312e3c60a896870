"""Descriptions, compared whole with what kubectl 1.33 printed for the same objects.

`golden/objects.json` holds the objects as an API server gave them, `golden/describe/KIND.NAME.txt` kubectl's output of that day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from klab.api.resources import BUILTIN
from klab.cli.describers.containers import probe_text
from klab.cli.describers.kinds import describe
from klab.cli.describers.lookup import Lookup
from klab.cli.describers.quantities import pod_amounts, qos_class, quantity_text

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 21, 10, 20, 11, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are written in the local zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("path", sorted((GOLDEN / "describe").iterdir()), ids=lambda path: path.stem)
def test_a_description_is_kubectls(path: Path, backend: Any) -> None:
    kind, name = path.stem.split(".", 1)
    backend.server.objects = json.loads((GOLDEN / "objects.json").read_text())
    resource = BUILTIN.by_word(kind)
    obj = backend.server.get(resource, "default" if resource.namespaced else None, name)
    assert describe(obj, Lookup(backend.server, NOW)) == path.read_text()


def test_without_events(backend: Any) -> None:
    backend.server.objects = json.loads((GOLDEN / "objects.json").read_text())
    obj = backend.server.get(BUILTIN.by_word("pod"), "default", "web-1")
    assert "Events:" not in describe(obj, Lookup(backend.server, NOW, show_events=False))


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("1000", "1k"),
        ("110", "110"),
        ("128974848", "128974848"),
        ("0", "0"),
        ("1Ki", "1Ki"),
        ("512", "512"),
        (4, "4"),
        ("x", "x"),
    ],
)
def test_quantities_are_canonical(given: str, canonical: str) -> None:
    assert quantity_text(given) == canonical


def test_a_pod_requests_its_containers_or_its_hungriest_init_container() -> None:
    def asks(cpu: str, **more: str) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    pod = {"spec": {"containers": [asks("100m"), asks("200m")], "initContainers": [asks("50m", restartPolicy="Always"), asks("1")]}}
    assert pod_amounts(pod, "requests") == {"cpu": Decimal("1.05")}
    pod["spec"]["initContainers"] = []
    assert pod_amounts(pod, "requests") == {"cpu": Decimal("0.3")}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], expected: str) -> None:
    assert qos_class({"spec": {"containers": [{"name": "c", "resources": resources}]}}) == expected


def test_probes() -> None:
    assert probe_text({"exec": {"command": ["cat", "/x"]}, "failureThreshold": 3}).startswith("exec [cat /x] delay=0s")
    assert probe_text({"httpGet": {"host": "::1", "port": "web", "path": "x"}}).startswith("http-get http://[::1]:web/x delay")
    assert probe_text({"grpc": {"port": 9, "service": "s"}}).startswith("grpc <pod>:9 s delay")
