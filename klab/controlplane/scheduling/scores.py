"""Which of several nodes is the better one: the Score part of the default plugins, with their weights and normalisation, 0 to 100 each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from klab.api.selectors import Selector
from klab.controlplane.scheduling.cluster import Cluster
from klab.controlplane.scheduling.spread import HOSTNAME, constraints_of, default_constraints
from klab.controlplane.scheduling.state import NodeInfo, PodInfo
from klab.controlplane.scheduling.taints import count_unpreferred

MAX_SCORE = 100
TAINT_WEIGHT, NODE_AFFINITY_WEIGHT, SPREAD_WEIGHT, POD_AFFINITY_WEIGHT, RESOURCES_WEIGHT, BALANCE_WEIGHT = 3, 2, 2, 2, 1, 1

Nodes = Sequence[NodeInfo]
Scores = list[int]


def calc_scores(cluster: Cluster, info: PodInfo, nodes: Nodes, spread_selector: Callable[[], Selector]) -> Scores:
    """Give each of `nodes` its sum; `spread_selector` says which pods this one is spread among where its own constraints do not."""
    parts = (
        (TAINT_WEIGHT, _score_taints(info, nodes)),
        (NODE_AFFINITY_WEIGHT, _score_node_affinity(info, nodes)),
        (RESOURCES_WEIGHT, [_score_least_allocated(info, node) for node in nodes]),
        (SPREAD_WEIGHT, _score_spread(cluster, info, nodes, spread_selector)),
        (POD_AFFINITY_WEIGHT, _score_pod_affinity(cluster, info, nodes)),
        (BALANCE_WEIGHT, _score_balance(info, nodes)),
    )
    total = [0] * len(nodes)
    for weight, scores in parts:
        for index, score in enumerate(scores):
            total[index] += weight * score
    return total


def _score_taints(info: PodInfo, nodes: Nodes) -> Scores:
    """Prefer the node with the fewest PreferNoSchedule taints that are not tolerated."""
    counts = [count_unpreferred(info.pod.tolerations, node.taints) if node.taints else 0 for node in nodes]
    most = max(counts)
    return [MAX_SCORE - MAX_SCORE * count // most for count in counts] if most else []


def _score_node_affinity(info: PodInfo, nodes: Nodes) -> Scores:
    if info.node_affinity is None or not info.node_affinity.preferred:
        return []
    scores = [info.node_affinity.score(node.name, node.labels) for node in nodes]
    most = max(scores)
    return [MAX_SCORE * score // most for score in scores] if most else []


def _score_least_allocated(info: PodInfo, node: NodeInfo) -> int:
    """Prefer the node with the most CPU and memory left, the pod included (LeastAllocated)."""
    cpu, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    free = []
    if cpu:
        free.append(max(0, cpu - node.counted_cpu - info.counted[0]) * MAX_SCORE // cpu)
    if memory:
        free.append(max(0, memory - node.counted_memory - info.counted[1]) * MAX_SCORE // memory)
    return sum(free) // len(free) if free else 0


def _score_balance(info: PodInfo, nodes: Nodes) -> Scores:
    """Prefer the node whose shares of CPU and memory the pod brings closer to each other; a pod without requests has no say."""
    cpu, memory = info.requests.get("cpu", 0), info.requests.get("memory", 0)
    if not cpu and not memory:
        return []
    half = MAX_SCORE // 2
    return [half + (half + _balance(node, cpu, memory) - _balance(node, 0, 0)) // 2 for node in nodes]


def _balance(node: NodeInfo, cpu: int, memory: int) -> int:
    """Give 100 less the standard deviation of the shares of CPU and memory that are used; of one share there is none."""
    most_cpu, most_memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    if not most_cpu or not most_memory:
        return MAX_SCORE
    difference = min(1.0, (node.requested.get("cpu", 0) + cpu) / most_cpu) - min(1.0, (node.requested.get("memory", 0) + memory) / most_memory)
    return int((1 - abs(difference) / 2) * MAX_SCORE)


def _score_spread(cluster: Cluster, info: PodInfo, nodes: Nodes, spread_selector: Callable[[], Selector]) -> Scores:
    """Prefer the node in whose topologies the fewest matching pods run (PodTopologySpread)."""
    own = bool(info.pod.topology_spread_constraints)
    constraints = constraints_of(info.pod, "ScheduleAnyway") if own else default_constraints(spread_selector())
    if not constraints:
        return []
    # The pod's own constraints look at nodes with all their labels alone; the default ones spread over hosts where there are no zones, too.
    keys = {constraint.topology_key for constraint in constraints} if own else set()
    scored = [index for index, node in enumerate(nodes) if keys <= node.labels.keys()]
    sums = dict.fromkeys(scored, 0.0)
    for constraint in constraints:
        key = constraint.topology_key
        having = [index for index in scored if key in nodes[index].labels]
        if key == HOSTNAME:
            counts = cluster.count(info.pod.namespace, constraint.selector)
            found, domains = [counts.get(nodes[index].name, 0) for index in having], len(scored)
        else:
            counts = cluster.count_by_topology(constraint, info, keys) if having else {}
            found = [counts.get(nodes[index].labels[key], 0) for index in having]
            domains = len({nodes[index].labels.get(key) for index in scored})
        weight = math.log(domains + 2)
        for index, count in zip(having, found, strict=True):
            sums[index] += count * weight + (constraint.max_skew - 1)
    rounded = {index: math.floor(total + 0.5) for index, total in sums.items()}
    most, least = max(rounded.values(), default=0), min(rounded.values(), default=0)
    return [(MAX_SCORE * (most + least - rounded[index]) // most if most else MAX_SCORE) if index in rounded else 0 for index in range(len(nodes))]


def _score_pod_affinity(cluster: Cluster, info: PodInfo, nodes: Nodes) -> Scores:
    """Prefer the node where pods run that this one likes and that like this one."""
    gains: dict[tuple[str, str], int] = {}

    def gain(key: str, found: dict[str, int], weight: int) -> None:
        for value, count in found.items():
            gains[key, value] = gains.get((key, value), 0) + weight * count

    for term, weight in info.affinity.preferred if info.affinity else ():
        gain(term.topology_key, cluster.by_topology(cluster.count_matching_all((term,)), term.topology_key), weight)
    for (term, weight), pods_on in cluster.attracting_terms():
        if term.matches(info.pod, cluster.labels_of_namespace(info.pod.namespace)):
            gain(term.topology_key, cluster.by_topology(pods_on, term.topology_key), weight)
    if not gains:
        return []
    sums = [sum(gains.get(pair, 0) for pair in node.labels.items()) for node in nodes]
    most, least = max(sums), min(sums)
    return [int(MAX_SCORE * (total - least) / (most - least)) for total in sums] if most > least else []
