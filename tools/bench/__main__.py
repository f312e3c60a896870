"""`make bench`: figures of this machine at this moment; ratios within one run say more than seconds.

Needs root; runs in namespaces and with a /run of its own, so that it neither sees nor touches the labs of this machine.

Usage: python tools/bench [start|pods|services ...] [--repeat N] [--pods N] [--services N ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pods
import services
import start
from report import Table

_TOPICS = ("start", "pods", "services")
_INSIDE = "KLAB_BENCH_INSIDE"


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topics", nargs="*", metavar="start|pods|services", help="what to measure (all)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the fastest counts (3)")
    parser.add_argument("--pods", type=int, default=1000, help="pods on ten nodes (1000)")
    parser.add_argument("--services", type=int, nargs="*", default=[10, 100, 1000, 10000], help="numbers of services (10 100 1000 10000)")
    chosen = parser.parse_args()
    if unknown := set(chosen.topics) - set(_TOPICS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(_TOPICS)}")
    if os.environ.get(_INSIDE) is None:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable]
        os.execvpe(unshare[0], [*unshare, *sys.argv], {**os.environ, _INSIDE: ""})
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    with TemporaryDirectory(prefix="klab-bench-") as scratch:
        for table in _measure(chosen, Path(scratch)):
            print(table.render(), flush=True)


def _measure(chosen: argparse.Namespace, scratch: Path) -> Iterator[Table]:
    topics = chosen.topics or _TOPICS
    if "start" in topics:
        yield from start.measure(chosen.repeat)
    if "pods" in topics:
        yield from pods.measure(scratch, chosen.pods, chosen.repeat)
    if "services" in topics:
        for number in chosen.services:
            yield services.measure(scratch, number, chosen.repeat)


if __name__ == "__main__":
    main()
