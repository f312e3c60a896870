"""`klab exec`: this process becomes the command, inside a pod, a node or the outside client."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from klab.api.pod import Container, Pod
from klab.cluster.sandboxes import container_sandbox, container_variables
from klab.controlplane.store import Store
from klab.errors import KlabError, NotFoundError, UsageError
from klab.kernel.process import process_environment
from klab.kernel.rundir import RunDir
from klab.kernel.sandbox import Sandbox, enter, find_program
from klab.labs.snapshot import PODS, open_snapshot
from klab.linux import names

_OUTSIDE = (names.CLIENT, names.ROUTER, names.FABRIC)
_TERMINAL = ("TERM", "COLUMNS", "LINES", "LANG")


def exec_in(lab: str, target: str, argv: Sequence[str], *, namespace: str, container: str | None) -> NoReturn:
    """Replace this process by `argv` inside the target: POD, pod/POD, node/NODE, or client where no pod has that name."""
    rundir = RunDir(lab)
    store = open_snapshot(rundir)
    kind, _, name = target.rpartition("/")
    pod = _find_pod(store, namespace, name) if kind in {"", "pod", "pods", "po"} else None
    if pod is not None:
        _become_in_pod(rundir, store, pod, argv, container)
    if name in rundir.namespaces() and (kind in {"node", "nodes", "no"} or (not kind and name in _OUTSIDE)):
        sandbox = Sandbox(netns=str(rundir.netns_path(name)), hostname=name, root_dir=str(rundir.path / "nodes" / name))
        _become(sandbox, argv, {}, name, rundir.owner, "")
    raise NotFoundError(f'{"nodes" if kind.startswith("no") else "pods"} "{name}" not found')


def _find_pod(store: Store, namespace: str, name: str) -> Mapping[str, Any] | None:
    try:
        return store.get(PODS, namespace, name)
    except NotFoundError:
        return None


def _become_in_pod(rundir: RunDir, store: Store, obj: Mapping[str, Any], argv: Sequence[str], wanted: str | None) -> NoReturn:
    pod = Pod.of(obj)
    if pod.finished:
        raise KlabError(f"cannot exec into a container in a completed pod; current phase is {pod.phase}")
    container = _choose(pod, wanted)
    statuses = [*obj["status"].get("containerStatuses", ()), *obj["status"].get("initContainerStatuses", ())]
    running = next((status for status in statuses if status["name"] == container.name and "running" in status["state"]), None)
    if running is None:
        raise KlabError(f'container not found ("{container.name}"): it is not running in pod "{pod.name}"; see `klab describe pod {pod.name}`')
    sandbox = container_sandbox(rundir, store, pod, container)
    env = container_variables(store, pod, container)
    _become(sandbox, argv, env, sandbox.hostname, rundir.owner, str(running["containerID"]).removeprefix("klab://"), container.working_dir)


def _choose(pod: Pod, wanted: str | None) -> Container:
    everything = (*pod.containers, *pod.init_containers)
    if wanted is None:
        return pod.containers[0]
    found = next((container for container in everything if container.name == wanted), None)
    if found is None:
        raise UsageError(f"container {wanted} is not valid for pod {pod.name}; it has {', '.join(each.name for each in everything)}")
    return found


def _become(  # noqa: PLR0913, PLR0917 (the parts of an execve)
    sandbox: Sandbox, argv: Sequence[str], env: Mapping[str, str], hostname: str, owner: str, mark: str, working_dir: str = ""
) -> NoReturn:
    terminal = {name: os.environ[name] for name in _TERMINAL if name in os.environ}
    variables = process_environment({**terminal, **env}, hostname, owner, mark)
    enter(sandbox, working_dir)
    os.execve(find_program(argv[0], variables["PATH"]), list(argv), variables)  # noqa: S606 (there is no shell in between)
