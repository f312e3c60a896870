"""The steps from objects to objects: pods get nodes, nodes' pods get addresses. No kernel, no runtime: `plan` takes them on a copy of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from klab.api import resources
from klab.api.lab import Lab
from klab.api.lab_parse import parse_lab
from klab.api.nodes import node_objects
from klab.api.pod import Pod
from klab.cluster.addresses import allocate
from klab.cluster.topology import PINNED_ANNOTATION, Topology
from klab.controlplane.events import Recorder
from klab.controlplane.scheduler import Binding, Scheduler
from klab.controlplane.store import Store, render_time
from klab.controlplane.views import PodViews
from klab.errors import KlabError, NotFoundError
from klab.kernel.rundir import RunDir

LABS = resources.of("klab.dev/v1", "Lab")
NODES = resources.of("v1", "Node")
PODS = resources.of("v1", "Pod")
NAMESPACES = resources.of("v1", "Namespace")
API_PORT = 6443
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

Object = Mapping[str, Any]


def seed(store: Store, lab: Lab, pods: Iterable[Pod], kernel: str = "") -> None:
    """Put a lab's own objects into the store, those that are missing: the Lab, its Nodes, the system's namespaces.

    `pods` are those of the files: where they pin addresses, the nodes keep them free.
    """
    pinned = {address for pod in pods for address in pod.fixed_ips}
    with store.batch():
        for name in SYSTEM_NAMESPACES:
            _ensure(store, NAMESPACES, {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}, "status": {"phase": "Active"}})
        _ensure(store, LABS, lab.to_object())
        for obj in kubernetes_service(lab):
            _ensure(store, resources.of(obj["apiVersion"], obj["kind"]), obj)
        for node in node_objects(lab, kernel):
            blocks = [block for spec in lab.nodes if spec.name == node["metadata"]["name"] for block in spec.pod_cidrs]
            own = sorted(address for address in pinned if any(ip_address(address) in block for block in blocks))
            annotations = {PINNED_ANNOTATION: ",".join(own)} if own else {}
            _ensure(store, NODES, {**node, "metadata": {**node["metadata"], "annotations": annotations}})


def kubernetes_service(lab: Lab) -> list[dict[str, Any]]:
    """Give default/kubernetes and its endpoint, as kube-apiserver's own controller makes them: the first address of the Service CIDR."""
    cidr, gateway = lab.services.cidr, str(lab.underlay.subnets[0].gateway)
    family = f"IPv{cidr.version}"
    labels = {"component": "apiserver", "provider": "kubernetes"}
    meta = {"name": "kubernetes", "namespace": "default"}
    spec = {
        "type": "ClusterIP",
        "clusterIP": str(cidr[1]),
        "clusterIPs": [str(cidr[1])],
        "ipFamilies": [family],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT}],
    }
    ports = [{"name": "https", "port": API_PORT, "protocol": "TCP"}]
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "labels": labels}, "spec": spec, "status": {"loadBalancer": {}}},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {**meta, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": [{"ip": gateway}], "ports": ports}],
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": family,
            "endpoints": [{"addresses": [gateway], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]


def lab_of(store: Store) -> Lab:
    """Read the lab's settings back."""
    (obj,) = store.list(LABS)
    lab, faults = parse_lab(obj)
    if faults:
        raise KlabError(f"the stored Lab object is broken: {faults[0]}; take the lab down and up again")
    return lab


def topology_of(store: Store, lab: Lab, rundir: RunDir) -> Topology:
    """Read the present nodes."""
    return Topology.of(lab, store.list(NODES), str(rundir.cni_state))


def schedule(store: Store, views: PodViews, recorder: Recorder) -> None:
    """Give every pod that waits for a node one, or say in an event why there is none."""
    if not any(_waits(obj) for obj in store.list(PODS)):
        return
    pods = [(obj, views.of(obj)) for obj in store.list(PODS)]
    scheduler = Scheduler(store.list(NODES), [pod for _obj, pod in pods if pod.node_name])
    with store.batch():
        for obj, pod in sorted(pods, key=age):
            if _waits(obj) and not pod.terminating and not pod.finished:
                outcome = scheduler.schedule(pod)
                if isinstance(outcome, Binding):
                    _bind(store, recorder, obj, outcome.node)
                else:
                    _leave_pending(store, recorder, obj, outcome.message)


def give_addresses(store: Store, views: PodViews, topology: Topology) -> dict[str, KlabError]:
    """Give every pod on a node its addresses, before anything of it is built; return for whom there was none, by uid."""
    if topology.plugins_address or not any(_lacks_address(obj) for obj in store.list(PODS)):
        return {}
    pods = [pod for _obj, pod in sorted(((obj, views.of(obj)) for obj in store.list(PODS)), key=age)]
    asking = [
        pod
        for pod in pods
        if pod.node_name in topology.nodes and not pod.host_network and not pod.pod_ips and not pod.finished and not pod.terminating
    ]
    given, refused = allocate(topology, pods, asking)
    with store.batch():
        for pod in asking:
            if addresses := given.get(pod.uid):
                set_addresses(store, store.get(PODS, pod.namespace, pod.name), addresses)
    return refused


def set_addresses(store: Store, obj: Object, addresses: Sequence[str]) -> Object:
    """Write a pod's addresses into its status."""
    status = {**obj["status"], "podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
    return store.update(PODS, {**obj, "status": status}, "status")


def report_node(store: Store, node: Object, error: KlabError | None) -> None:
    """Set a node's conditions: Ready once its network stands."""
    now = render_time(datetime.now(UTC))
    before = {condition["type"]: condition for condition in node["status"].get("conditions") or ()}
    told = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "False", "KubeletNotReady", f"container runtime network not ready: {error}")
        if error
        else ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    conditions = []
    for kind, word, reason, message in told:
        old = before.get(kind, {})
        since = old["lastTransitionTime"] if old.get("status") == word else now
        beat = old["lastHeartbeatTime"] if old.get("status") == word else now
        conditions.append(
            {"type": kind, "status": word, "reason": reason, "message": message, "lastTransitionTime": since, "lastHeartbeatTime": beat}
        )
    store.update(NODES, {**node, "status": {**node["status"], "conditions": conditions}}, "status")


def age(entry: tuple[Object, Pod]) -> int:
    """Sort as the objects were written: who comes first is served first."""
    return int(entry[0]["metadata"]["resourceVersion"])


def _waits(obj: Object) -> bool:
    return not obj["spec"].get("nodeName")


def _lacks_address(obj: Object) -> bool:
    return bool(obj["spec"].get("nodeName")) and not obj["status"].get("podIPs") and not obj["spec"].get("hostNetwork")


def _bind(store: Store, recorder: Recorder, obj: Object, node: str) -> None:
    bound = store.update(PODS, {**obj, "spec": {**obj["spec"], "nodeName": node}})
    meta = obj["metadata"]
    recorder.record(bound, "Normal", "Scheduled", f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}", "default-scheduler")


def _leave_pending(store: Store, recorder: Recorder, obj: Object, message: str) -> None:
    status = obj.get("status") or {}
    before = [condition for condition in status.get("conditions") or () if condition["type"] == "PodScheduled"]
    if before and before[0].get("message") == message:
        return
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    store.update(PODS, {**obj, "status": {**status, "conditions": [condition]}}, "status")
    recorder.record(obj, "Warning", "FailedScheduling", message, "default-scheduler")


def _ensure(store: Store, resource: resources.Resource, obj: dict[str, Any]) -> None:
    try:
        store.get(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
    except NotFoundError:
        store.create(resource, obj)
