"""A throw-away machine for each test: network, mount, host name and process namespaces of its own and an empty /run.

Labs in it meet neither those of the host nor each other, and end with its last process whatever the test did.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Machine:
    """The namespaces of the process `pid`; commands start in `folder`, where `scenarios` lies."""

    pid: int
    folder: Path

    def run(self, command: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a line of shell; the exit code is not checked."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", f"--wdns={self.folder}"]
        environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb"}
        shell = ["bash", "-euo", "pipefail", "-c", command]
        return subprocess.run([*enter, *shell], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, env=environ)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with nothing up in it but its loopback."""
    (tmp_path / "scenarios").symlink_to(REPOSITORY / "scenarios")
    # The shell is the first process: it adopts and reaps what others leave, and its end is everybody's.
    first = "mount -t tmpfs tmpfs /run && hostname localhost && ip link set lo up && echo ready && read -r"
    unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", first]
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        yield Machine(int(child), tmp_path)
        process.stdin.close()
