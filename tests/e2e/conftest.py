"""Throw-away machines for the tests: network, mount, host name and process namespaces of its own and an empty /run.

Labs in it meet neither those of the host nor each other, and end with its last process whatever the test did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def write(self, name: str, text: str) -> str:
        """Put a file into the machine's folder and give its name."""
        (self.folder / name).write_text(text)
        return name

    def check(self, command: str, timeout: float = 100) -> str:
        """Run a line of shell that must end well; give what it says on stdout."""
        result = self.run(command, timeout)
        assert result.returncode == 0, f"$ {command}\n{result.stdout}{result.stderr}"
        return result.stdout

    def json(self, command: str) -> Any:
        """Run a line of shell that must end well and print JSON."""
        return json.loads(self.check(command))


@contextmanager
def open_machine(folder: Path) -> Iterator[Machine]:
    """Give a machine with nothing up in it but its loopback."""
    (folder / "scenarios").symlink_to(REPOSITORY / "scenarios")
    # The shell is the first process: it adopts and reaps what others leave, and its end is everybody's.
    # `sudo klab` is the klab under test, whichever clone installed /usr/local/bin/klab last.
    klab = Path(sys.executable).with_name("klab")
    sudo_klab = f"{{ ! test -e /usr/local/bin/klab || mount --bind {klab} /usr/local/bin/klab; }}"
    first = f"mount -t tmpfs tmpfs /run && {sudo_klab} && hostname localhost && ip link set lo up && echo ready && read -r"
    unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", first]
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        yield Machine(int(child), folder)
        process.stdin.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Give each test a machine of its own."""
    with open_machine(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give the tests of a file one machine, for labs that they only look at."""
    with open_machine(tmp_path_factory.mktemp("machine")) as opened:
        yield opened
