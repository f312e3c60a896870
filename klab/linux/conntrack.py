"""Connection tracking entries as values, and which of them lead to a place that no longer serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Frontend = tuple[str, int]
"""What datagrams are addressed to: an address and a port, or "" and a port that is open on every address (a node port)."""

Frontends = Mapping[Frontend, frozenset[str]]
"""The addresses that serve each frontend; none at all where it is closed."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked flow: who it is from, what it is addressed to, and who answers (another address where it was translated)."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    answered_by: str


def is_stale(flow: Flow, frontends: Frontends) -> bool:
    """Tell whether a UDP flow to one of the frontends is answered by somebody who does not serve it (kube-proxy's conntrack.CleanStaleEntries).

    A flow that was never translated is stale only where there is somebody to serve it.
    """
    if flow.protocol != "UDP":
        return False
    for frontend in ((flow.destination, flow.destination_port), ("", flow.destination_port)):
        serving = frontends.get(frontend)
        if serving is not None and flow.answered_by not in serving and (serving or flow.answered_by != flow.destination):
            return True
    return False
