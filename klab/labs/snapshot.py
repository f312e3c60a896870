"""A look at a lab's store without its control plane: the journal read into memory, never written."""

from __future__ import annotations

from collections.abc import Sequence

from klab.api import resources
from klab.controlplane.store import Store
from klab.kernel.rundir import RunDir

NODES = resources.of("v1", "Node")
PODS = resources.of("v1", "Pod")


class _ReadOnlyJournal:
    """The records of a journal file that another process appends to."""

    def __init__(self, rundir: RunDir) -> None:
        self._path = rundir.journal

    def read(self) -> Sequence[bytes]:
        """Give the whole lines."""
        try:
            return self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def append(self, record: bytes) -> None:
        """Keep nothing: what is planned on a snapshot is never stored."""

    def replace(self, records: Sequence[bytes]) -> None:
        """Keep nothing."""


def open_snapshot(rundir: RunDir) -> Store:
    """Give the store as it is now; writes to it stay in memory."""
    return Store(_ReadOnlyJournal(rundir))
