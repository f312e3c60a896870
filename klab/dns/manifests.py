"""The objects of a lab's cluster DNS in kube-system, as kubeadm makes them (cmd/kubeadm/app/phases/addons/dns/manifests.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klab.dns.coredns import COREFILE, DIRECTORY
from klab.dns.zone import DNS_SERVICE
from klab.errors import KlabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

IMAGE = "registry.k8s.io/coredns/coredns:v1.15.0"
REPLICAS = 2
DNS_INDEX = 10
"""kube-dns has this address of the (first) Service CIDR: 10.96.0.10 of 10.96.0.0/12."""

_LABELS = {"k8s-app": "kube-dns"}
_VOLUME = "config-volume"
_PROBES = {
    "livenessProbe": {
        "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
        "initialDelaySeconds": 60,
        "timeoutSeconds": 5,
        "failureThreshold": 5,
    },
    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}, "periodSeconds": 1},
}
"""kubeadm's, but looking for readiness each second: a lab is up sooner than the ten seconds that would be."""
_NAMESPACE, _SERVICE = DNS_SERVICE


def calc_dns_address(cidr: IPv4Network | IPv6Network) -> str:
    """Give the address of the kube-dns Service; KlabError if the Service CIDR is too small to have it."""
    if cidr.num_addresses <= DNS_INDEX + 1:
        raise KlabError(
            f"the service CIDR {cidr} has no address number {DNS_INDEX} for kube-dns; widen Lab.spec.services.cidr or set Lab.spec.dns.server to none"
        )
    return str(cidr[DNS_INDEX])


def plan_objects(address: str, corefile: str, replicas: int = REPLICAS) -> list[dict[str, Any]]:
    """Give ServiceAccount, ConfigMap, Service and Deployment of cluster DNS.

    The image does what klab does in CoreDNS' place, which needs no probes; `corefile` (render_kubeadm_corefile) is there to be read.
    """
    volume = {"configMap": {"name": "coredns"}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta("coredns"), "data": {COREFILE: corefile}}
    return [_service_account(), config, _service(address), _deployment(_container(), volume, replicas)]


def plan_program_objects(address: str, program: str, directory: str, replicas: int = REPLICAS) -> list[dict[str, Any]]:
    """Give ServiceAccount, Service and Deployment of cluster DNS by the CoreDNS program itself.

    `directory` is where klab.dns.coredns.render_files' files are kept current; the pods mount it.
    """
    volume = {"hostPath": {"path": directory, "type": "Directory"}}
    container = {**_container(), "command": [program], **_PROBES}
    return [_service_account(), _service(address), _deployment(container, volume, replicas)]


def render_kubeadm_corefile(domain: str, upstreams: Sequence[str] = (), endpoint: str = "") -> str:
    """Give kubeadm's Corefile, for reading (klab's own server does what it says) or, with the URL of an API server, for CoreDNS itself.

    The lab differs from kubeadm in that TTL is the plugin's 5 seconds, nothing is cached, and without upstreams nothing is forwarded.
    """
    reverse = "\n       fallthrough in-addr.arpa ip6.arpa" if upstreams else ""
    url = f"\n       endpoint {endpoint}" if endpoint else ""
    forward = f"    forward . {' '.join(upstreams)} {{\n       max_concurrent 1000\n    }}\n    loop\n" if upstreams else ""
    return f"""\
.:53 {{
    errors
    health
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{{url}
       pods insecure{reverse}
    }}
    prometheus :9153
{forward}    reload
    loadbalance
}}
"""


def _service_account() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta("coredns")}


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": _NAMESPACE}


def _service(address: str) -> dict[str, Any]:
    labels = {**_LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    annotations = {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"}
    ports = [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_meta(_SERVICE), "labels": labels, "annotations": annotations},
        "spec": {
            "clusterIP": address,
            "ports": [{"name": name, "port": port, "protocol": protocol, "targetPort": port} for name, port, protocol in ports],
            "selector": dict(_LABELS),
        },
    }


def _deployment(container: dict[str, Any], volume: dict[str, Any], replicas: int) -> dict[str, Any]:
    spec = {
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": "coredns",
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_apart()]}},
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [container],
        "dnsPolicy": "Default",
        "volumes": [{"name": _VOLUME, **volume}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_meta("coredns"), "labels": dict(_LABELS)},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": dict(_LABELS)},
            "template": {"metadata": {"labels": dict(_LABELS)}, "spec": spec},
        },
    }


def _apart() -> dict[str, Any]:
    """Put the replicas on different nodes if it can be."""
    selector = {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]}
    return {"weight": 100, "podAffinityTerm": {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}}


def _container() -> dict[str, Any]:
    return {
        "name": "coredns",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", f"{DIRECTORY}/{COREFILE}"],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "volumeMounts": [{"name": _VOLUME, "mountPath": DIRECTORY, "readOnly": True}],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
    }
