"""What a node answers on a service's healthCheckNodePort, for a load balancer to learn whether it has a local endpoint (pkg/proxy/healthcheck)."""

from __future__ import annotations

import json

from klab.api.endpointslice import PortEndpoints
from klab.api.service import Service


def count_local_endpoints(endpoints: PortEndpoints, node: str) -> int:
    """Count the addresses on a node that are ready for whatever port of a service."""
    return len({item.ip for listed in endpoints.values() for item in listed if item.ready and item.node_name == node})


def render_answer(service: Service, local_endpoints: int) -> tuple[int, dict[str, str], bytes]:
    """Give status, headers and body of the answer to any GET."""
    body = {
        "service": {"namespace": service.namespace, "name": service.name},
        "localEndpoints": local_endpoints,
        "serviceProxyHealthy": True,
    }
    headers = {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": str(local_endpoints),
    }
    return (200 if local_endpoints else 503), headers, json.dumps(body, indent="\t").encode()
