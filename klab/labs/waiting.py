"""What `up` waits for beyond the network: pods whose init containers still run, or that their first probes have not yet found ready.

A lab whose pods are on their way for longer is up all the same; `klab get pods` tells.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from klab.apiserver.client import Client
from klab.cluster.settle import PODS
from klab.controlplane.controllers.context import parse_time
from klab.controlplane.controllers.pods import is_ready

_SECONDS = 3
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})


def wait_for_coming(client: Client) -> bool:
    """Wait until no young pod is on its way any more; False where none was."""
    found, now = client.list(PODS), time.time()
    coming = {pod["metadata"]["uid"] for pod in found["items"] if is_coming(pod, now)}
    if not coming:
        return False
    for kind, pod in client.watch(PODS, resource_version=found["metadata"]["resourceVersion"], timeout=_SECONDS):
        if kind == "DELETED" or not is_coming(pod, now):
            coming.discard(pod["metadata"]["uid"])
        if not coming:
            break
    return True


def is_coming(pod: Mapping[str, Any], now: float) -> bool:
    """Say whether a pod started a moment ago, is not ready, and nothing has failed so far."""
    status = pod.get("status") or {}
    states = [told["state"] for told in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))]
    failed = any(state.get("waiting", {}).get("reason", "ContainerCreating") not in _ON_ITS_WAY or _ended_badly(state) for state in states)
    young = bool(status.get("startTime")) and now - parse_time(status["startTime"]) < _SECONDS
    return young and not failed and not is_ready(pod) and status.get("phase") in {"Pending", "Running"}


def _ended_badly(state: Mapping[str, Any]) -> bool:
    return bool(state.get("terminated", {}).get("exitCode"))
