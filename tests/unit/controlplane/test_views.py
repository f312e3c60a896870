"""A view is made once for each state of a pod."""

from __future__ import annotations

from typing import Any

from klab.controlplane.views import PodViews


def pod(**status: str) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "default", "uid": "1"}, "spec": {"containers": []}, "status": status}


def test_a_state_has_one_view() -> None:
    views, first, second = PodViews(), pod(), pod(phase="Running")
    assert views.of(first) is views.of(first)
    assert views.of(second).phase == "Running"
    assert views.of(second) is views.of(second)
    assert views.of(first).phase != "Running"


def test_what_is_gone_is_forgotten() -> None:
    views, obj = PodViews(), pod()
    view = views.of(obj)
    views.forget("1")
    views.forget("never seen")
    assert views.of(obj) is not view
