"""Logs of containers: the file that the runtime writes, whole or as it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

from klab.errors import UsageError
from klab.kernel.inotify import watching
from klab.kernel.rundir import RunDir

_PIECE = 1 << 16


class LogOptions(Protocol):
    """PodLogOptions, as klab.apiserver.rest has them."""

    @property
    def container(self) -> str: ...  # noqa: D102
    @property
    def follow(self) -> bool: ...  # noqa: D102
    @property
    def previous(self) -> bool: ...  # noqa: D102
    @property
    def timestamps(self) -> bool: ...  # noqa: D102
    @property
    def tail_lines(self) -> int | None: ...  # noqa: D102
    @property
    def since_seconds(self) -> int | None: ...  # noqa: D102
    @property
    def limit_bytes(self) -> int | None: ...  # noqa: D102


def make_logs(rundir: RunDir, is_running: Callable[[str], bool]) -> Callable[[dict[str, Any], Any], AsyncIterator[bytes]]:
    """Give the function that serves a pod's logs; `is_running` tells of a container by its runtime id, whose log is touched when it ends."""

    def logs(pod: dict[str, Any], options: LogOptions) -> AsyncIterator[bytes]:
        return _read(rundir, pod, options, is_running)

    return logs


async def _read(rundir: RunDir, pod: dict[str, Any], options: LogOptions, is_running: Callable[[str], bool]) -> AsyncIterator[bytes]:
    if options.timestamps or options.since_seconds is not None:
        raise UsageError("the logs of a lab carry no times: leave out --timestamps and --since, or use --tail")
    number = _find(pod, options)
    path = rundir.pods / pod["metadata"]["uid"] / "logs" / f"{options.container}.{number}.log"
    content = _read_whole(path)
    position = len(content)
    if options.tail_lines is not None:
        content = b"".join(content.splitlines(keepends=True)[-options.tail_lines :]) if options.tail_lines else b""
    yield content if options.limit_bytes is None else content[: options.limit_bytes]
    if options.follow and not options.previous:
        name = f"{pod['metadata']['uid']}/{options.container}/{number}"
        async for piece in _follow(path, position, lambda: is_running(name)):
            yield piece


def _read_whole(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def _follow(path: Path, position: int, goes_on: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Give what is added to a file (that may still have to come), until its writer has ended."""
    async with watching(path.parent) as changed:
        while True:
            changed.clear()
            last = not goes_on()
            while piece := _read_at(path, position):
                position += len(piece)
                yield piece
            if last:
                return
            await changed.wait()


def _read_at(path: Path, position: int) -> bytes:
    """Read on in a file; nothing where it is not there yet."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(position)
        return file.read(_PIECE)


def _find(pod: dict[str, Any], options: LogOptions) -> int:
    """Give the number of the attempt whose log is meant."""
    name = pod["metadata"]["name"]
    status = next((status for status in _statuses(pod) if status["name"] == options.container), None)
    if status is None or not status.get("containerID"):
        raise UsageError(f'container "{options.container}" in pod "{name}" is waiting to start: {_waiting(status)}')
    number = int(status["containerID"].rsplit("/", 1)[1]) - bool(options.previous)
    if number < 0:
        raise UsageError(f'previous terminated container "{options.container}" in pod "{name}" not found')
    return number


def _waiting(status: dict[str, Any] | None) -> str:
    return str(((status or {}).get("state") or {}).get("waiting", {}).get("reason", "ContainerCreating"))


def _statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
