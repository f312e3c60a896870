"""The objects that make a lab's ingress controller: its IngressClass, and a DaemonSet of programs on their nodes' networks (ports 80 and 443)."""

from __future__ import annotations

from typing import Any

from klab.ingress.objects import DEFAULT_CLASS_ANNOTATION
from klab.ingress.template import Controller

NAMESPACE = "kube-system"
_VOLUME = "config"


def name_of(controller: str) -> str:
    """Give the name of a controller's DaemonSet: `haproxy-ingress`."""
    return f"{controller}-ingress"


def labels_of(controller: str) -> dict[str, str]:
    """Give the labels of a controller's pods."""
    return {"app.kubernetes.io/name": name_of(controller)}


def plan_class(controller: Controller) -> dict[str, Any]:
    """Give the IngressClass of a controller, the default one: Ingresses that name none are of it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": controller.name, "annotations": {DEFAULT_CLASS_ANNOTATION: "true"}},
        "spec": {"controller": controller.class_controller},
    }


def plan_daemon_set(controller: Controller, directory: str) -> dict[str, Any]:
    """Give the DaemonSet of a controller; `directory` on the host is where its files are kept current."""
    labels = labels_of(controller.name)
    container = {
        "name": controller.name,
        "image": controller.image,
        "command": list(controller.command),
        "ports": [
            {"name": "http", "containerPort": 80, "hostPort": 80, "protocol": "TCP"},
            {"name": "https", "containerPort": 443, "hostPort": 443, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": controller.health_port}, "periodSeconds": 1},
        "volumeMounts": [{"name": _VOLUME, "mountPath": controller.directory, "readOnly": True}],
    }
    spec = {
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": _VOLUME, "hostPath": {"path": directory, "type": "Directory"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name_of(controller.name), "namespace": NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
