"""Cluster IPs and node ports at admission, in step with what is written, taken back and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from klab.api.defaults import default
from klab.api.resources import Resource, of
from klab.cluster.allocation import ServiceAllocation
from klab.errors import InvalidManifestError

MakeWorld = Callable[..., Any]
SERVICES = of("v1", "Service")


@dataclass(frozen=True)
class Asked:
    resource: Resource = SERVICES
    old: dict[str, Any] | None = None
    subresource: str | None = None


def service(name: str, **spec: Any) -> dict[str, Any]:
    whole = {"ports": [{"port": 80}], **spec}
    return default({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": whole})


def test_what_is_written_stays_taken_until_it_is_deleted(make_world: MakeWorld) -> None:
    world = make_world()
    admit = ServiceAllocation(world.store, world.lab)
    made = world.store.create(SERVICES, admit(Asked(), service("web", clusterIP="10.96.7.7")))
    with pytest.raises(InvalidManifestError, match=r"10\.96\.7\.7"):
        admit(Asked(), service("other", clusterIP="10.96.7.7"))
    assert admit(Asked(old=made), made)["spec"]["clusterIP"] == "10.96.7.7"
    world.store.remove(SERVICES, "default", "web")
    assert admit(Asked(), service("other", clusterIP="10.96.7.7"))["spec"]["clusterIPs"] == ["10.96.7.7"]


def test_what_was_never_written_is_free_again(make_world: MakeWorld) -> None:
    world = make_world()
    admit = ServiceAllocation(world.store, world.lab)
    admit(Asked(), service("web", type="NodePort", clusterIP="10.96.7.7", ports=[{"port": 80, "nodePort": 30080}]))
    again = admit(Asked(), service("other", type="NodePort", clusterIP="10.96.7.7", ports=[{"port": 80, "nodePort": 30080}]))
    assert (again["spec"]["clusterIP"], again["spec"]["ports"][0]["nodePort"]) == ("10.96.7.7", 30080)


def test_a_change_that_was_taken_back_leaves_what_stands(make_world: MakeWorld) -> None:
    world = make_world()
    admit = ServiceAllocation(world.store, world.lab)
    made = world.store.create(SERVICES, admit(Asked(), service("web", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])))
    admit(Asked(old=made), {**made, "spec": {**made["spec"], "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30081}]}})
    admit(Asked(), service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30081}]))
    with pytest.raises(InvalidManifestError, match="30080"):
        admit(Asked(), service("third", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))


def test_several_of_one_transaction_get_different_ones(make_world: MakeWorld) -> None:
    world = make_world(services={"cidr": "10.96.0.0/28"})
    admit = ServiceAllocation(world.store, world.lab)
    with world.store.batch():
        addresses = [world.store.create(SERVICES, admit(Asked(), service(f"s{n}")))["spec"]["clusterIP"] for n in range(13)]
    assert len(set(addresses)) == 13
    assert "10.96.0.1" not in addresses


def test_what_stands_when_it_begins_is_taken(make_world: MakeWorld) -> None:
    world = make_world()
    world.service("web")
    with pytest.raises(InvalidManifestError, match=r"10\.96\.0\.80"):
        ServiceAllocation(world.store, world.lab)(Asked(), service("other", clusterIP="10.96.0.80"))


@pytest.mark.parametrize("asked", [Asked(resource=of("v1", "Pod")), Asked(subresource="status")])
def test_nothing_but_services_is_touched(make_world: MakeWorld, asked: Asked) -> None:
    world = make_world()
    obj = service("web")
    assert ServiceAllocation(world.store, world.lab)(asked, obj) is obj
    assert "clusterIP" not in obj["spec"]
