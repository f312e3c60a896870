"""The schema of the Lab document, in the words of OpenAPI as Kubernetes uses them."""

from __future__ import annotations

from typing import Any

from klab.api.lab import DNS_SERVERS, INGRESS_CONTROLLERS, IPVS_SCHEDULERS, PLUGINS, PROXIES

Node = dict[str, Any]

_STRING: Node = {"type": "string"}
_INTEGER: Node = {"type": "integer", "format": "int32"}


def _object(*, required: tuple[str, ...] = (), **properties: Node) -> Node:
    return {"type": "object", "properties": properties, "required": list(required)}


def _one_of(values: tuple[str, ...]) -> Node:
    return {"type": "string", "enum": list(values)}


def _list(items: Node) -> Node:
    return {"type": "array", "items": items}


_SUBNET = _object(required=("cidr",), cidr=_STRING, gateway=_STRING)
_UNDERLAY = _object(
    cidr=_STRING, gateway=_STRING, interface=_STRING, mtu=_INTEGER, subnets=_list(_SUBNET), client=_object(cidr=_STRING, address=_STRING)
)
_NETWORK = _object(
    plugin=_one_of(PLUGINS),
    podCIDR=_STRING,
    nodeMask=_INTEGER,
    nodeMaskIPv6=_INTEGER,
    mtu=_INTEGER,
    bridge=_STRING,
    vni=_INTEGER,
    port=_INTEGER,
    cniConf={"type": "object"},
    cniBin=_STRING,
)
_SERVICES = _object(cidr=_STRING, proxy=_one_of(PROXIES), nodePorts=_STRING, scheduler=_one_of(IPVS_SCHEDULERS))
_DNS = _object(domain=_STRING, server=_one_of(DNS_SERVERS), upstream=_list(_STRING))
_QUANTITY: Node = {"type": "string", "format": "quantity"}
_NODE = _object(
    required=("name",),
    name=_STRING,
    address=_STRING,
    podCIDR=_STRING,
    labels={"type": "object", "additionalProperties": _STRING},
    taints=_list({"$ref": "core.v1.Taint"}),
    maxPods=_INTEGER,
    capacity={"type": "object", "additionalProperties": _QUANTITY},
)
LAB: Node = _object(
    apiVersion=_STRING,
    kind=_STRING,
    metadata={"$ref": "meta.v1.ObjectMeta"},
    spec=_object(
        underlay=_UNDERLAY,
        network=_NETWORK,
        services=_SERVICES,
        dns=_DNS,
        ingress=_object(controller=_one_of(INGRESS_CONTROLLERS)),
        nodes=_list(_NODE),
    ),
    status={"type": "object"},
)
