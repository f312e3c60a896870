"""Names that fit: network namespaces as files in /run/netns, interfaces in 15 characters, stable for the same object."""

from __future__ import annotations

import hashlib

FABRIC = "fabric"
CLIENT = "client"
ROUTER = "router"
RESERVED_NODE_NAMES = frozenset({FABRIC, CLIENT, ROUTER})

_FILE_NAME_LIMIT = 200


def pod_netns(namespace: str, name: str) -> str:
    """Name the network namespace of a pod: `default_web-1` (Kubernetes names have no underscore, so nodes and pods never meet)."""
    return _fitted(f"{namespace}_{name}", _FILE_NAME_LIMIT)


def qualified(lab: str, netns: str) -> str:
    """Give the name under /run/netns, as `ip -n` takes it: `deep-dive_node1`, `deep-dive_default_web-1`."""
    return f"{lab}_{netns}"


def interface(prefix: str, identity: str) -> str:
    """Name an interface `prefix` plus a hash of `identity`, 15 characters at most (IFNAMSIZ - 1)."""
    return prefix + digest(identity, 15 - len(prefix))[: 8 if prefix == "veth" else 11]


def digest(text: str, length: int) -> str:
    """Give the first `length` hexadecimal digits of the SHA-1 of `text`, as Calico does for its cali* names."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:length]


def mac(identity: str) -> str:
    """Derive a locally administered unicast MAC address from `identity`."""
    octets = hashlib.sha1(identity.encode(), usedforsecurity=False).digest()[:5]
    return ":".join(f"{octet:02x}" for octet in (0x02, *octets))


def _fitted(name: str, limit: int) -> str:
    return name if len(name) <= limit else f"{name[: limit - 13]}~{digest(name, 12)}"
