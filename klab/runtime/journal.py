"""What a runtime that was killed has to know of its containers when it comes back: specs before anything is started, pids, exits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klab.kernel.journal import FileJournal
from klab.runtime.protocol import ContainerSpec, ContainerStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPACT_AFTER = 5000  # records


@dataclass(slots=True)
class Remembered:
    """A container as the journal tells of it; `process` is the pid, when it started (seconds since boot) and when that was by the clock."""

    spec: ContainerSpec
    process: tuple[int, float, float] | None = None
    status: ContainerStatus | None = None


class ContainerJournal:
    """The runtime's journal; each call is one write, done before it returns."""

    def __init__(self, path: Path) -> None:
        """Open the file and read it into `containers`."""
        self._file = FileJournal(path)
        self._records = 0
        self.containers: dict[str, Remembered] = {}
        for line in self._file.read():
            self._replay(json.loads(line))
        self._compact()

    def start(self, specs: Iterable[ContainerSpec]) -> None:
        """Note containers that are about to be started."""
        specs = list(specs)
        self._append({"start": [spec.to_json() for spec in specs]})
        self.containers.update((spec.id, Remembered(spec)) for spec in specs)

    def run(self, container: str, pid: int, start_time: float, started_at: float) -> None:
        """Note the process of a container."""
        self.containers[container].process = (pid, start_time, started_at)
        self._append({"run": [container, pid, start_time, started_at]})

    def exit(self, status: ContainerStatus) -> None:
        """Note that a container ended."""
        self.containers[status.id].status = status
        self._append({"exit": status.to_json()})

    def remove(self, containers: Iterable[str]) -> None:
        """Forget containers."""
        containers = list(containers)
        for container in containers:
            self.containers.pop(container, None)
        self._append({"remove": containers})

    def _append(self, record: dict[str, Any]) -> None:
        self._file.append(_encode(record))
        self._records += 1
        if self._records > COMPACT_AFTER + 2 * len(self.containers):
            self._compact()

    def _replay(self, record: dict[str, Any]) -> None:
        ((kind, value),) = record.items()
        match kind:
            case "start":
                specs = (ContainerSpec.of(raw) for raw in value)
                self.containers.update((spec.id, Remembered(spec)) for spec in specs)
            case "run":
                self.containers[value[0]].process = (value[1], value[2], value[3])
            case "exit":
                status = ContainerStatus.of(value)
                self.containers[status.id].status = status
            case "remove":
                for container in value:
                    self.containers.pop(container, None)

    def _compact(self) -> None:
        """Write the file anew from what is known now."""
        records: list[dict[str, Any]] = [{"start": [entry.spec.to_json() for entry in self.containers.values()]}]
        records += [{"run": [name, *entry.process]} for name, entry in self.containers.items() if entry.process]
        records += [{"exit": entry.status.to_json()} for entry in self.containers.values() if entry.status]
        self._file.replace([_encode(record) for record in records])
        self._records = len(records)


def _encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
