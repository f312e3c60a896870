"""The lab's control plane: waits for changes in the store and carries them through, from controllers to kernel, runtime and status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from klab.api.pod import Pod
from klab.cluster import settle
from klab.cluster.desired import plan_everything
from klab.cluster.healthports import HealthPorts
from klab.cluster.ingress import Ingresses, make_ingress_controllers
from klab.cluster.kubelets import Kubelets
from klab.cluster.naming import cluster_dns, make_naming, node_resolver
from klab.cluster.proxies import Proxies, service_owner
from klab.cluster.sandboxes import Sandboxes, sandbox_netns
from klab.cluster.topology import node_owner, pod_owner
from klab.cluster.wiring import Wiring
from klab.controlplane.controllers.catalog import make_controllers
from klab.controlplane.events import Recorder
from klab.controlplane.manager import Manager
from klab.controlplane.store import Event, Store
from klab.controlplane.views import PodViews
from klab.errors import KlabError, NotFoundError
from klab.kernel import netns
from klab.kernel.conntrack import flush_stale
from klab.kernel.rundir import RunDir
from klab.linux.diff import Operation
from klab.linux.objects import Netns
from klab.runtime.client import RuntimeClient
from klab.runtime.launch import ensure_runtime
from klab.runtime.protocol import ContainerStatus

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0
_CHUNK = 200
"""Pods whose network is built in one go, while the runtime starts the containers of those before."""
_SERVICES = 500
"""Services in one transaction: the time of iptables-nft-restore grows with the square of the chains that it is told of."""
_CONFIG_KINDS = frozenset({"ConfigMap", "Secret"})

Place = tuple[str, str]  # a pod's namespace and name


class ControlPlane:
    """Joins the rooms; one instance a lab."""

    def __init__(self, rundir: RunDir, store: Store) -> None:
        """Prepare; `run` does the work."""
        self.store = store
        self.rundir = rundir
        self.lab = settle.lab_of(store)
        self.wiring = Wiring(rundir)
        self.recorder = Recorder(store, lambda: datetime.now(UTC))
        runtime = RuntimeClient(self._on_exit, self._on_lost)
        sandboxes = Sandboxes(store, rundir, self.recorder, cluster_dns(self.lab), node_resolver(self.lab))
        self.kubelets = Kubelets(store, rundir, runtime, self.recorder, sandboxes, self._touch)
        self.failures: dict[str, KlabError] = {}
        """Owners whose part of the network could not be built, and why."""
        self._topology = settle.topology_of(store, self.lab, rundir)
        self._proxies = Proxies(store, self.lab)
        self._naming = make_naming(store, self.lab, rundir, runtime)
        self._health_ports = HealthPorts()
        self._views = PodViews()
        self._ingresses = Ingresses(store, self.lab, rundir, runtime, self.recorder)
        controllers = [*make_controllers(store, self._views, self.recorder, time.time), *make_ingress_controllers(store, self.lab, rundir)]
        self._manager = Manager(store, controllers, time.time)
        self._alarm: asyncio.TimerHandle | None = None
        self._places: dict[str, Place] = {}
        self._dirty: set[Place] = set()
        self._deleted: dict[str, Place] = {}
        self._held: set[Place] = set()  # new services that wait for the next step
        self._stale_files: set[str] = set()  # namespaces with a ConfigMap or Secret that changed
        self._base_dirty = True
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._reconnecting: asyncio.Task[None] | None = None
        store.subscribe(self._on_events)

    async def adopt(self) -> list[Operation]:
        """Make the kernel what the store says, whatever stands there, and take over what runs; give what had to be done."""
        self._topology = settle.topology_of(self.store, self.lab, self.rundir)
        self._places = {obj["metadata"]["uid"]: (obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self.store.list(settle.PODS)}
        desired = plan_everything(self.store, self._topology, self._proxies, self._views)
        self._proxies.dirty.clear()
        done = await self.wiring.repair(desired)
        await self._connect()
        await self._renew(done)
        self._report_nodes()
        self._base_dirty = False
        self._dirty |= set(self._places.values())
        self._wake()
        return done

    async def repair(self) -> list[Operation]:
        """Rebuild what somebody took away; give what had to be done."""
        await self._idle.wait()
        done = await self.wiring.repair()
        await self._renew(done)
        return done

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            if not self._work.is_set():
                self._idle.set()
                await self._work.wait()
            self._work.clear()
            try:
                await self._step()
            except Exception:  # a fault in one step must not end the lab's control plane: all is looked at again
                logger.exception("a step of the control plane failed; it is tried again")
                self._dirty |= set(self._places.values())
                self._proxies.dirty |= self._proxies.places()
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._wake)

    async def idle(self) -> None:
        """Wait until there is nothing to do."""
        await self._idle.wait()

    def summary(self) -> dict[str, Any]:
        """Count pods and ready ones, without the system's own, and list what could not be built."""
        found = (obj for obj in self.store.list(settle.PODS) if obj["metadata"]["namespace"] != "kube-system")
        pods = [obj for obj in found if obj["status"].get("phase") not in {"Succeeded", "Failed"}]
        failures = [str(error) for error in self.failures.values()]
        return {"pods": len(pods), "ready": sum(map(_is_ready, pods)), "failures": failures}

    # inside

    async def _connect(self) -> None:
        """Find the lab's container runtime, or start it, and take over what runs in it."""
        await asyncio.to_thread(ensure_runtime, self.rundir.path, self.rundir.owner)
        await self.kubelets.runtime.connect(self.rundir.path)
        self._naming.restart()
        await self._naming.sync()
        await self.kubelets.adopt(self._places)

    async def _renew(self, done: Sequence[Operation]) -> None:
        """Restart what runs in namespaces that had to be made anew."""
        made = {step.object.netns for step in done if step.verb == "create" and isinstance(step.object, Netns)}
        if made:
            pods = [(obj, self._views.of(obj)) for obj in self.store.list(settle.PODS)]
            await self.kubelets.renew((obj, pod) for obj, pod in pods if sandbox_netns(pod) in made)

    def _on_exit(self, status: ContainerStatus) -> None:
        self.kubelets.heard(status)

    def _on_lost(self) -> None:
        """Start the runtime anew when it was killed."""
        logger.warning("the container runtime went away; starting it anew")
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        await self._connect()
        self._dirty |= set(self._places.values())
        self._wake()

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._proxies.hear(event):
                self._wake()
                continue
            meta = event.object["metadata"]
            match event.resource.kind:
                case "Pod":
                    place = (meta["namespace"], meta["name"])
                    if event.type == "DELETED":
                        self._deleted[meta["uid"]] = place
                        self._places.pop(meta["uid"], None)
                        self._views.forget(meta["uid"])
                    elif not self.kubelets.wrote(event.object):
                        self._places[meta["uid"]] = place
                        self._dirty.add(place)
                case "Node" if _moved(event):
                    self._base_dirty = True
                    self._dirty |= set(self._places.values())
                case "Node":
                    self._dirty |= {place for uid, place in self._places.items() if uid not in self.kubelets.records}
                case kind if kind in _CONFIG_KINDS:
                    self._stale_files.add(meta["namespace"])
                    self._dirty |= {self._places[uid] for uid, record in self.kubelets.records.items() if record.errors and uid in self._places}
                case "Event":
                    continue
            self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    def _touch(self, uid: str) -> None:
        if uid in self._places:
            self._dirty.add(self._places[uid])
            self._wake()

    async def _step(self) -> None:
        """Carry all changes that have come so far one step on; what that changes again is the next step's."""
        if self._base_dirty:
            self._base_dirty = False
            await self._build_base()
        self._run_controllers()
        settle.schedule(self.store, self._views, self.recorder)
        refused = settle.give_addresses(self.store, self._views, self._topology)
        deleted, self._deleted = self._deleted, {}
        dirty, self._dirty = self._dirty, set()
        await self._ingresses.sync()
        await self._remove(deleted)
        await self._sync_proxies(self._take_services(pods_come=bool(dirty)))
        await self._naming.sync()
        self._refresh_files()
        pods = sorted(((obj, self._views.of(obj)) for obj in map(self._get, dirty) if obj is not None), key=settle.age)
        running: list[asyncio.Task[list[Pod]]] = []
        for start in range(0, len(pods), _CHUNK):
            chunk = pods[start : start + _CHUNK]
            failed = await self._build([pod for _obj, pod in chunk])
            for obj, pod in chunk:
                if error := refused.get(pod.uid) or failed.get(_owner(pod)):
                    self._report_sandbox(obj, pod, error)
            runnable = [(obj, pod) for obj, pod in chunk if self._can_run(pod) and _owner(pod) not in failed]
            running.append(asyncio.create_task(self.kubelets.sync(runnable)))
        through = [pod for gone in await asyncio.gather(*running) for pod in gone]
        unbound = [pod for _obj, pod in pods if pod.terminating and pod.node_name not in self._topology.nodes]
        await self._finish([*through, *unbound])

    def _run_controllers(self) -> None:
        """Let the controllers work off what changed, and wake up when one of them wants to look again."""
        wish = self._manager.run()
        if self._alarm:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(wish, self._wake) if wish is not None else None

    async def _build_base(self) -> None:
        """Build underlay and nodes."""
        self._topology = settle.topology_of(self.store, self.lab, self.rundir)
        nodes = self.store.list(settle.NODES)
        planned = {**self._topology.plan_base(), **self._proxies.plan_bases(self._topology, nodes)}
        self._proxies.dirty |= self._proxies.places()
        former = [owner for owner in self.wiring.owned if owner.startswith(("node/", "kube-proxy/")) and _node_of(owner) not in self._topology.nodes]
        changes = {owner: objects for owner, objects in planned.items() if self.wiring.owned.get(owner) != objects}
        failed = await self.wiring.sync({**changes, **dict.fromkeys(former, ())})
        self.failures = {owner: error for owner, error in self.failures.items() if owner not in changes} | failed
        self._report_nodes()

    def _report_nodes(self) -> None:
        """Report the nodes ready whose network stands."""
        with self.store.batch():
            for node in self.store.list(settle.NODES):
                settle.report_node(self.store, node, self.failures.get(node_owner(node["metadata"]["name"])))

    def _refresh_files(self) -> None:
        """Bring volumes made of ConfigMaps and Secrets up to date."""
        namespaces, self._stale_files = self._stale_files, set()
        for place in [place for place in self._places.values() if place[0] in namespaces]:
            if obj := self._get(place):
                pod = self._views.of(obj)
                if pod.volumes and not pod.finished and pod.uid in self.kubelets.records:
                    self.kubelets.sandboxes.refresh_volumes(pod)

    def _take_services(self, *, pods_come: bool) -> set[Place]:
        """Take the services to look after in this step.

        New ones wait one step while pods come: they are built once, with their endpoints, and need not refuse connections first.
        """
        places, self._proxies.dirty = self._proxies.dirty, set()
        new = {place for place in places - self._held if not self._stands(place)} if pods_come else set()
        self._held = new
        if new:
            self._proxies.dirty |= new
            self._wake()
        return places - new

    def _stands(self, place: Place) -> bool:
        return any(service_owner(node, place) in self.wiring.owned for node in self._topology.nodes)

    async def _sync_proxies(self, places: Collection[Place]) -> None:
        """Bring these services up to date on every node."""
        if not places:
            return
        nodes, ordered = self._proxies.nodes(self._topology, self.store.list(settle.NODES)), sorted(places)
        for start in range(0, len(ordered), _SERVICES):
            planned = self._proxies.plan(ordered[start : start + _SERVICES], nodes)
            changes = {owner: objects for owner, objects in planned.items() if (self.wiring.owned.get(owner) or ()) != objects}
            failed = await self.wiring.sync(changes) if changes else {}
            for owner, error in failed.items():
                logger.error("%s: %s", owner, error)
        frontends = self._proxies.take_frontends(places)
        paths = [self.rundir.netns_path(name) for name in self._topology.nodes]
        if frontends:
            await asyncio.to_thread(netns.each, paths, lambda _path: flush_stale(frontends))
        for name, path in zip(self._topology.nodes, paths, strict=True):
            await self._health_ports.sync(name, path, self._proxies.health_checks(name))

    async def _build(self, pods: Sequence[Pod]) -> dict[str, KlabError]:
        """Build or take down what stands for pods; give the owners for whom it failed."""
        planned = {_owner(pod): self._topology.plan_pod(pod) for pod in pods}
        changes = {owner: objects for owner, objects in planned.items() if (self.wiring.owned.get(owner) or ()) != objects}
        if not changes:
            return {}
        failed = await self.wiring.sync(changes)
        if self._topology.plugins_address:
            self._take_addresses([pod for pod in pods if not pod.pod_ips and _owner(pod) in changes and _owner(pod) not in failed])
        return failed

    def _take_addresses(self, pods: Sequence[Pod]) -> None:
        """Write into the status which addresses CNI plugins gave to pods."""
        with self.store.batch():
            for pod in pods:
                if (addresses := self.wiring.plugins.addresses(pod.uid)) and (obj := self._get((pod.namespace, pod.name))):
                    settle.set_addresses(self.store, obj, addresses)

    def _can_run(self, pod: Pod) -> bool:
        """Say whether the kubelet has something to do for a pod: it has a node and an address, and has not ended for good."""
        return pod.node_name in self._topology.nodes and bool(pod.pod_ips or pod.host_network) and not (pod.finished and not pod.terminating)

    async def _finish(self, pods: Sequence[Pod]) -> None:
        """Remove pods whose deletion is through: first what stands for them, then the objects."""
        await self._remove({pod.uid: (pod.namespace, pod.name) for pod in pods})
        with self.store.batch():
            for pod in pods:
                with suppress(NotFoundError):
                    self.store.delete(settle.PODS, pod.namespace, pod.name, 0, uid=pod.uid)
        for pod in pods:
            self._deleted.pop(pod.uid, None)

    async def _remove(self, deleted: Mapping[str, Place]) -> None:
        """Take down what stands for pods that are gone."""
        if deleted:
            await self.kubelets.forget(list(deleted))
            owners = [pod_owner(*place) for place in deleted.values()]
            await self.wiring.sync({owner: () for owner in owners if owner in self.wiring.owned})

    def _report_sandbox(self, obj: Mapping[str, Any], pod: Pod, error: KlabError) -> None:
        """Tell that a pod's network could not be built, and try again after a while."""
        self.recorder.record(obj, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}", "kubelet", pod.node_name)
        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._touch, pod.uid)

    def _get(self, place: Place) -> dict[str, Any] | None:
        try:
            return self.store.get(settle.PODS, *place)
        except NotFoundError:
            return None


def _node_of(owner: str) -> str:
    return owner.split("/")[1]


def _owner(pod: Pod) -> str:
    return pod_owner(pod.namespace, pod.name)


def _is_ready(obj: Mapping[str, Any]) -> bool:
    conditions: Sequence[Mapping[str, Any]] = obj["status"].get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _moved(event: Event) -> bool:
    """Say whether a Node came, went, or has other addresses than before: what others build on."""
    if event.type != "MODIFIED" or event.old is None:
        return True
    new, old = event.object, event.old
    return bool(new["spec"] != old["spec"] or new["status"].get("addresses") != old["status"].get("addresses"))
