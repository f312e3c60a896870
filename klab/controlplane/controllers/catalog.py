"""All controllers of a lab, in the order in which they usually follow one another."""

from __future__ import annotations

from collections.abc import Callable

from klab.controlplane.controllers.context import Context
from klab.controlplane.controllers.cronjob import CronJobController
from klab.controlplane.controllers.daemonset import DaemonSetController
from klab.controlplane.controllers.deployment import DeploymentController
from klab.controlplane.controllers.garbagecollector import GarbageCollector
from klab.controlplane.controllers.job import JobController
from klab.controlplane.controllers.namespace import NamespaceController
from klab.controlplane.controllers.podgc import PodGarbageCollector
from klab.controlplane.controllers.replicaset import ReplicaSetController
from klab.controlplane.controllers.replicationcontroller import make_replication_controller
from klab.controlplane.controllers.serviceendpoints import EndpointsController, EndpointSliceController, EndpointSliceMirroringController
from klab.controlplane.controllers.statefulset import StatefulSetController
from klab.controlplane.controllers.ttl import TtlController
from klab.controlplane.events import Recorder
from klab.controlplane.manager import Controller
from klab.controlplane.store import Store
from klab.controlplane.views import PodViews


def make_controllers(store: Store, views: PodViews, recorder: Recorder, now: Callable[[], float]) -> list[Controller]:
    """Make them over one store; `now` gives seconds."""
    context = Context.of(store, recorder, now)
    return [
        DeploymentController(context),
        ReplicaSetController(context),
        make_replication_controller(context),
        DaemonSetController(context),
        StatefulSetController(context),
        CronJobController(context),
        JobController(context),
        TtlController(context),
        EndpointsController(store, views),
        EndpointSliceController(store, views),
        EndpointSliceMirroringController(store, views),
        NamespaceController(context),
        GarbageCollector(context),
        PodGarbageCollector(context),
    ]
