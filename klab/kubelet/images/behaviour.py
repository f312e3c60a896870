"""The words in which an image says what it does."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """Who a container is; `pod_ip` is "" on a node's own network without an address."""

    pod: str
    namespace: str
    pod_ip: str
    node: str
    container: str


class Port(NamedTuple):
    """A port and its protocol: TCP, UDP or SCTP."""

    number: int
    protocol: str = "TCP"
