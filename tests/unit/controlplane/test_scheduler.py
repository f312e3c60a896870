"""Where pods go, and what an unschedulable one is told; after kube-scheduler's own tests of its plugins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from klab.api.pod import Pod
from klab.api.selectors import NOTHING, Selector
from klab.api.service import Service
from klab.controlplane.scheduler import Binding, Scheduler, Unschedulable, schedule
from klab.controlplane.scheduling.spread import default_selector
from klab.controlplane.scheduling.state import PodInfo, calc_requests

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def node(
    name: str, *, taints: Sequence[str] = (), unschedulable: bool = False, labels: dict[str, str] | None = None, **allocatable: str
) -> dict[str, Any]:
    """A node; a taint is written key=value:effect."""
    found = []
    for text in taints:
        pair, effect = text.rsplit(":", 1)
        key, _, value = pair.partition("=")
        found.append({"key": key, "value": value, "effect": effect})
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"} | allocatable
    return {
        "metadata": {"name": name, "labels": {HOSTNAME: name, **(labels or {})}},
        "spec": {"taints": found, "unschedulable": unschedulable},
        "status": {"allocatable": amounts},
    }


def pod(name: str = "web", *, on: str = "", labels: dict[str, str] | None = None, cpu: str = "", namespace: str = "default", **spec: Any) -> Pod:
    containers = spec.pop("containers", None) or [{"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}}]
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}, **spec.pop("metadata", {})}
    return Pod.of({"metadata": metadata, "spec": {"nodeName": on, "containers": containers, **spec}})


def place(asked: Pod, nodes: Iterable[dict[str, Any]], pods: Iterable[Pod] = ()) -> str:
    """The node's name, or what stands before "preemption" in the refusal."""
    found = schedule(asked, nodes, pods)
    return found.node if isinstance(found, Binding) else found.message.split(" preemption: ")[0]


def spread_over(nodes: Iterable[dict[str, Any]], pods: Iterable[Pod], selector: Callable[[Pod], Selector] = lambda _: NOTHING) -> list[str]:
    scheduler = Scheduler(nodes, spread_selector=selector)
    found = [scheduler.schedule(each) for each in pods]
    return [each.node if isinstance(each, Binding) else each.message for each in found]


TWO = [node("node1"), node("node2")]


def test_four_replicas_on_two_equal_nodes_land_two_and_two() -> None:
    replicas = [pod(f"web-{index}", labels={"app": "web"}) for index in range(4)]
    assert spread_over(TWO, replicas) == ["node1", "node2", "node1", "node2"]
    assert spread_over(TWO, replicas, lambda _: Selector.of_labels({"app": "web"})) == ["node1", "node2", "node1", "node2"]


def test_replicas_spread_even_where_other_pods_are_uneven() -> None:
    crowd = [pod(f"other-{index}", on="node1") for index in range(6)]
    scheduler = Scheduler(TWO, crowd, spread_selector=lambda _: Selector.of_labels({"app": "web"}))
    places = [scheduler.schedule(pod(f"web-{index}", labels={"app": "web"})) for index in range(4)]
    assert Counter(places) == {Binding("node1"): 2, Binding("node2"): 2}


def test_without_nodes() -> None:
    assert schedule(pod(), [], []) == Unschedulable("no nodes available to schedule pods")


def test_the_whole_message() -> None:
    nodes = [node("node1"), node("node2", taints=["dedicated=db:NoSchedule"])]
    assert schedule(pod(cpu="3"), nodes, [pod("other", on="node1", cpu="2")]) == Unschedulable(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: db}. "
        "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    )


def test_what_no_node_could_ever_give_is_not_a_matter_of_preemption() -> None:
    assert schedule(pod(cpu="5"), TWO, []) == Unschedulable(
        "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ({"cpu": "2100m"}, "1 Insufficient cpu"),
        ({"memory": "7Gi"}, "1 Insufficient memory"),
        ({"cpu": "2100m", "memory": "7Gi"}, "1 Insufficient cpu, 1 Insufficient memory"),
        ({"ephemeral-storage": "1Gi"}, "1 Insufficient ephemeral-storage"),
        ({"example.com/gpu": "2"}, "1 Insufficient example.com/gpu"),
    ],
)
def test_resources(requests: dict[str, str], reason: str) -> None:
    big = node("node1", **{"example.com/gpu": "1"})
    used = pod("used", on="node1", containers=[{"name": "c", "resources": {"requests": {"cpu": "2", "memory": "2Gi"}}}])
    asked = pod(containers=[{"name": "c", "resources": {"requests": requests}}])
    assert place(asked, [big], [used]) == f"0/1 nodes are available: {reason}."


def test_what_just_fits_fits() -> None:
    assert place(pod(cpu="2"), [node("node1")], [pod("used", on="node1", cpu="2")]) == "node1"
    assert place(pod(cpu="4"), [node("node1")], [pod("done", on="node1", cpu="2", metadata={})]).startswith("0/1")


def test_too_many_pods() -> None:
    full = node("node1", pods="1")
    assert place(pod(), [full], [pod("a", on="node1")]) == "0/1 nodes are available: 1 Too many pods."


def test_a_finished_pod_takes_no_place() -> None:
    done = Pod.of({"metadata": {"name": "done", "namespace": "default"}, "spec": {"nodeName": "node1"}, "status": {"phase": "Succeeded"}})
    assert place(pod(), [node("node1", pods="1")], [done]) == "node1"


def test_requests_of_a_pod_with_init_containers_and_sidecars() -> None:
    def needs(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    always = {"restartPolicy": "Always"}
    assert calc_requests(pod(containers=[needs("100m"), needs("200m")])) == {"cpu": 300}
    assert calc_requests(pod(containers=[needs("100m")], initContainers=[needs("700m"), needs("500m")])) == {"cpu": 700}
    assert calc_requests(pod(containers=[needs("100m")], initContainers=[needs("50m", **always), needs("500m")])) == {"cpu": 550}
    assert calc_requests(pod(containers=[needs("100m")], initContainers=[needs("500m"), needs("50m", **always)])) == {"cpu": 500}
    limited = pod(containers=[{"name": "c", "resources": {"limits": {"cpu": "1"}}}])
    assert calc_requests(limited) == {"cpu": 1000}
    assert PodInfo.of(pod()).counted == (100, 200 << 20)


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({}, "0/1 nodes are available: 1 node(s) had untolerated taint {team: red}."),
        ({"key": "team", "value": "red"}, "node1"),
        ({"key": "team", "value": "red", "effect": "NoSchedule"}, "node1"),
        ({"key": "team", "value": "red", "effect": "NoExecute"}, "0/1 nodes are available: 1 node(s) had untolerated taint {team: red}."),
        ({"key": "team", "value": "blue"}, "0/1 nodes are available: 1 node(s) had untolerated taint {team: red}."),
        ({"key": "team", "operator": "Exists"}, "node1"),
        ({"operator": "Exists"}, "node1"),
    ],
)
def test_taints_and_tolerations(toleration: dict[str, str], expected: str) -> None:
    asked = pod(tolerations=[toleration] if toleration else [])
    assert place(asked, [node("node1", taints=["team=red:NoSchedule"])]) == expected


def test_prefer_no_schedule_is_a_wish() -> None:
    nodes = [node("node1", taints=["slow=:PreferNoSchedule"]), node("node2")]
    assert spread_over(nodes, [pod(f"p{index}") for index in range(4)]) == ["node2"] * 4
    assert place(pod(), nodes[:1]) == "node1"


def test_a_cordoned_node() -> None:
    cordoned = node("node1", unschedulable=True, taints=["node.kubernetes.io/unschedulable:NoSchedule"])
    assert place(pod(), [cordoned]) == "0/1 nodes are available: 1 node(s) were unschedulable."
    tolerations = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]
    assert place(pod(tolerations=tolerations), [cordoned]) == "node1"


WRONG_NODE = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
DISKS = [node("node1", labels={"disk": "hdd", "size": "5"}), node("node2", labels={"disk": "ssd", "size": "50"})]


def required(*expressions: dict[str, Any], fields: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    terms = [{"matchExpressions": list(expressions), "matchFields": list(fields)}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def test_node_selector() -> None:
    assert place(pod(nodeSelector={"disk": "ssd"}), DISKS) == "node2"
    assert place(pod(nodeSelector={"disk": "tape"}), DISKS) == WRONG_NODE


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}, "node2"),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, "node1"),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, "node1"),
        ({"key": "zone", "operator": "Exists"}, WRONG_NODE),
        ({"key": "disk", "operator": "DoesNotExist"}, WRONG_NODE),
        ({"key": "size", "operator": "Gt", "values": ["10"]}, "node2"),
        ({"key": "size", "operator": "Lt", "values": ["10"]}, "node1"),
    ],
)
def test_required_node_affinity(expression: dict[str, Any], expected: str) -> None:
    assert place(pod(affinity=required(expression)), DISKS) == expected


def test_node_affinity_and_selector_both_hold_and_terms_are_alternatives() -> None:
    assert place(pod(nodeSelector={"disk": "hdd"}, affinity=required({"key": "size", "operator": "Gt", "values": ["10"]})), DISKS) == WRONG_NODE
    terms = [{"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]} for value in ("tape", "ssd")]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert place(pod(affinity=affinity), DISKS) == "node2"
    assert place(pod(affinity=required()), DISKS) == WRONG_NODE


def test_a_node_by_name_as_for_a_daemon_sets_pod() -> None:
    fields = [{"key": "metadata.name", "operator": "In", "values": ["node2"]}]
    assert place(pod(affinity=required(fields=fields)), DISKS) == "node2"
    full = [node("node1"), node("node2", pods="0")]
    assert (
        place(pod(affinity=required(fields=fields)), full)
        == "0/2 nodes are available: 1 Too many pods, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_preferred_node_affinity() -> None:
    preferred = [{"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]
    asked = pod(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
    assert place(asked, DISKS) == "node2"
    assert place(asked, DISKS[:1]) == "node1"


PORT_TAKEN = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."


@pytest.mark.parametrize(
    ("used", "asked", "fits"),
    [
        ({"hostPort": 80}, {"hostPort": 80}, False),
        ({"hostPort": 80}, {"hostPort": 81}, True),
        ({"hostPort": 80}, {"hostPort": 80, "protocol": "UDP"}, True),
        ({"hostPort": 80, "hostIP": "127.0.0.1"}, {"hostPort": 80, "hostIP": "127.0.0.2"}, True),
        ({"hostPort": 80, "hostIP": "127.0.0.1"}, {"hostPort": 80}, False),
        ({"hostPort": 80}, {"hostPort": 80, "hostIP": "127.0.0.1"}, False),
        ({"hostPort": 80, "hostIP": "0.0.0.0"}, {"hostPort": 80, "hostIP": "127.0.0.1"}, False),
        ({}, {}, True),
    ],
)
def test_host_ports(used: dict[str, Any], asked: dict[str, Any], fits: bool) -> None:
    def with_port(port: dict[str, Any], **more: Any) -> Pod:
        return pod(containers=[{"name": "c", "ports": [{"containerPort": 80, **port}]}], **more)

    assert place(with_port(asked), [node("node1")], [with_port(used, name="used", on="node1")]) == ("node1" if fits else PORT_TAKEN)


def test_a_pod_on_the_nodes_network_takes_its_ports() -> None:
    def server(name: str, on: str = "") -> Pod:
        return pod(name, on=on, hostNetwork=True, containers=[{"name": "c", "ports": [{"containerPort": 80}]}])

    assert place(server("b"), TWO, [server("a", "node1")]) == "node2"
    assert place(server("b"), TWO[:1], [server("a", "node1")]) == PORT_TAKEN


def test_the_emptier_node_is_better() -> None:
    assert place(pod(cpu="100m"), TWO, [pod("big", on="node1", cpu="3")]) == "node2"
    assert place(pod(cpu="100m"), [node("node1", cpu="2"), node("node2", cpu="16")]) == "node2"


def test_balance_of_cpu_and_memory() -> None:
    """Equal in what is left, but on node1 the pod evens the use of CPU and memory out."""
    memory_heavy = pod("m", on="node1", containers=[{"name": "c", "resources": {"requests": {"cpu": "0", "memory": "4Gi"}}}])
    cpu_heavy = pod("c", on="node2", containers=[{"name": "c", "resources": {"requests": {"cpu": "2", "memory": "0"}}}])
    asked = pod(containers=[{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "0"}}}])
    assert place(asked, TWO, [memory_heavy, cpu_heavy]) == "node1"


def zoned(*zones: str) -> list[dict[str, Any]]:
    return [node(f"node{index}", labels={ZONE: zone} if zone else {}) for index, zone in enumerate(zones, 1)]


def spread_by(key: str, when: str = "DoNotSchedule", **more: Any) -> list[dict[str, Any]]:
    return [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": when, "labelSelector": {"matchLabels": {"app": "web"}}, **more}]


def web(name: str, on: str = "", **spec: Any) -> Pod:
    return pod(name, on=on, labels={"app": "web"}, **spec)


SKEWED = "1 node(s) didn't match pod topology spread constraints"


def test_spreading_over_zones() -> None:
    constraints = spread_by(ZONE)
    places = spread_over(zoned("a", "a", "b"), [web(f"w{index}", topologySpreadConstraints=constraints) for index in range(4)])
    zones = Counter("b" if place == "node3" else "a" for place in places)
    assert zones == {"a": 2, "b": 2}


def test_a_node_that_would_skew_and_one_without_the_label() -> None:
    nodes = [*zoned("a", "b"), node("node3")]
    nodes[1]["spec"]["unschedulable"] = True
    asked = web("w2", topologySpreadConstraints=spread_by(ZONE))
    running = [web("w1", "node1")]
    unlabelled = "1 node(s) didn't match pod topology spread constraints (missing required label)"
    assert place(asked, nodes, running) == f"0/3 nodes are available: {SKEWED}, {unlabelled}, 1 node(s) were unschedulable."


def test_spreading_counts_the_right_pods() -> None:
    constraints = spread_by(HOSTNAME)
    dying = web("dying", "node1", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    others = [pod("other", on="node1"), web("elsewhere", "node1", namespace="shop"), dying]
    asked = web("w", topologySpreadConstraints=constraints)
    scheduler = Scheduler(TWO, others)
    assert [scheduler.schedule(asked), scheduler.schedule(web("w2", topologySpreadConstraints=constraints))].count(Binding("node1")) == 1


def test_min_domains_and_node_policies() -> None:
    one_domain = web("w2", topologySpreadConstraints=spread_by(HOSTNAME, minDomains=2))
    assert place(one_domain, TWO[:1], [web("w1", "node1")]) == f"0/1 nodes are available: {SKEWED}."
    selected = web("w2", nodeSelector={"disk": "ssd"}, topologySpreadConstraints=spread_by(HOSTNAME))
    assert place(selected, DISKS, [web("w1", "node2")]) == "node2"
    ignoring = web("w2", nodeSelector={"disk": "ssd"}, topologySpreadConstraints=spread_by(HOSTNAME, nodeAffinityPolicy="Ignore"))
    assert place(ignoring, DISKS, [web("w1", "node2")]).startswith("0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, ")
    tainted = [node("node1"), node("node2", taints=["x=:NoSchedule"])]
    honouring = web("w2", topologySpreadConstraints=spread_by(HOSTNAME, nodeTaintsPolicy="Honor"))
    assert place(honouring, tainted, [web("w1", "node1")]) == "node1"
    assert place(web("w2", topologySpreadConstraints=spread_by(HOSTNAME)), tainted, [web("w1", "node1")]).startswith("0/2")


def test_match_label_keys_spread_each_revision_by_itself() -> None:
    constraints = spread_by(HOSTNAME, matchLabelKeys=["rev"])
    old = [pod(f"old-{index}", on="node1", labels={"app": "web", "rev": "1"}) for index in range(2)]
    asked = pod(labels={"app": "web", "rev": "2"}, topologySpreadConstraints=constraints, nodeSelector={HOSTNAME: "node1"})
    assert place(asked, TWO, old) == "node1"


def test_schedule_anyway_is_a_wish() -> None:
    constraints = spread_by(HOSTNAME, "ScheduleAnyway")
    asked = web("w2", topologySpreadConstraints=constraints)
    assert place(asked, TWO, [web("w1", "node1")]) == "node2"
    assert place(asked, TWO[:1], [web("w1", "node1")]) == "node1"


def test_default_spreading_over_zones_too() -> None:
    replicas = [web(f"w{index}") for index in range(4)]
    places = spread_over(zoned("a", "a", "a", "b"), replicas, lambda _: Selector.of_labels({"app": "web"}))
    assert "node4" in places[:2]


def affinity(kind: str, key: str = HOSTNAME, *, app: str = "db", preferred: bool = False, **term: Any) -> dict[str, Any]:
    found = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **term}
    if preferred:
        return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": found}]}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [found]}}


def test_pod_affinity() -> None:
    database = pod("db", on="node2", labels={"app": "db"})
    asked = pod(affinity=affinity("podAffinity"))
    assert place(asked, TWO, [database]) == "node2"
    assert place(asked, TWO) == "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    assert place(pod(affinity=affinity("podAffinity", ZONE)), zoned("a", "b", "b"), [database]) in {"node2", "node3"}
    assert place(pod(affinity=affinity("podAffinity", ZONE)), zoned("a", "", ""), [database]).startswith("0/3")


def test_the_first_of_a_series_that_wants_to_be_together_goes_anywhere() -> None:
    series = [pod(f"db-{index}", labels={"app": "db"}, affinity=affinity("podAffinity")) for index in range(3)]
    places = spread_over(TWO, series)
    assert places == [places[0]] * 3


def test_pod_anti_affinity() -> None:
    series = [pod(f"db-{index}", labels={"app": "db"}, affinity=affinity("podAntiAffinity")) for index in range(3)]
    refused = (
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. "
        "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    )
    assert spread_over(TWO, series) == ["node1", "node2", refused]


def test_pods_that_run_keep_others_away_and_draw_them_near() -> None:
    loner = pod("loner", on="node1", affinity=affinity("podAntiAffinity", app="web"))
    assert place(web("w"), TWO, [loner]) == "node2"
    assert place(web("w"), TWO[:1], [loner]) == "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    friend = pod("friend", on="node2", affinity=affinity("podAffinity", app="web", preferred=True))
    assert place(web("w"), TWO, [friend]) == "node2"
    foe = pod("foe", on="node1", affinity=affinity("podAntiAffinity", app="web", preferred=True))
    assert place(web("w"), TWO, [foe, pod("crowd", on="node2", cpu="1")]) == "node2"


def test_preferred_affinity_to_other_pods() -> None:
    running = [pod("db", on="node2", labels={"app": "db"}), pod("big", on="node2", cpu="2")]
    assert place(pod(affinity=affinity("podAffinity", preferred=True)), TWO, running) == "node2"
    running = [pod("db", on="node1", labels={"app": "db"}), pod("big", on="node2", cpu="1")]
    assert place(pod(affinity=affinity("podAntiAffinity", preferred=True)), TWO, running) == "node2"


def test_terms_look_into_namespaces() -> None:
    database = pod("db", on="node2", labels={"app": "db"}, namespace="data")
    teams = {"data": {"team": "red"}, "default": {}}

    def where(**term: Any) -> Binding | Unschedulable:
        return Scheduler(TWO, [database], namespaces=teams).schedule(pod(affinity=affinity("podAffinity", **term)))

    assert isinstance(where(), Unschedulable)
    assert where(namespaces=["data"]) == Binding("node2")
    assert where(namespaceSelector={"matchLabels": {"team": "red"}}) == Binding("node2")
    assert isinstance(where(namespaceSelector={"matchLabels": {"team": "blue"}}), Unschedulable)
    assert where(namespaceSelector={}) == Binding("node2")


def test_match_label_keys_of_affinity() -> None:
    old = pod("old", on="node1", labels={"app": "db", "rev": "1"})
    asked = pod(labels={"app": "db", "rev": "2"}, affinity=affinity("podAntiAffinity", matchLabelKeys=["rev"]))
    assert place(asked, TWO[:1], [old]) == "node1"
    asked = pod(labels={"app": "db", "rev": "2"}, affinity=affinity("podAntiAffinity", mismatchLabelKeys=["rev"]))
    assert place(asked, TWO[:1], [old]).startswith("0/1")


def test_several_required_terms_want_one_pod_that_matches_all() -> None:
    both = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "db"}}},
        {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"tier": "hot"}}},
    ]}}  # fmt: skip
    half = [pod("a", on="node1", labels={"app": "db"}), pod("b", on="node1", labels={"tier": "hot"})]
    assert place(pod(affinity=both), zoned("a", "b"), half).startswith("0/2")
    whole = pod("c", on="node2", labels={"app": "db", "tier": "hot"})
    assert place(pod(affinity=both), zoned("a", "b"), [*half, whole]) == "node2"


def test_the_scheduler_follows_pods_and_nodes() -> None:
    scheduler = Scheduler([node("node1", pods="1")])
    assert scheduler.schedule(pod("a")) == Binding("node1")
    assert isinstance(scheduler.schedule(pod("b")), Unschedulable)
    scheduler.set_pod(pod("a", on="node1"))  # the binding came back as an event: still one pod
    scheduler.remove_pod("default", "a")
    scheduler.remove_pod("default", "a")
    assert scheduler.schedule(pod("b")) == Binding("node1")
    scheduler.set_node(node("node1", pods="2"))
    assert scheduler.schedule(pod("c")) == Binding("node1")
    scheduler.remove_node("node1")
    scheduler.remove_node("node1")
    assert scheduler.schedule(pod("d")) == Unschedulable("no nodes available to schedule pods")
    scheduler.set_node(node("node1", pods="2"))  # back, and its pods were not forgotten
    assert isinstance(scheduler.schedule(pod("d")), Unschedulable)
    scheduler.remove_pod("default", "b")
    assert scheduler.schedule(pod("d")) == Binding("node1")


def test_counts_follow_changes_of_labels_and_affinity() -> None:
    selector = Selector.of_labels({"app": "web"})
    scheduler = Scheduler(TWO, [web("w1", "node1")], spread_selector=lambda _: selector)
    assert scheduler.schedule(web("w2")) == Binding("node2")
    scheduler.set_pod(pod("w1", on="node1", labels={"app": "other"}))
    assert scheduler.schedule(web("w3")) == Binding("node1")
    scheduler.set_pod(pod("loner", on="node1", affinity=affinity("podAntiAffinity", app="web")))
    assert scheduler.schedule(web("w4")) == Binding("node2")
    scheduler.remove_pod("default", "loner")
    scheduler.remove_pod("default", "w3")
    assert scheduler.schedule(web("w5")) == Binding("node1")


def test_default_selector() -> None:
    services = [
        Service.of({"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}}}),
        Service.of({"metadata": {"name": "no", "namespace": "shop"}, "spec": {"selector": {"app": "web"}}}),
        Service.of({"metadata": {"name": "manual", "namespace": "default"}, "spec": {}}),
        Service.of({"metadata": {"name": "db", "namespace": "default"}, "spec": {"selector": {"app": "db"}}}),
    ]
    asked = pod(labels={"app": "web", "hash": "1"})
    assert str(default_selector(asked, services, None)) == "app=web"
    replica_set = {"kind": "ReplicaSet", "spec": {"selector": {"matchLabels": {"app": "web", "hash": "1"}}}}
    assert str(default_selector(asked, services, replica_set)) == "app=web,app=web,hash=1"
    assert str(default_selector(asked, [], {"kind": "ReplicationController", "spec": {"selector": {"app": "web"}}})) == "app=web"
    assert str(default_selector(asked, [], {"kind": "Job", "spec": {"selector": {"matchLabels": {"a": "b"}}}})) == ""


def test_a_thousand_pods_over_ten_nodes_are_spread_evenly() -> None:
    nodes = [node(f"node{index}", cpu="64", memory="256Gi", pods="200") for index in range(10)]
    pods = [pod(f"p{index}", labels={"app": f"a{index % 20}"}, cpu="50m") for index in range(1000)]
    places = spread_over(nodes, pods, lambda each: Selector.of_labels(each.labels))
    assert set(Counter(places).values()) == {100}
    assert set(Counter(zip((each.labels["app"] for each in pods), places, strict=True)).values()) == {5}
