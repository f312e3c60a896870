"""Background processes of a lab: started with its mark, apart from the terminal, and waited for until they say that they are ready."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from klab.errors import KlabError
from klab.kernel.process import OWNER

READY_VARIABLE = "KLAB_READY_FD"
_READY = b"ready"


def start(module: str, arguments: Sequence[str], owner: str, log: Path) -> None:
    """Run `python -m module arguments` as a daemon whose output goes to `log`, and wait until it calls `tell_ready`.

    KlabError, with its words, if it ends first.
    """
    readable, writable = os.pipe()
    try:
        with log.open("ab") as output:
            subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                env={**os.environ, OWNER: owner, READY_VARIABLE: str(writable)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[writable],
            )
        os.close(writable)
        writable = -1
        told = b"".join(iter(lambda: os.read(readable, 1 << 16), b""))
    finally:
        os.close(readable)
        if writable >= 0:
            os.close(writable)
    if told != _READY:
        raise KlabError(told.decode() or f"{module} did not start; its log is {log}:\n{_last_lines(log)}")


def tell_ready(error: str = "") -> None:
    """Tell the process that started this one that all is well, or what is not."""
    descriptor = int(os.environ.pop(READY_VARIABLE, "-1"))
    if descriptor >= 0:
        os.write(descriptor, error.encode() or _READY)
        os.close(descriptor)


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
