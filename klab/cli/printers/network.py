"""The rows of what leads to pods: services, endpoints, endpoint slices, ingresses, network policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from klab.cli.printers.table import Columns, Object, columns
from klab.cli.printers.values import NONE, UNKNOWN, UNSET, age, dig, host_port, labels_text, selector_text, with_more

_LOAD_BALANCER_WIDTH = 16
_LIMIT = 3


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _service(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    return (
        _name(obj),
        dig(obj, "spec", "type", default=""),
        dig(obj, "spec", "clusterIPs", 0) or NONE,
        external_ip(obj, wide),
        ",".join(_service_port(port) for port in dig(obj, "spec", "ports", default=())) or NONE,
        age(obj, now),
        labels_text(dig(obj, "spec", "selector")),
    )


def _service_port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def external_ip(service: Object, wide: bool) -> str:
    """Give the EXTERNAL-IP of a service: `<pending>` for a load balancer without an address yet."""
    external_ips = dig(service, "spec", "externalIPs", default=())
    match dig(service, "spec", "type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external_ips) or NONE
        case "LoadBalancer":
            balancer = load_balancer(service, wide)
            return ",".join([*(balancer.split(",") if balancer else ()), *external_ips]) or "<pending>"
        case "ExternalName":
            return str(dig(service, "spec", "externalName", default=""))
        case _:
            return UNKNOWN


def load_balancer(obj: Object, wide: bool) -> str:
    """Give the addresses of a service's or an ingress's load balancer, cut to 16 characters unless `wide`."""
    found = {one.get("ip") or one.get("hostname") for one in dig(obj, "status", "loadBalancer", "ingress", default=())}
    text = ",".join(sorted(one for one in found if one))
    return text if wide or len(text) <= _LOAD_BALANCER_WIDTH else text[: _LOAD_BALANCER_WIDTH - 3] + "..."


def _endpoints(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), endpoints_text(obj), age(obj, now)


def endpoints_text(endpoints: Object | None, port_name: str | None = None) -> str:
    """Give the first three addresses of an Endpoints object, with ports; of the port called `port_name` if one is asked for."""
    subsets = dig(endpoints, "subsets", default=())
    if not subsets:
        return NONE
    found = [one for subset in subsets for one in _subset(subset, port_name)]
    return with_more(found[:_LIMIT], len(found), _LIMIT)


def _subset(subset: Object, port_name: str | None) -> Iterable[str]:
    addresses = [one["ip"] for one in dig(subset, "addresses", default=())]
    if not dig(subset, "ports"):
        return addresses
    wanted = [port for port in subset["ports"] if port_name is None or port.get("name", "") == port_name]
    return [host_port(address, port["port"]) for port in wanted for address in addresses]


def _endpoint_slice(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    ports = [str(port.get("port") or port.get("name") or "*") for port in dig(obj, "ports", default=())]
    addresses = [address for endpoint in dig(obj, "endpoints", default=()) for address in endpoint.get("addresses") or ()]
    return (
        _name(obj),
        obj.get("addressType", ""),
        with_more(ports[:_LIMIT], len(ports), _LIMIT) or UNSET,
        with_more(addresses[:_LIMIT], len(addresses), _LIMIT) or UNSET,
        age(obj, now),
    )


def _ingress(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    class_name = dig(obj, "spec", "ingressClassName", default=NONE)
    ports = "80, 443" if dig(obj, "spec", "tls") else "80"
    return _name(obj), class_name, _hosts(dig(obj, "spec", "rules", default=())), load_balancer(obj, wide), ports, age(obj, now)


def _hosts(rules: Sequence[Object]) -> str:
    hosts: list[str] = []
    for rule in rules:
        if len(hosts) == _LIMIT:
            return f"{','.join(hosts)} + {len(rules) - _LIMIT} more..."
        if rule.get("host"):
            hosts.append(rule["host"])
    return ",".join(hosts) or "*"


def _ingress_class(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    parameters = NONE
    if found := dig(obj, "spec", "parameters"):
        group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
        parameters = f"{found.get('kind', '')}{group}/{found.get('name', '')}"
    return _name(obj), dig(obj, "spec", "controller", default=""), parameters, age(obj, now)


def _network_policy(obj: Object, now: datetime, wide: bool) -> Sequence[object]:
    del wide
    return _name(obj), selector_text(dig(obj, "spec", "podSelector")) or NONE, age(obj, now)


TABLES: dict[str, Columns] = {
    "Service": columns("NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE  SELECTOR", _service, "SELECTOR"),
    "Endpoints": columns("NAME  ENDPOINTS  AGE", _endpoints),
    "EndpointSlice": columns("NAME  ADDRESSTYPE  PORTS  ENDPOINTS  AGE", _endpoint_slice),
    "Ingress": columns("NAME  CLASS  HOSTS  ADDRESS  PORTS  AGE", _ingress),
    "IngressClass": columns("NAME  CONTROLLER  PARAMETERS  AGE", _ingress_class),
    "NetworkPolicy": columns("NAME  POD-SELECTOR  AGE", _network_policy),
}
