"""Labs under measurement: `klab` as a person runs it, with wall-clock and processor seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from klab.kernel.process import observe_owned
from klab.kernel.rundir import RunDir

_TICKS = os.sysconf("SC_CLK_TCK")
_COMMAND = (sys.executable, "-c", "from klab.cli.main import run; run()")


class Spent(NamedTuple):
    """Seconds by the clock, and processor seconds of the command and of the lab's own processes."""

    wall: float
    command: float
    lab: float

    @property
    def cpu(self) -> float:
        """All processor seconds."""
        return self.command + self.lab


def klab(lab: str, *arguments: str | Path) -> Spent:
    """Run `klab --lab LAB ARGUMENTS`; CalledProcessError, with its words on stderr, where it fails."""
    argv = [*_COMMAND, "--lab", lab, *map(str, arguments)]
    before = lab_seconds(lab)
    begun = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        words = process.stderr.read() if process.stderr else ""
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(words)
        raise subprocess.CalledProcessError(process.returncode, argv, stderr=words)
    return Spent(wall, used.ru_utime + used.ru_stime, max(0.0, lab_seconds(lab) - before))


def lab_seconds(lab: str) -> float:
    """Give the processor seconds that the lab's living processes, and the children that they waited for, have used so far."""
    owner = RunDir(lab).owner
    return sum(process_seconds(pid) for pid in observe_owned(owner)) if owner else 0.0


def process_seconds(pid: int) -> float:
    """Give the processor seconds of a process and of its children that have ended; 0 where it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    return 0.0


def write_manifests(path: Path, objects: Sequence[Mapping[str, Any]]) -> Path:
    """Write a file of many documents, as a person would."""
    with path.open("w") as file:
        yaml.dump_all(objects, file, Dumper=yaml.CSafeDumper, sort_keys=False)
    return path


def lab_manifest(name: str, nodes: int, plugin: str, proxy: str = "iptables") -> dict[str, Any]:
    """Give a Lab of so many nodes, each with a /23 for its pods."""
    spec = {
        "network": {"plugin": plugin, "podCIDR": "10.244.0.0/16", "nodeMask": 23},
        "services": {"cidr": "10.96.0.0/12", "proxy": proxy},
        "nodes": [{"name": f"node{number}"} for number in range(1, nodes + 1)],
    }
    return {"apiVersion": "klab.dev/v1", "kind": "Lab", "metadata": {"name": name}, "spec": spec}


def pod_manifest(name: str, node: str) -> dict[str, Any]:
    """Give a pod of a built-in image on a node."""
    container = {"name": "main", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec"], "ports": [{"containerPort": 8080}]}
    spec = {"nodeName": node, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
