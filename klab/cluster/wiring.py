"""Makes what stands in the kernel what the planners want, owner by owner, and repairs what somebody took away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from klab.errors import KlabError
from klab.kernel import netns
from klab.kernel.apply import Applier
from klab.kernel.cni import Plugins
from klab.kernel.observe import observe
from klab.kernel.rundir import RunDir
from klab.linux.cni import CniAttachment
from klab.linux.diff import Operation, diff
from klab.linux.names import qualified
from klab.linux.objects import KernelObject, Key, Netns


@dataclass(slots=True)
class Wiring:
    """Remembers what it was told to build (`owned`), which is what stands as long as nobody else touches it."""

    rundir: RunDir
    owned: dict[str, Sequence[KernelObject]] = field(default_factory=dict)
    _standing: dict[Key, KernelObject] = field(default_factory=dict)
    _holders: Counter[Key] = field(default_factory=Counter)  # how many owners want an object: two Services may share an external IP
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def plugins(self) -> Plugins:
        """Give the attachments that CNI plugins made."""
        return Plugins(self.rundir.netns, self.rundir.cni_results)

    def qualify(self, name: str) -> str:
        """Give a namespace's name under /run/netns."""
        return qualified(self.rundir.lab, name)

    async def sync(self, changes: Mapping[str, Sequence[KernelObject]]) -> dict[str, KlabError]:
        """Give these owners these objects (none: take the owner's away); return the owners for whom it failed, with the reason.

        All is done in one go; should the kernel refuse a part, owner by owner, so that the others do not suffer.
        """
        async with self._lock:
            operations = self._calc(changes)
            if not operations:
                self._remember(changes)
                return {}
            try:
                await asyncio.to_thread(self._carry_out, operations)
            except KlabError as error:
                if len(changes) == 1:
                    self._remember(changes)
                    await asyncio.to_thread(self._look, self._desired())
                    return dict.fromkeys(changes, error)
            else:
                self._remember(changes)
                return {}
            await asyncio.to_thread(self._look, [*self._desired(), *(item for objects in changes.values() for item in objects)])
        failed: dict[str, KlabError] = {}
        for owner, objects in changes.items():
            failed |= await self.sync({owner: objects})
        return failed

    async def repair(self, desired: Mapping[str, Sequence[KernelObject]] | None = None) -> list[Operation]:
        """Read the kernel, rebuild what is missing, remove namespaces that nobody wants; give what had to be done.

        With `desired`, that is what all owners shall have from now on (a control plane that starts adopts what it finds).
        """
        async with self._lock:
            if desired is not None:
                self.owned = dict(desired)
                self._holders = Counter(item.key for item in self._desired())
            wanted = self._desired()
            return await asyncio.to_thread(self._repair, wanted)

    def _repair(self, wanted: Sequence[KernelObject]) -> list[Operation]:
        self._look(wanted)
        names = {item.netns for item in wanted}
        strays = [Netns(netns=name, why="nothing wants it") for name in self.rundir.namespaces() if name not in names]
        operations = diff(wanted, self._standing, strays)
        self._carry_out(operations)
        self.rundir.ensure_links(names)
        self._standing = {item.key: item for item in wanted}
        return operations

    def _calc(self, changes: Mapping[str, Sequence[KernelObject]]) -> list[Operation]:
        former = [item for owner in changes for item in self.owned.get(owner, ())]
        leaving = Counter(item.key for item in former)
        stale = [item for item in former if self._holders[item.key] == leaving[item.key]]
        return diff((item for objects in changes.values() for item in objects), self._standing, stale)

    def _remember(self, changes: Mapping[str, Sequence[KernelObject]]) -> None:
        for owner, objects in changes.items():
            for item in self.owned.pop(owner, ()):
                self._holders[item.key] -= 1
                if not self._holders[item.key]:
                    del self._holders[item.key]
                    self._standing.pop(item.key, None)
            if objects:
                self.owned[owner] = objects
                self._holders.update(item.key for item in objects)
        for objects in changes.values():
            self._standing.update({item.key: item for item in objects})

    def _carry_out(self, operations: Sequence[Operation]) -> None:
        gone = [step.object.netns for step in operations if step.verb == "delete" and isinstance(step.object, Netns)]
        self.rundir.remove_links(gone)
        made = [step.object.netns for step in operations if step.verb == "create" and isinstance(step.object, Netns)]
        netns.remove(self.rundir.netns_path(name) for name in made)  # a file whose namespace somebody unmounted
        Applier(self.rundir.netns, self.qualify, self.plugins).apply(operations)
        self.rundir.ensure_links(made)

    def _look(self, wanted: Sequence[KernelObject]) -> None:
        self._standing = look(self.rundir, wanted)

    def _desired(self) -> list[KernelObject]:
        return [item for objects in self.owned.values() for item in objects]


def look(rundir: RunDir, wanted: Sequence[KernelObject]) -> dict[Key, KernelObject]:
    """Read what stands in all namespaces of a lab; of rules, sysctls and CNI attachments what bears on the wanted ones."""
    standing = observe({name: rundir.netns_path(name) for name in rundir.namespaces()}, wanted)
    plugins = Plugins(rundir.netns, rundir.cni_results)
    attached = (plugins.observe(item) for item in wanted if isinstance(item, CniAttachment) and ("Netns", item.netns) in standing)
    return standing | {item.key: item for item in attached if item}
