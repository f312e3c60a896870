"""The lab's lock: one holder at a time, whoever takes the file and the directory away between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOLDER = """
import os, sys
from pathlib import Path
from klab.kernel import rundir
rundir.ROOT = Path(sys.argv[1]) / "klab"
for turn in range(100):
    lab = f"lab{turn % 2}"
    with rundir.RunDir(lab).locked():
        held = Path(sys.argv[1]) / lab
        os.close(os.open(held, os.O_CREAT | os.O_EXCL))  # fails where another one holds the lock too
        held.unlink()
"""


def test_a_lock_has_one_holder_and_leaves_nothing(tmp_path: Path) -> None:
    holders = [subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)]) for _ in range(4)]
    assert [holder.wait() for holder in holders] == [0, 0, 0, 0]
    assert list(tmp_path.iterdir()) == []
