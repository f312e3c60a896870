"""The answer on a healthCheckNodePort."""

from __future__ import annotations

import json
from typing import Any

from klab.api.endpointslice import port_endpoints
from klab.api.service import Service
from klab.kubeproxy.healthcheck import count_local_endpoints, render_answer


def test_answer(make: Any) -> None:
    """An address counts once however many ports it has; one that is not ready, or elsewhere, does not."""
    endpoints = [make.endpoint("10.244.1.2", "node1"), make.endpoint("10.244.1.3", "node1", ready=False), make.endpoint("10.244.2.2", "node2")]
    found = port_endpoints((make.slice({"a": ("TCP", 80), "b": ("TCP", 81)}, endpoints),))
    assert [count_local_endpoints(found, node) for node in ("node1", "node2", "node3")] == [1, 1, 0]
    service = Service.of(make.service("web", {}))
    status, headers, body = render_answer(service, 1)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"]) == (200, "1")
    assert json.loads(body) == {"service": {"namespace": "default", "name": "web"}, "localEndpoints": 1, "serviceProxyHealthy": True}
    assert render_answer(service, 0)[0] == 503
