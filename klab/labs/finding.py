"""Which labs there are, and which one is meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from klab.apiserver.client import Client
from klab.errors import KlabError, NotFoundError, UsageError
from klab.kernel.rundir import RunDir, observe_labs
from klab.labs.snapshot import NODES, PODS, open_snapshot


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab of this machine; `running` says whether its control plane lives."""

    name: str
    path: Path
    running: bool
    nodes: int
    pods: int


def list_labs() -> list[LabStatus]:
    """Give all labs, by name."""
    return [_status(name) for name in observe_labs()]


def find_lab(name: str | None) -> LabStatus:
    """Give the lab of that name, or the only one."""
    names = observe_labs()
    if name is None and len(names) > 1:
        raise UsageError(f"several labs are up: {', '.join(names)}; say which with --lab NAME")
    if name is None and names:
        return _status(names[0])
    if name not in names:
        known = f"; there is {', '.join(names)}" if names else ""
        raise NotFoundError(f"{f'no lab is named {name!r}' if name else 'no lab is up'}{known}: bring one up with `klab up FILE`")
    return _status(str(name))


def client(lab: LabStatus) -> Client:
    """Give a client of the lab's API server; KlabError where it does not run."""
    if not lab.running:
        raise KlabError(f'the control plane of lab "{lab.name}" does not run: `klab up FILE` starts it again, traffic goes on meanwhile')
    return Client(RunDir(lab.name).api_socket)


def _status(name: str) -> LabStatus:
    rundir = RunDir(name)
    store = open_snapshot(rundir)
    return LabStatus(name, rundir.path, bool(rundir.control_process()), len(store.list(NODES)), len(store.list(PODS)))
