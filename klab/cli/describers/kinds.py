"""Which description each kind has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klab.cli.describers import config, limits, network, nodes, pods, policy, workloads
from klab.cli.describers.lookup import Lookup

Describer = Callable[[Mapping[str, Any], Lookup], str]

DESCRIBERS: dict[str, Describer] = {
    "v1/Pod": pods.describe_pod,
    "v1/Node": nodes.describe_node,
    "v1/Namespace": nodes.describe_namespace,
    "v1/Service": network.describe_service,
    "v1/Endpoints": network.describe_endpoints,
    "v1/ConfigMap": config.describe_config_map,
    "v1/Secret": config.describe_secret,
    "v1/ServiceAccount": config.describe_service_account,
    "v1/ResourceQuota": limits.describe_quota,
    "v1/LimitRange": limits.describe_limit_range,
    "v1/ReplicationController": workloads.describe_replication_controller,
    "apps/v1/Deployment": workloads.describe_deployment,
    "apps/v1/ReplicaSet": workloads.describe_replica_set,
    "apps/v1/DaemonSet": workloads.describe_daemon_set,
    "apps/v1/StatefulSet": workloads.describe_stateful_set,
    "batch/v1/Job": workloads.describe_job,
    "batch/v1/CronJob": workloads.describe_cron_job,
    "autoscaling/v2/HorizontalPodAutoscaler": policy.describe_autoscaler,
    "policy/v1/PodDisruptionBudget": policy.describe_budget,
    "discovery.k8s.io/v1/EndpointSlice": network.describe_endpoint_slice,
    "networking.k8s.io/v1/Ingress": network.describe_ingress,
    "networking.k8s.io/v1/IngressClass": network.describe_ingress_class,
    "networking.k8s.io/v1/NetworkPolicy": network.describe_network_policy,
}


def describe(obj: Mapping[str, Any], lookup: Lookup) -> str:
    """Describe an object; one of a kind without a description of its own by its fields."""
    return DESCRIBERS.get(f"{obj['apiVersion']}/{obj['kind']}", config.describe_any)(obj, lookup)
