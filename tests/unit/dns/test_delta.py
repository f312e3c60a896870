"""What goes from the objects to a zone in another process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from klab.dns.delta import Feed, key, make_delta, trim
from klab.dns.zone import Zone
from klab.errors import KlabError

OBJECTS = yaml.safe_load((Path(__file__).parents[2] / "dns_table.yaml").read_text())["objects"]


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": ip, "clusterIPs": [ip], **spec}}


def rdatas(zone: Zone, name: str) -> tuple[str, ...] | str:
    found = zone.lookup(f"{name}.default.svc.cluster.local.", "A")
    assert found
    return found.answer[0].rdatas if found.answer else found.rcode


def test_trimmed_objects_over_json_make_the_same_zone() -> None:
    whole, copy = Zone(), Zone()
    for obj in OBJECTS:
        whole.set(obj)
    copy.apply(json.loads(json.dumps(make_delta(OBJECTS))))
    for origin in ("cluster.local.", "in-addr.arpa.", "ip6.arpa."):
        assert list(copy.records(origin)) == list(whole.records(origin))
    assert copy.namespaces() == whole.namespaces() == ("default", "empty", "kube-system", "shop")


def test_trim_keeps_only_what_changes_dns() -> None:
    assert trim({"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}) is None
    first = service("web", "10.96.0.2", selector={"app": "web"}, ports=[{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}])
    second = service("web", "10.96.0.2", selector={"app": "v2"}, ports=[{"name": "http", "port": 80, "targetPort": 9090}])
    second["metadata"]["resourceVersion"] = "7"
    second["status"] = {"loadBalancer": {}}
    assert trim(first) == trim(second)
    assert trim(first) != trim(service("web", "10.96.0.2", ports=[{"name": "http", "port": 81}]))


def test_deltas() -> None:
    zone = Zone()
    zone.set(service("old", "10.96.0.2"))
    new = service("new", "10.96.0.3")
    zone.apply(
        make_delta([new, {"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}], ["Service/default/old", "Service/default/never"])
    )
    assert (rdatas(zone, "old"), rdatas(zone, "new")) == ("NXDOMAIN", ("10.96.0.3",))
    zone.apply(make_delta([service("third", "10.96.0.4")], reset=True))
    assert (rdatas(zone, "new"), rdatas(zone, "third")) == ("NXDOMAIN", ("10.96.0.4",))
    assert key(new) == "Service/default/new"
    with pytest.raises(KlabError, match="version 2 cannot be read, only 1"):
        zone.apply({"version": 2, "set": []})


def test_a_feed_gives_each_change_once_and_only_where_dns_changed() -> None:
    feed, zone = Feed(), Zone()
    assert feed.take() is None
    feed.set(service("web", "10.96.0.2"))
    feed.set({"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}})
    feed.set(service("gone", "10.96.0.3"))
    feed.remove(service("gone", "10.96.0.3"))
    feed.remove({"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}})
    delta = feed.take()
    assert delta
    assert ([obj["metadata"]["name"] for obj in delta["set"]], delta["delete"]) == (["web"], ["Service/default/gone"])
    zone.apply(delta)
    feed.set(service("web", "10.96.0.2", selector={"app": "web"}))
    assert feed.take() is None
    feed.set(service("web", "10.96.0.9"))
    feed.remove(service("never", "10.96.0.7"))
    second = feed.take()
    assert second
    zone.apply(second)
    assert rdatas(zone, "web") == ("10.96.0.9",)
    copy = Zone()
    copy.apply(feed.whole())
    assert list(copy.records("cluster.local.")) == list(zone.records("cluster.local."))
    feed.remove(service("web", "10.96.0.9"))
    third = feed.take()
    assert third
    zone.apply(third)
    assert rdatas(zone, "web") == "NXDOMAIN"
