"""What a container is started with: its namespaces, files, volumes, environment; the same for its own process and for those of `exec`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from klab.api import resources
from klab.api.pod import Container, Pod
from klab.api.service import Service
from klab.controlplane.events import Recorder
from klab.controlplane.store import Store
from klab.errors import KlabError, NotFoundError
from klab.kernel.files import ensure_volume
from klab.kernel.rundir import RunDir
from klab.kubelet.environment import expand, resolve_environment, service_environment
from klab.kubelet.resolv import ClusterDns, ResolvConf
from klab.kubelet.sandbox import plan_sandbox_files
from klab.kubelet.sources import NodeFacts
from klab.kubelet.volumes import MountError, mount_failed, plan_mounts, plan_volumes
from klab.linux.files import Projection, Volume
from klab.linux.names import pod_netns
from klab.runtime.protocol import ContainerSpec, Identity, Mount, Port, Sandbox

PODS = resources.of("v1", "Pod")
NODES = resources.of("v1", "Node")
SERVICES = resources.of("v1", "Service")


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """Makes the files of pods and says how their containers are started; `resolver` is what the nodes themselves resolve by."""

    store: Store
    rundir: RunDir
    recorder: Recorder
    dns: ClusterDns
    resolver: ResolvConf

    def specify(self, pod: Pod, container: Container, number: int) -> ContainerSpec:
        """Make what the container needs and say how it is started; ConfigError, MountError or KlabError where that cannot be."""
        env = container_variables(self.store, pod, container)
        if not (self.rundir.pods / pod.uid / "etc" / "hostname").exists():
            self._write_files(pod)
        self._ensure_volumes(pod, container)
        address = pod.pod_ips[0] if pod.pod_ips else self._node_addresses(pod)[0]
        return ContainerSpec(
            id=f"{pod.uid}/{container.name}/{number}",
            sandbox=container_sandbox(self.rundir, self.store, pod, container),
            image=container.image,
            identity=Identity(pod.name, pod.namespace, address, pod.node_name, container.name),
            log_path=str(self.log_path(pod.uid, container.name, number)),
            argv=(*expand(container.command, env), *expand(container.args, env)) if container.command else None,
            args=expand(container.args, env),
            env=env,
            working_dir=container.working_dir,
            ports=tuple(Port(port.container_port, port.protocol) for port in container.ports),
            stdin=container.stdin or container.tty,
        )

    def log_path(self, uid: str, container: str, number: int) -> Path:
        """Give the file that a container's output goes to."""
        return self.rundir.pods / uid / "logs" / f"{container}.{number}.log"

    def refresh_volumes(self, pod: Pod) -> None:
        """Bring the files of a pod's ConfigMaps and Secrets up to date."""
        for volume in container_volumes(self.rundir, self.store, pod).values():
            if isinstance(volume, Projection):
                ensure_volume(volume)

    def _ensure_volumes(self, pod: Pod, container: Container) -> None:
        """Make what a container mounts."""
        if not container.volume_mounts:
            return
        volumes = container_volumes(self.rundir, self.store, pod)
        for name, volume in volumes.items():
            try:
                ensure_volume(volume)
            except KlabError as error:
                raise MountError([mount_failed(name, error)]) from error
        for directory in plan_mounts(container, volumes).directories:
            ensure_volume(directory)

    def _write_files(self, pod: Pod) -> None:
        """Write the pod's /etc files, hostname last, and tell what of its wishes did not fit into them."""
        files = plan_sandbox_files(pod, pod.pod_ips or self._node_addresses(pod), self.dns, self.resolver)
        directory = f"{self.rundir.pods}/{pod.uid}"
        for made in (directory, f"{directory}/etc", f"{directory}/logs"):
            with suppress(FileExistsError):
                os.mkdir(made)  # noqa: PTH102 (a thousand pods: pathlib takes three times as long)
        for name, text in sorted(files.etc.items(), key=lambda item: item[0] == "hostname"):
            with open(f"{directory}/etc/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
        for note in files.notes:
            self.recorder.record(self.store.get(PODS, pod.namespace, pod.name), "Warning", note.reason, note.message, "kubelet", pod.node_name)

    def _node_addresses(self, pod: Pod) -> tuple[str, ...]:
        return node_addresses(self.store.get(NODES, None, pod.node_name))


def container_sandbox(rundir: RunDir, store: Store, pod: Pod, container: Container) -> Sandbox:
    """Say where a container's processes live."""
    directory = rundir.pods / pod.uid
    return Sandbox(
        netns=str(rundir.netns_path(sandbox_netns(pod))),
        hostname=(directory / "etc" / "hostname").read_text().strip(),
        root_dir=str(directory / "containers" / container.name),
        etc_dir=str(directory / "etc"),
        mounts=tuple(Mount(*bind) for bind in plan_mounts(container, container_volumes(rundir, store, pod)).binds) if container.volume_mounts else (),
    )


def sandbox_netns(pod: Pod) -> str:
    """Name the network namespace that a pod's containers live in."""
    return pod.node_name if pod.host_network else pod_netns(pod.namespace, pod.name)


def container_volumes(rundir: RunDir, store: Store, pod: Pod) -> dict[str, Volume]:
    """Plan the volumes of a pod by name; MountError where one cannot be."""
    return plan_volumes(pod, str(rundir.pods / pod.uid), _node_facts(store, pod), partial(_find, store))


def _node_facts(store: Store, pod: Pod) -> NodeFacts:
    node = store.get(NODES, None, pod.node_name)
    return NodeFacts(node_addresses(node), node["status"].get("allocatable") or {})


def container_variables(store: Store, pod: Pod, container: Container) -> dict[str, str]:
    """Give a container's environment; ConfigError where something that it refers to is missing."""
    services = service_environment((Service.of(obj) for obj in store.list(SERVICES)), pod.namespace)
    return resolve_environment(pod, container, _node_facts(store, pod), partial(_find, store), services)


def _find(store: Store, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    try:
        return store.get(resources.of("v1", kind), namespace or None, name)
    except NotFoundError:
        return None


def node_addresses(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a node's InternalIPs."""
    return tuple(entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP")
