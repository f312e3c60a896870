"""All containers of a lab: started and stopped in batches, remembered in the journal, taken over from a runtime that was killed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from klab.errors import KlabError, NotFoundError
from klab.kernel.process import observe_containers, start_time
from klab.kernel.rootfs import remove_rootfs
from klab.kubelet.images.behaviour import Launch
from klab.kubelet.images.catalog import lookup, plan_program
from klab.runtime.containers import BuiltinContainer, Container, ProcessContainer
from klab.runtime.effects import run_program
from klab.runtime.image_files import ensure_images
from klab.runtime.journal import ContainerJournal, Remembered
from klab.runtime.names import JOURNAL_NAME
from klab.runtime.nameservers import NameServers
from klab.runtime.processes import Reaper
from klab.runtime.protocol import EXITED, RUNNING, ContainerSpec, ContainerStatus, ExecResult
from klab.runtime.sockets import open_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Runtime:
    """The containers of a lab; `on_exit` hears of every end."""

    def __init__(self, run_dir: Path, owner: str, on_exit: Callable[[ContainerStatus], None]) -> None:
        """Read the journal in `run_dir`; `owner` is the lab's mark in the environment of its processes."""
        self._run_dir = run_dir
        self._journal = ContainerJournal(run_dir / JOURNAL_NAME)
        self._owner = owner
        self._on_exit = on_exit
        self._reaper = Reaper()
        self._containers: dict[str, Container] = {}
        self.name_servers = NameServers()

    async def adopt(self) -> None:
        """Take over what the journal tells of: ended containers as they are, living processes, built-in images with their sockets opened again."""
        marked: dict[str, list[int]] | None = None
        builtins: list[BuiltinContainer] = []
        adoptions = []
        for entry in list(self._journal.containers.values()):
            container = self._make(entry.spec)
            self._containers[entry.spec.id] = container
            if entry.status:
                container.restore(entry.status)
            elif isinstance(container, BuiltinContainer):
                builtins.append(container)
            elif isinstance(container, ProcessContainer):
                if entry.process is None and marked is None:
                    marked = await asyncio.to_thread(observe_containers)
                adoptions.append(container.adopt(*_find_process(entry, marked or {})))
        await asyncio.gather(self._serve(builtins), *adoptions)

    async def start(self, specs: Sequence[ContainerSpec]) -> list[ContainerStatus]:
        """Start containers and tell how that went; one that is known already is left as it is."""
        fresh = [spec for spec in {spec.id: spec for spec in specs}.values() if spec.id not in self._containers]
        if fresh:
            self._journal.start(fresh)
            await self._prepare_files(fresh)
            made = [self._make(spec) for spec in fresh]
            self._containers.update((container.spec.id, container) for container in made)
            await asyncio.gather(
                self._serve([container for container in made if isinstance(container, BuiltinContainer)]),
                *(self._launch(container) for container in made if isinstance(container, ProcessContainer)),
            )
        started = [self._containers[spec.id] for spec in specs]
        for container in started:
            await container.settled.wait()
        return [container.status for container in started]

    async def stop(self, containers: Sequence[str], grace_seconds: float) -> list[ContainerStatus]:
        """End containers, politely within the grace; NotFoundError where one is not known."""
        stopping = [self._get(name) for name in containers]
        await asyncio.gather(*(container.stop(grace_seconds) for container in stopping))
        return [container.status for container in stopping]

    async def remove(self, containers: Sequence[str]) -> None:
        """Forget containers, with their processes and files; unknown ones are fine."""
        known = [container for name in containers if (container := self._containers.get(name))]
        await asyncio.gather(*(container.stop(0) for container in known))
        await self._reaper.sweep(container.spec.id for container in known)
        for container in known:
            self._containers.pop(container.spec.id, None)
        used = {container.spec.sandbox.root_dir for container in self._containers.values()}
        await self._remove_files({container.spec.sandbox.root_dir for container in known} - used)
        if known:
            self._journal.remove(container.spec.id for container in known)

    def list(self) -> list[ContainerStatus]:
        """Give the status of all containers."""
        return [container.status for container in self._containers.values()]

    async def exec(self, container: str, argv: Sequence[str], seconds: float | None) -> ExecResult:
        """Run a program in a running container; NotFoundError where it is not known, KlabError where it does not run."""
        found = self._get(container)
        if found.status.state != RUNNING:
            raise KlabError(f'container "{container}" is {found.status.state}, and programs run in running ones only')
        return await run_program(found.spec, argv, seconds, self._reaper, self._owner)

    async def shut_down(self, grace_seconds: float) -> None:
        """Stop and remove everything."""
        names = list(self._containers)
        await self.stop(names, grace_seconds)
        await self.remove(names)

    def _make(self, spec: ContainerSpec) -> Container:
        plan = plan_program(spec.image, spec.argv or (), () if spec.argv else spec.args)
        spec = replace(spec, argv=plan.argv, args=plan.args)
        if plan.argv is None:
            return BuiltinContainer(spec, self._reaper, self._owner, self._ended, self.name_servers)
        return ProcessContainer(spec, self._reaper, self._owner, self._ended)

    async def _prepare_files(self, specs: Sequence[ContainerSpec]) -> None:
        """Give each container its image's files; what a former container left in the same directory goes."""
        former = {container.spec.sandbox.root_dir for container in self._containers.values() if container.status.state == EXITED}
        await self._remove_files(former & {spec.sandbox.root_dir for spec in specs})
        await asyncio.to_thread(ensure_images, self._run_dir, [(spec.image, spec.sandbox.root_dir) for spec in specs])

    async def _remove_files(self, directories: Iterable[str]) -> None:
        """Unmount and remove containers' directories side by side, as each unmounting waits for the kernel's readers (RCU)."""
        present = await asyncio.to_thread(lambda: [directory for directory in directories if Path(directory).exists()])
        await asyncio.gather(*(asyncio.to_thread(remove_rootfs, directory) for directory in present))

    def _get(self, name: str) -> Container:
        container = self._containers.get(name)
        if container is None:
            raise NotFoundError(f'container "{name}" is not there; `list` tells which are')
        return container

    def _ended(self, status: ContainerStatus) -> None:
        if status.id in self._journal.containers:
            self._journal.exit(status)
        self._on_exit(status)

    async def _serve(self, containers: Sequence[BuiltinContainer]) -> None:
        """Start built-in images, all their sockets at once."""
        serving: list[BuiltinContainer] = []
        for container in containers:
            spec = container.spec
            try:
                container.behaviour = lookup(Launch(spec.image, spec.args, spec.ports, spec.env))
            except KlabError as error:
                container.fail(str(error))
            else:
                serving.append(container)
        if serving:
            wishes = [(container.spec.sandbox.netns, container.behaviour.listeners) for container in serving]
            for container, sockets in zip(serving, await asyncio.to_thread(open_sockets, wishes), strict=True):
                await container.serve(sockets)

    async def _launch(self, container: ProcessContainer) -> None:
        name = container.spec.id
        await container.start(lambda pid, since_boot, clock: self._journal.run(name, pid, since_boot, clock))


def _find_process(entry: Remembered, marked: dict[str, list[int]]) -> tuple[int, float]:
    """Give the pid of a remembered container's main process, 0 where it is gone, and when it was started."""
    if entry.process:
        pid, since_boot, clock = entry.process
        try:
            return (pid if start_time(pid) == since_boot else 0), clock
        except ProcessLookupError:
            return 0, clock
    # the former runtime was killed between starting the program and noting its pid: the eldest process with the mark is it
    return min(marked.get(entry.spec.id, [0])), 0.0
