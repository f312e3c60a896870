"""How long `klab up scenarios/hello` takes and what of it is the start of programs; and the commands that a person types all day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from labs import Spent, klab
from report import Table

from klab.labs import up

LAB = "bench-start"
_HELLO = Path(__file__).parents[2] / "scenarios" / "hello"


def measure(repeats: int) -> list[Table]:
    """Measure each a few times and keep the fastest."""
    imports = Table("the start of programs, seconds (ratio to `python -c pass`)", ["", "wall"])
    bare = _python("pass", repeats)
    imports.add("python -c pass", f"{bare:.3f}")
    for name, module in (
        ("klab (the command line)", "klab.cli.main"),
        ("control plane", "klab.apiserver.process"),
        ("runtime", "klab.runtime.server"),
    ):
        seconds = _python(f"import {module}", repeats)
        imports.add(f"import {name}", f"{seconds:.3f} ({seconds / bare:.1f})")
    commands = Table("scenarios/hello, seconds", ["", "wall", "processor, command", "processor, lab"])
    runs: dict[str, list[Spent]] = {}
    for _ in range(repeats):
        try:
            for name, arguments in _COMMANDS.items():
                runs.setdefault(name, []).append(klab(LAB, *arguments))
        finally:
            up.down(LAB)
    for name, spent in runs.items():
        fastest = min(spent, key=lambda run: run.wall)
        commands.add(name, fastest.wall, fastest.command, fastest.lab)
    return [imports, commands]


_COMMANDS: dict[str, Sequence[str | Path]] = {
    "klab --help": ("--help",),
    "klab up": ("up", _HELLO),
    "klab up again": ("up", _HELLO),
    "klab get pods": ("get", "pods"),
    "klab exec client true": ("exec", "client", "--", "true"),
    "klab down": ("down", LAB),
}


def _python(code: str, repeats: int) -> float:
    found = []
    for _ in range(2 * repeats):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "SSL_CERT_FILE": os.devnull})  # as klab.apiserver does
        found.append(time.perf_counter() - begun)
    return min(found)
