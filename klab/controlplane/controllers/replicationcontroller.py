"""The ReplicationController controller: the ReplicaSet's elder, with a selector of labels alone (pkg/controller/replication)."""

from __future__ import annotations

from klab.api.resources import of
from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.replicaset import ReplicaSetController

REPLICATIONCONTROLLERS = of("v1", "ReplicationController")


def make_replication_controller(context: Context) -> ReplicaSetController:
    """Give the controller of ReplicationControllers."""
    return ReplicaSetController(context, REPLICATIONCONTROLLERS, "replicationcontroller-controller", "replication-controller")
