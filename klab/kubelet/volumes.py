"""A pod's volumes and where its containers see them, as values for the kernel room.

After pkg/volume/{emptydir,configmap,secret,downwardapi,projected,hostpath}, makeMounts (pkg/kubelet/kubelet_pods.go), the volume manager.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.pod import Container, Pod
from klab.errors import KlabError
from klab.kubelet.sources import (
    ConfigError,
    Find,
    NodeFacts,
    config_map_data,
    container_of,
    field_value,
    find_config_map,
    find_secret,
    resource_value,
    secret_data,
)
from klab.linux.files import Bind, Directory, File, HostPath, Projection, Volume

DEFAULT_MODE = 0o644
Raw = Mapping[str, Any]


class MountError(KlabError):
    """Volumes of a pod cannot be set up: `messages` are those of its FailedMount events; the pod's containers wait as ContainerCreating."""

    def __init__(self, messages: Sequence[str]) -> None:
        """Keep one message for each volume."""
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


@dataclass(frozen=True, slots=True)
class Mounts:
    """What a container mounts, and the directories that have to be there before it does."""

    directories: tuple[Directory, ...]
    binds: tuple[Bind, ...]


def mount_failed(volume: str, reason: object) -> str:
    """Give the message of the FailedMount event for a volume that could not be set up."""
    return f'MountVolume.SetUp failed for volume "{volume}" : {reason}'


def plan_volumes(pod: Pod, pod_dir: str, facts: NodeFacts, find: Find) -> dict[str, Volume]:
    """Give, by name, the volumes that the pod's containers mount; `pod_dir` is the pod's own directory. MountError names all that cannot be.

    Called again after a ConfigMap, Secret or the pod changed, it gives the new content of the same volumes.
    """
    used = {mount.name for container in (*pod.init_containers, *pod.containers) for mount in container.volume_mounts}
    planner = _Planner(pod, f"{pod_dir}/volumes", facts, find)
    volumes: dict[str, Volume] = {}
    faults: list[str] = []
    for raw in pod.volumes:
        name = raw.get("name", "")
        if name in used:
            try:
                volumes[name] = planner.plan(raw)
            except ConfigError as error:
                faults.append(mount_failed(name, error))
            except MountError as error:
                faults.extend(error.messages)
    if faults:
        raise MountError(faults)
    return volumes


def plan_mounts(container: Container, volumes: Mapping[str, Volume]) -> Mounts:
    """Say where the container sees the pod's volumes; ConfigError for a volume or a subPath that cannot be."""
    directories: list[Directory] = []
    binds: list[Bind] = []
    targets = [_absolute(mount.mount_path) for mount in container.volume_mounts]
    for mount, target in zip(container.volume_mounts, targets, strict=True):
        volume = volumes.get(mount.name)
        if volume is None:
            raise ConfigError(f'cannot find volume "{mount.name}" to mount into container "{container.name}"')
        source = volume.path
        if mount.sub_path:
            if mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/"):
                raise ConfigError(f'failed to prepare subPath for volumeMount "{mount.name}" of container "{container.name}"')
            source = f"{volume.path}/{mount.sub_path}"
            directories.append(Directory(source))
        elif isinstance(volume, Projection):
            directories += _mount_points(source, target, targets)
        read_only = mount.read_only or isinstance(volume, Projection) or (isinstance(volume, HostPath) and volume.read_only)
        binds.append(Bind(source, target, read_only))
    return Mounts(tuple(directories), tuple(binds))


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _mount_points(source: str, target: str, targets: Iterable[str]) -> list[Directory]:
    """Give the directories that other mounts below a read-only one need in it."""
    parent = target.rstrip("/") + "/"
    return [Directory(f"{source}/{other.removeprefix(parent).strip('/')}") for other in targets if other.startswith(parent) and other != parent]


class _Planner:
    """The volume plugins, for one pod."""

    def __init__(self, pod: Pod, directory: str, facts: NodeFacts, find: Find) -> None:
        self._pod, self._directory, self._facts, self._find = pod, directory, facts, find
        self._plugins: Mapping[str, Callable[[str, Raw], Volume]] = {
            "emptyDir": lambda name, _: Directory(self._path("empty-dir", name), 0o777),
            "configMap": lambda name, source: self._projection("configmap", name, self._config_map(source, _mode_of(source))),
            "secret": lambda name, source: self._projection("secret", name, self._secret(source, _mode_of(source))),
            "downwardAPI": lambda name, source: self._projection("downward-api", name, self._downward_api(source, _mode_of(source))),
            "projected": lambda name, source: self._projection("projected", name, self._projected(source)),
            "hostPath": lambda _, source: _host_path(source),
            "persistentVolumeClaim": lambda name, source: self._claim(name, source.get("claimName", ""), read_only=bool(source.get("readOnly"))),
            "ephemeral": lambda name, _: self._claim(name, f"{self._pod.name}-{name}", read_only=False),
        }

    def plan(self, raw: Raw) -> Volume:
        """Plan one entry of spec.volumes; one that names no source is an emptyDir, as the API server defaults it."""
        name = raw.get("name", "")
        kind, source = next(((kind, source) for kind, source in raw.items() if kind != "name" and source is not None), ("emptyDir", {}))
        if kind not in self._plugins:
            raise ConfigError(f"klab mounts no volumes of kind {kind}; use one of {', '.join(self._plugins)}")
        return self._plugins[kind](name, source)

    def _path(self, plugin: str, name: str) -> str:
        return f"{self._directory}/kubernetes.io~{plugin}/{name}"

    def _projection(self, plugin: str, name: str, files: Mapping[str, File]) -> Projection:
        return Projection(self._path(plugin, name), {_clean(path): file for path, file in files.items()})

    def _config_map(self, source: Raw, mode: int) -> dict[str, File]:
        optional = bool(source.get("optional"))
        config_map = find_config_map(self._find, self._pod.namespace, source.get("name", ""), optional=optional)
        data = config_map_data(config_map or {})
        return _pick(source, data, mode, missing=None if optional else "configmap references non-existent config key")

    def _secret(self, source: Raw, mode: int) -> dict[str, File]:
        optional = bool(source.get("optional"))
        name = source.get("secretName") or source.get("name", "")  # a volume has the first, a projection's source the second
        secret = find_secret(self._find, self._pod.namespace, name, optional=optional)
        return _pick(source, secret_data(secret or {}), mode, missing=None if optional else "references non-existent secret key")

    def _downward_api(self, source: Raw, mode: int) -> dict[str, File]:
        files = {}
        for item in source.get("items") or ():
            resource = item.get("resourceFieldRef")
            if resource:
                container = container_of(self._pod, resource.get("containerName", ""))
                value = resource_value(container, self._facts, resource.get("resource", ""), str(resource.get("divisor") or ""))
            else:
                value = field_value(self._pod, self._facts, (item.get("fieldRef") or {}).get("fieldPath", ""))
            files[item.get("path", "")] = File(value.encode(), _or(item.get("mode"), mode))
        return files

    def _projected(self, source: Raw) -> dict[str, File]:
        mode = _mode_of(source)
        files: dict[str, File] = {}
        for projection in source.get("sources") or ():
            kind, inner = next((kind, inner) for kind, inner in projection.items() if inner is not None)
            match kind:
                case "configMap":
                    files |= self._config_map(inner, mode)
                case "secret":
                    files |= self._secret(inner, mode)
                case "downwardAPI":
                    files |= self._downward_api(inner, mode)
                case _:
                    raise ConfigError(f"klab projects no {kind}; take it out of the volume's sources")
        return files

    def _claim(self, name: str, claim_name: str, *, read_only: bool) -> Volume:
        claim = self._find("PersistentVolumeClaim", self._pod.namespace, claim_name)
        if claim is None:
            raise self._unprocessed(name, claim_name, f'failed to fetch PVC from API server: persistentvolumeclaims "{claim_name}" not found')
        volume_name = (claim.get("spec") or {}).get("volumeName")
        if not volume_name:
            why = "PVC is not bound; klab provisions no volumes: name a PersistentVolume with hostPath in its spec.volumeName, or use an emptyDir"
            raise self._unprocessed(name, claim_name, why)
        volume = self._find("PersistentVolume", "", volume_name)
        if volume is None:
            raise self._unprocessed(name, claim_name, f'failed to fetch PV from API server: persistentvolumes "{volume_name}" not found')
        spec = volume.get("spec") or {}
        if spec.get("hostPath"):
            host_path = _host_path(spec["hostPath"])
            return HostPath(host_path.path, host_path.type, read_only)
        if spec.get("local"):
            return HostPath(spec["local"].get("path", ""), "Directory", read_only)
        raise self._unprocessed(name, claim_name, f'PersistentVolume "{volume_name}" has neither hostPath nor local, which are what klab mounts')

    def _unprocessed(self, name: str, claim: str, why: str) -> MountError:
        lists = f"unmounted volumes=[{name}], unattached volumes=[], failed to process volumes=[{name}]"
        return MountError([f"Unable to attach or mount volumes: {lists}: error processing PVC {self._pod.namespace}/{claim}: {why}"])


def _host_path(source: Raw) -> HostPath:
    path = source.get("path", "")
    if ".." in path.split("/"):
        raise ConfigError(f"invalid HostPath `{path}`: must not contain '..'")
    return HostPath(path, source.get("type") or "")


def _clean(path: str) -> str:
    """Check and normalise the path of a projected file (AtomicWriter's validatePath)."""
    if not path or path.startswith("/"):
        raise ConfigError(f"invalid path: must be relative path: {path}" if path else 'invalid path: must not be empty: ""')
    if ".." in path.split("/"):
        raise ConfigError(f"invalid path: must not contain '..': {path}")
    if path.startswith(".."):
        raise ConfigError(f"invalid path: must not start with '..': {path}")
    return posixpath.normpath(path)


def _pick(source: Raw, data: Mapping[str, bytes], mode: int, *, missing: str | None) -> dict[str, File]:
    """Choose and rename keys by `items`, all without; a key that is not there is `missing`'s fault, or left out where that is None."""
    items = source.get("items") or ()
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        key = item.get("key", "")
        if key in data:
            files[item.get("path", "")] = File(data[key], _or(item.get("mode"), mode))
        elif missing:
            raise ConfigError(f"{missing}: {key}")
    return files


def _mode_of(source: Raw) -> int:
    return _or(source.get("defaultMode"), DEFAULT_MODE)


def _or(mode: int | None, default: int) -> int:
    return default if mode is None else mode
