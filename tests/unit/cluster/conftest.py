"""A store with a lab in it."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.defaults import default
from klab.api.lab import Lab
from klab.api.lab_parse import parse_lab
from klab.api.pod import Pod
from klab.api.resources import of
from klab.cluster import settle
from klab.controlplane.store import Store

Object = dict[str, Any]
NODES = [{"name": f"node{number}", "podCIDR": f"10.244.{number}.0/24"} for number in (1, 2)]


class World:
    """A lab's settings and its store, seeded as `up` does it; `pods` are those of the files."""

    def __init__(self, pods: tuple[Object, ...] = (), **spec: Any) -> None:
        self.lab: Lab
        self.lab, faults = parse_lab({"metadata": {"name": "unit"}, "spec": {"nodes": NODES, **spec}})
        assert not faults
        self.store = Store(None)
        settle.seed(self.store, self.lab, [Pod.of(pod) for pod in pods], "6.1")

    def put(self, kind: str, name: str, *, api: str = "v1", **fields: Any) -> Object:
        """Create an object in namespace default with its defaults."""
        meta = {"name": name, "namespace": "default", **fields.pop("metadata", {})}
        return self.store.create(of(api, kind), default({"apiVersion": api, "kind": kind, "metadata": meta, **fields}))

    def pod(self, name: str, node: str = "", **spec: Any) -> Object:
        """Create a pod of one container."""
        more = {"nodeName": node} if node else {}
        return self.put("Pod", name, spec={"containers": [{"name": "main", "image": "nginx"}], **more, **spec})

    def service(self, name: str, **spec: Any) -> Object:
        """Create a Service that has its address already."""
        return self.put("Service", name, spec={"clusterIP": "10.96.0.80", "clusterIPs": ["10.96.0.80"], "ports": [{"port": 80}], **spec})

    def endpoints(self, service: str, *places: tuple[str, str], name: str = "") -> Object:
        """Create a slice of a Service: addresses, each with its node."""
        return self.put(
            "EndpointSlice",
            name or f"{service}-1",
            api="discovery.k8s.io/v1",
            metadata={"labels": {"kubernetes.io/service-name": service}},
            addressType="IPv4",
            ports=[{"name": "", "port": 8080, "protocol": "TCP"}],
            endpoints=[{"addresses": [address], "nodeName": node, "conditions": {"ready": True}} for address, node in places],
        )

    def nodes(self) -> list[Object]:
        return list(self.store.list(settle.NODES))

    def get(self, kind: str, name: str, api: str = "v1") -> Object:
        resource = of(api, kind)
        return self.store.get(resource, "default" if resource.namespaced else None, name)


@pytest.fixture
def make_world() -> type[World]:
    return World
