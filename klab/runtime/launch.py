"""Starts the lab's container runtime as a process of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from klab import errors
from klab.errors import CommandFailedError
from klab.kernel.process import OWNER
from klab.runtime.names import PID_NAME


def ensure_runtime(run_dir: Path, owner: str) -> None:
    """Start the lab's container runtime if it does not run; its socket listens when this returns.

    `owner` is the lab's id, which all of its processes carry. CommandFailedError where it cannot start. Blocks for some tens of milliseconds.
    """
    if _runs(run_dir):
        return
    process = launch_runtime(run_dir, owner)
    _output, words = process.communicate()
    if process.returncode:
        raise CommandFailedError(_command(run_dir), process.returncode, words)


def launch_runtime(run_dir: Path, owner: str) -> subprocess.Popen[str]:
    """Begin to start it, and give the process that ends once the socket listens; where one runs already that process just ends."""
    package = str(Path(errors.__file__).parents[1])
    environment = {**os.environ, OWNER: owner, "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}
    nowhere, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(_command(run_dir), env=environment, stdin=nowhere, stdout=pipe, stderr=pipe, text=True)


def _command(run_dir: Path) -> list[str]:
    return [sys.executable, "-m", "klab.runtime", str(run_dir)]


def _runs(run_dir: Path) -> bool:
    """Say whether a runtime holds the lab's lock."""
    try:
        with (run_dir / PID_NAME).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
