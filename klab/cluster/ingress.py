"""Ingress: what routes depend on, from the store into the files of HAProxy or nginx, which run as a DaemonSet's pods and read them again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klab.api import resources
from klab.api.endpointslice import SERVICE_NAME_LABEL, EndpointSlice
from klab.api.lab import Lab
from klab.api.meta import labels_of, name_of, namespace_of
from klab.api.service import Service
from klab.cluster.allocation import Review
from klab.cluster.certificates import read_certificate
from klab.cluster.reloading import reload_haproxy, reload_nginx
from klab.controlplane.controllers.ingress import CLASSES, INGRESSES, PODS, IngressController
from klab.controlplane.controllers.pods import is_ready
from klab.controlplane.events import Recorder
from klab.controlplane.manager import Controller
from klab.controlplane.store import Event, Store
from klab.errors import KlabError, NotFoundError
from klab.ingress import haproxy, manifests, nginx
from klab.ingress.objects import Ingress, IngressClass
from klab.ingress.rules import Lookup, Problem, Routing, calc_routing, select
from klab.ingress.template import CERTIFICATES
from klab.ingress.template import Controller as Program
from klab.kernel.rundir import RunDir
from klab.runtime.client import RuntimeClient

logger = logging.getLogger(__name__)

DIRECTORY = "ingress"
"""The program's files in the lab's run directory."""

_SERVICES = resources.of("v1", "Service")
_SLICES = resources.of("discovery.k8s.io/v1", "EndpointSlice")
_SECRETS = resources.of("v1", "Secret")
_PROGRAMS: Mapping[str, tuple[Program, Callable[..., dict[str, str]]]] = {
    "haproxy": (haproxy.CONTROLLER, haproxy.render_files),
    "nginx": (nginx.CONTROLLER, nginx.render_files),
}

Use = tuple[str, str, str]  # kind, namespace and name of an object that routes depend on


class Ingresses:
    """Keeps the program's files current; nothing is there before the first Ingress."""

    def __init__(self, store: Store, lab: Lab, rundir: RunDir, runtime: RuntimeClient, recorder: Recorder) -> None:
        """Read what the store has and follow it."""
        self._store, self._lab, self._runtime, self._recorder = store, lab, runtime, recorder
        self._directory, self._pods = rundir.path / DIRECTORY, rundir.pods
        self._used: set[Use] = set()
        self._told: frozenset[Problem] = frozenset()
        self._stale = True
        self._version = 1
        self._loaded = dict.fromkeys(self._running(), 0)
        """Which version of the files a running container has read; those that a former control plane left are told to read them again."""
        store.subscribe(self._hear)

    async def sync(self) -> None:
        """Write what changed, and have it read by the programs that are ready; one that starts reads it by itself."""
        if self._lab.ingress.controller == "none" or not (self._stale or self._loaded or self._used):
            return
        running = self._running()
        self._loaded = {name: self._loaded.get(name, self._version) for name in running}
        if self._stale:
            self._stale = False
            self._version += self._write()
        late = [name for name, ready in running.items() if ready and self._loaded[name] < self._version]
        await asyncio.gather(*map(self._reload, late))

    def _hear(self, events: Sequence[Event]) -> None:
        self._stale = self._stale or any(event.resource in {INGRESSES, CLASSES} or _use_of(event) in self._used for event in events)

    def _write(self) -> bool:
        """Bring the files up to date; say whether one changed."""
        self._used = set()
        routing = calc(self._store, self._lab, self._used)
        if routing is None and not self._directory.exists():
            return False
        self._tell(routing or Routing())
        return _replace_files(self._directory, render(self._lab, routing or Routing()))

    async def _reload(self, container: str) -> None:
        version = self._version
        try:
            if self._lab.ingress.controller == "haproxy":
                uid, name, _attempt = container.split("/")
                await reload_haproxy(self._pods / uid / "containers" / name / "run")
            else:
                await reload_nginx(self._runtime, container)
        except (KlabError, OSError) as error:
            logger.warning("%s could not be told to read its files again: %s", container, error)  # if it ended, the next one reads them
        self._loaded[container] = version

    def _running(self) -> dict[str, bool]:
        """Give the program's running containers by their runtime id, and whether each is ready."""
        if self._lab.ingress.controller == "none":
            return {}
        labels = manifests.labels_of(self._lab.ingress.controller).items()
        found = {}
        for pod in self._store.list(PODS, manifests.NAMESPACE):
            if labels <= labels_of(pod).items():
                for status in pod["status"].get("containerStatuses") or ():
                    if "running" in status["state"]:
                        found[str(status["containerID"]).removeprefix("klab://")] = is_ready(pod)
        return found

    def _tell(self, routing: Routing) -> None:
        """Record the problems that are new as events of their Ingresses."""
        problems, self._told = self._told, frozenset(routing.problems)
        for problem in routing.problems:
            if problem not in problems:
                ingress = self._store.get(INGRESSES, problem.namespace, problem.name)
                self._recorder.record(ingress, "Warning", problem.reason, problem.message, "ingress-controller")


@dataclass(frozen=True, slots=True)
class DefaultIngressClass:
    """Admission: a new Ingress that names no class gets the default one (plugin/pkg/admission/network/defaultingressclass).

    That is the newest class with the annotation; where there is no class yet, the lab's own, which comes with the first Ingress.
    """

    store: Store
    lab: Lab

    def __call__(self, review: Review, obj: dict[str, Any]) -> dict[str, Any]:
        """Give the Ingress with its class; anything else as it is."""
        if review.resource != INGRESSES or review.subresource or review.old is not None or Ingress.of(obj).class_name:
            return obj
        classes = sorted((one.meta.creation_timestamp, one.meta.name) for one in map(IngressClass.of, self.store.list(CLASSES)) if one.default)
        own = self.lab.ingress.controller
        name = classes[-1][1] if classes else "" if own == "none" or self._has(own) else own
        return {**obj, "spec": {**obj["spec"], "ingressClassName": name}} if name else obj

    def _has(self, name: str) -> bool:
        return any(name_of(one) == name for one in self.store.list(CLASSES))


def make_ingress_controllers(store: Store, lab: Lab, rundir: RunDir) -> list[Controller]:
    """Give the controller that looks after the objects of ingress, none where the lab has none."""
    if lab.ingress.controller == "none":
        return []
    program, _ = _PROGRAMS[lab.ingress.controller]
    return [IngressController(store, manifests.plan_class(program), manifests.plan_daemon_set(program, str(rundir.path / DIRECTORY)))]


def calc(store: Store, lab: Lab, used: set[Use], only: tuple[str, str] | None = None) -> Routing | None:
    """Work out what the lab's controller serves, None for nothing; `used` takes note of what that depends on, `only` is one Ingress' place."""
    if lab.ingress.controller == "none":
        return None
    program, _ = _PROGRAMS[lab.ingress.controller]
    ingresses = [Ingress.of(obj) for obj in store.list(INGRESSES) if only in {None, (namespace_of(obj), name_of(obj))}]
    served = select(ingresses, map(IngressClass.of, store.list(CLASSES)), program.class_controller)
    return calc_routing(served, _Lookup(store, used).functions()) if served else None


def explain_ingress(store: Store, lab: Lab, place: tuple[str, str]) -> list[tuple[str, list[str]]]:
    """Say by which files an Ingress alone would be served: a reason and lines of shell each; NotFoundError where the lab's controller does not."""
    routing = calc(store, lab, set(), place)
    title = "/".join(place)
    if routing is None:
        raise NotFoundError(f'ingress "{title}" is not served: its class is none of the lab\'s controller ({lab.ingress.controller})')
    program, _ = _PROGRAMS[lab.ingress.controller]
    found = []
    for name, text in render(lab, routing).items():
        path = f"{program.directory}/{name}"
        lines = [f"install -D -m 600 CERTIFICATE_AND_KEY.pem {path}"] if name.startswith(f"{CERTIFICATES}/") else _heredoc(path, text)
        found.append((f"{program.name} on every node serves ingress {title} by this", lines))
    return found


def _heredoc(path: str, text: str) -> list[str]:
    return [f"cat > {path} <<'EOF'", *text.rstrip().split("\n"), "EOF"]


def render(lab: Lab, routing: Routing) -> dict[str, str]:
    """Give the files of the lab's program."""
    return _PROGRAMS[lab.ingress.controller][1](routing, ipv6=any(address.version == 6 for node in lab.nodes for address in node.addresses))  # noqa: PLR2004


@dataclass(slots=True)
class _Lookup:
    """Finds in the store what Ingresses refer to, and takes note of it, found or not."""

    store: Store
    used: set[Use]
    slices: dict[tuple[str, str], list[EndpointSlice]] = field(default_factory=dict)

    def functions(self) -> Lookup:
        for obj in self.store.list(_SLICES):
            if service := labels_of(obj).get(SERVICE_NAME_LABEL):
                self.slices.setdefault((namespace_of(obj), service), []).append(EndpointSlice.of(obj))
        return Lookup(self._service, self._slices, self._certificate)

    def _service(self, namespace: str, name: str) -> Service | None:
        obj = self._find(_SERVICES, namespace, name)
        return Service.of(obj) if obj else None

    def _slices(self, namespace: str, service: str) -> Iterable[EndpointSlice]:
        self.used.add(("EndpointSlice", namespace, service))
        return self.slices.get((namespace, service), ())

    def _certificate(self, namespace: str, name: str) -> str:
        obj = self._find(_SECRETS, namespace, name)
        if obj is None:
            raise KlabError(f'secret "{namespace}/{name}" not found; make it with `kubectl create secret tls`')
        return read_certificate(obj)

    def _find(self, resource: resources.Resource, namespace: str, name: str) -> dict[str, Any] | None:
        self.used.add((resource.kind, namespace, name))
        try:
            return self.store.get(resource, namespace, name)
        except NotFoundError:
            return None


def _use_of(event: Event) -> Use:
    name = labels_of(event.object).get(SERVICE_NAME_LABEL, "") if event.resource == _SLICES else name_of(event.object)
    return event.resource.kind, namespace_of(event.object), name


def _replace_files(directory: Path, files: Mapping[str, str]) -> bool:
    """Make the files of a directory these, each replaced as a whole, what others refer to first; say whether that changed anything."""
    changed = False
    for name, text in sorted(files.items(), key=lambda item: -item[0].count("/")):
        file = directory / name
        with suppress(FileNotFoundError):
            if file.read_text() == text:
                continue
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.rename(file)
        changed = True
    for file in [file for file in directory.rglob("*") if file.is_file() and str(file.relative_to(directory)) not in files]:
        file.unlink()
        changed = True
    return changed
