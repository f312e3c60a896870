"""Cluster DNS: what names depend on, from the store to whoever answers: klab's own servers in the container runtime, or CoreDNS' files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from klab.api import resources
from klab.api.lab import Lab
from klab.controlplane.store import Event, Store
from klab.dns import manifests
from klab.dns.coredns import next_serial, render_files
from klab.dns.delta import KINDS, Feed
from klab.dns.zone import Zone
from klab.kernel.program import find
from klab.kernel.rundir import RunDir
from klab.kubelet.resolv import ClusterDns, ResolvConf
from klab.runtime.client import RuntimeClient

logger = logging.getLogger(__name__)

COREDNS_DIRECTORY = "dns"
"""CoreDNS' files in the lab's run directory."""

_RESOURCES = tuple(
    resources.of(version, kind) for version, kind in (("v1", "Namespace"), ("v1", "Service"), ("discovery.k8s.io/v1", "EndpointSlice"))
)
_PAUSE = 0.1  # seconds from a change to the writing of CoreDNS' files: what changes meanwhile is written with it


class Publisher(Protocol):
    """Who is told what changed."""

    async def publish(self, delta: Mapping[str, Any]) -> None:
        """Take a delta (klab.dns.delta)."""


class Naming:
    """Follows Services, EndpointSlices and Namespaces, and tells the publisher once a step; `stop` lets the names grow old."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        """Read what the store has and follow it."""
        self._publisher = publisher
        self._feed = Feed()
        self._whole = True
        for resource in _RESOURCES:
            for obj in store.list(resource):
                self._feed.set({**obj, "kind": resource.kind})
        self.stop = store.subscribe(self._hear)

    def restart(self) -> None:
        """Tell everything the next time, as the publisher has forgotten it."""
        self._whole = True

    async def sync(self) -> None:
        """Tell what changed since the last time; KlabError where nobody takes it, and then all of it is told the next time."""
        delta = self._feed.take()
        if self._whole:
            delta = self._feed.whole()
        if delta is None:
            return
        self._whole = True
        await self._publisher.publish(delta)
        self._whole = False

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.resource.kind not in KINDS:
                continue
            obj = {**event.object, "kind": event.resource.kind}
            if event.type == "DELETED":
                self._feed.remove(obj)
            else:
                self._feed.set(obj)


class RuntimePublisher:
    """klab's own servers, in the container runtime."""

    def __init__(self, runtime: RuntimeClient, lab: Lab) -> None:
        """Publish over the kubelet's connection to the runtime."""
        self._runtime = runtime
        self._domain, self._upstream = lab.dns.domain, _upstream(lab)

    async def publish(self, delta: Mapping[str, Any]) -> None:
        """Send it."""
        await self._runtime.feed(self._domain, self._upstream, delta)


class FilePublisher:
    """CoreDNS' directory, which its pods mount: written before anything is built on a change, as long as that takes no time, else soon after it.

    The zone is touched in threads alone, one after the other, as writing ten thousand Services takes most of a second.
    """

    def __init__(self, directory: Path, lab: Lab) -> None:
        """Hold an empty zone."""
        self._directory = directory
        self._upstream = _upstream(lab)
        self._zone = Zone(lab.dns.domain)
        self._pending: list[Mapping[str, Any]] = []
        self._working: asyncio.Task[None] | None = None
        self._took = 0.0  # seconds of the last writing

    async def publish(self, delta: Mapping[str, Any]) -> None:
        """Take it, and have the files written if they are not about to be; wait for that where it was quick the last time."""
        self._pending.append(delta)
        if self._took < _PAUSE:
            await self._work(0)
        elif self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(_PAUSE))

    async def _work(self, wait: float) -> None:
        """Write what is pending, and what has come meanwhile; a failure is mended with the next change."""
        while self._pending:
            await asyncio.sleep(wait)
            deltas, self._pending = self._pending, []
            begun = time.monotonic()
            try:
                await asyncio.to_thread(self._write, deltas)
            except OSError:
                logger.exception("CoreDNS keeps the former names: its files in %s cannot be written", self._directory)
            self._took = time.monotonic() - begun

    def _write(self, deltas: Sequence[Mapping[str, Any]]) -> None:
        """Replace the files whose text changed; all zones have a new serial, so that CoreDNS reads them."""
        for delta in deltas:
            self._zone.apply(delta)
        self._zone.serial = next_serial(self._zone.serial, time.time())
        self._directory.mkdir(mode=0o755, exist_ok=True)
        for name, text in render_files(self._zone, self._upstream).items():
            file, fresh = self._directory / name, self._directory / f".{name}.new"
            if not file.exists() or file.read_text() != text:
                fresh.write_text(text)
                fresh.rename(file)


def make_naming(store: Store, lab: Lab, rundir: RunDir, runtime: RuntimeClient) -> Naming:
    """Give the lab's naming: to CoreDNS' files if that is the lab's server, else to containers in the runtime, of which there may be none."""
    coredns = lab.dns.server == "coredns"
    return Naming(store, FilePublisher(rundir.path / COREDNS_DIRECTORY, lab) if coredns else RuntimePublisher(runtime, lab))


def cluster_dns(lab: Lab) -> ClusterDns:
    """Give the kubelets' --cluster-dns and --cluster-domain."""
    servers = () if lab.dns.server == "none" else (manifests.calc_dns_address(lab.services.cidr),)
    return ClusterDns(servers, lab.dns.domain)


def node_resolver(lab: Lab) -> ResolvConf:
    """Give the nodes' own /etc/resolv.conf, which pods with dnsPolicy Default have: the lab's upstream servers."""
    return ResolvConf(_upstream(lab))


def plan_dns_objects(lab: Lab, rundir: RunDir) -> list[dict[str, Any]]:
    """Give the objects of kube-system that make the lab's DNS, none without; MissingError where there is no CoreDNS to run."""
    if lab.dns.server == "none":
        return []
    address = manifests.calc_dns_address(lab.services.cidr)
    if lab.dns.server == "coredns":
        return manifests.plan_program_objects(address, find("coredns"), str(rundir.path / COREDNS_DIRECTORY))
    return manifests.plan_objects(address, manifests.render_kubeadm_corefile(lab.dns.domain, _upstream(lab)))


def _upstream(lab: Lab) -> tuple[str, ...]:
    return tuple(str(address) for address in lab.dns.upstream)
