"""1000 pods on 10 nodes: `klab up`, again `klab up`, `klab down`, beside the floor in the same run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import traced
from labs import Spent, klab, lab_manifest, lab_seconds, pod_manifest, write_manifests
from report import Table

from klab.api.check import read
from klab.kernel import daemon
from klab.kernel.process import wait_exit
from klab.kernel.rundir import RunDir
from klab.labs import up

LAB = "bench-pods"
NODES = 10
_PARTS = ("namespaces", "links", "config")


def measure(scratch: Path, pods: int, repeats: int) -> list[Table]:
    """Measure `pods` pods with the fastest of `repeats` runs of each; the floor runs before each of them."""
    times = Table(f"{pods} pods on {NODES} nodes, seconds (ratio to the floor)", ["", "wall", "processor", "up again", "down"])
    parts = Table("where the wall-clock time of `klab up` goes (parts overlap)", ["", *_PARTS])
    floors, ups = [], {}
    for _ in range(repeats):
        for plugin in ("hostgw", "vxlan"):
            floors.append(_floor(pods))
            ups.setdefault(plugin, []).append(_up(scratch, plugin, pods))
    floor = {name: min(run[name] for run in floors) for name in floors[0]}
    times.add("floor", floor["total"], floor["cpu"], "", floor["down"])
    parts.add("floor", *(floor[part] for part in _PARTS))
    for plugin, runs in ups.items():
        first = min((run[0] for run in runs), key=lambda spent: spent.wall)
        again = min(run[1].wall for run in runs)
        down = min(run[2].wall for run in runs)
        times.add(
            f"klab up, {plugin}",
            f"{first.wall:.2f} ({first.wall / floor['total']:.2f})",
            f"{first.cpu:.2f} ({first.cpu / floor['cpu']:.2f})",
            f"{again:.2f}",
            f"{down:.2f}",
        )
    for plugin in ups:
        noted = _trace(scratch, plugin, pods)
        parts.columns += [name for name in noted if name not in parts.columns]
        parts.add(f"klab up, {plugin}", *(noted.get(name, 0.0) for name in parts.columns[1:]))
    return [times, parts]


def manifest(scratch: Path, plugin: str, pods: int) -> Path:
    """Write the scenario."""
    spread = [pod_manifest(f"pod-{number}", f"node{number % NODES + 1}") for number in range(pods)]
    return write_manifests(scratch / f"{plugin}-{pods}.yaml", [lab_manifest(LAB, NODES, plugin), *spread])


def _floor(pods: int) -> dict[str, float]:
    script = Path(__file__).with_name("floor.py")
    done = subprocess.run([sys.executable, script, str(NODES), str(pods // NODES)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _up(scratch: Path, plugin: str, pods: int) -> tuple[Spent, Spent, Spent]:
    file = manifest(scratch, plugin, pods)
    try:
        return klab(LAB, "up", file), klab(LAB, "up", file), klab(LAB, "down")
    finally:
        up.down(LAB)


def _trace(scratch: Path, plugin: str, pods: int) -> dict[str, float]:
    """Bring it up once more under the stop-watch."""
    notes = scratch / "trace.json"
    rundir = RunDir(LAB)
    with _traced(notes):
        try:
            up.up(read([str(manifest(scratch, plugin, pods))]), on_progress=lambda _done, _total, _what: None)
            everything = lab_seconds(LAB)
            control = rundir.control_process()
            os.kill(control, signal.SIGTERM)
            wait_exit(control, 30)
        finally:
            up.down(LAB)
    noted: dict[str, float] = json.loads(notes.read_text())
    return {**noted, "runtime's processor": max(0.0, everything - noted["processor"])}


@contextmanager
def _traced(notes: Path) -> Iterator[None]:
    """Have control planes started with a stop-watch."""
    start = daemon.start
    here = str(Path(__file__).parent)
    with (
        mock.patch.dict(os.environ, {"PYTHONPATH": here, traced.VARIABLE: str(notes)}),
        mock.patch.object(daemon, "start", lambda module, *rest: start("traced" if module == "klab.apiserver" else module, *rest)),
    ):
        yield
