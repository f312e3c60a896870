"""The control plane with a stop-watch: `python -m traced LAB` is `python -m klab.apiserver LAB` that notes how long its parts take.

When it ends it writes {part: seconds} to the file that KLAB_TRACE names. Parts that run side by side (the runtime starts containers while the
network of others is built) count twice; the processor seconds of the control plane are noted beside them.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from klab.apiserver import bulk, process
from klab.cluster import settle
from klab.cluster.kubelets import Kubelets
from klab.cluster.topology import Topology
from klab.kernel.apply import Applier
from klab.kernel.rundir import RunDir
from klab.linux.objects import Link, Netns
from klab.runtime.client import RuntimeClient

VARIABLE = "KLAB_TRACE"
seconds: Counter[str] = Counter()


def trace(owner: Any, name: str, part: str | Callable[..., str]) -> None:
    """Put a stop-watch around owner.name."""
    work = getattr(owner, name)

    def note(begun: float, arguments: tuple[Any, ...]) -> None:
        seconds[part if isinstance(part, str) else part(*arguments)] += time.perf_counter() - begun

    @wraps(work)
    def plain(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return work(*arguments, **options)
        finally:
            note(begun, arguments)

    @wraps(work)
    async def waiting(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return await work(*arguments, **options)
        finally:
            note(begun, arguments)

    setattr(owner, name, waiting if inspect.iscoroutinefunction(work) else plain)


def stage_part(_applier: Applier, stage: Any, **_options: bool) -> str:
    """Name a stage of the kernel's work as the floor does."""
    first = stage[0].object
    if isinstance(first, Netns):
        return "namespaces"
    return "links" if isinstance(first, Link) else "config"


def main() -> None:
    """Trace, and run the control plane."""
    trace(Applier, "_stage", stage_part)
    trace(bulk, "apply_all", "admission")
    trace(settle, "schedule", "scheduling")
    trace(settle, "give_addresses", "addresses")
    trace(Topology, "plan_pod", "planning")
    trace(Kubelets, "_spec", "pods' files")
    trace(Kubelets, "_conclude", "status")
    trace(RuntimeClient, "start", "runtime")
    try:
        process.run(RunDir(sys.argv[1]))
    finally:
        seconds["processor"] = time.process_time()
        Path(os.environ[VARIABLE]).write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
