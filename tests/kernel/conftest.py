"""A lab's run directory in a folder of its own, and a shell whose /run nobody else sees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from klab.kernel import rundir as rundir_module
from klab.kernel.rundir import RunDir

_SHELL = "mount -t tmpfs none /run && mkdir /run/netns && echo ready && read _"


@pytest.fixture
def rundir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """Give a lab's directory that is none of the machine's; what the test leaves there goes with it."""
    monkeypatch.setattr(rundir_module, "ROOT", tmp_path / "klab")
    monkeypatch.setattr(rundir_module, "_IP_NETNS", tmp_path / "ip-netns")
    made = RunDir("lab")
    made.ensure()
    yield made
    made.remove()


class Shell:
    """Runs command lines where /run is empty but for what they make there."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.netns = Path(f"/proc/{pid}/root/run/netns")

    def type(self, lines: Iterable[str]) -> None:
        """Type lines one after another; the first that fails ends it with its message."""
        command = ["nsenter", "--mount", f"--target={self._pid}", "sh", "-eu"]
        done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Give a shell; its namespaces go with it."""
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", _SHELL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Shell(process.pid)
        process.stdin.close()
