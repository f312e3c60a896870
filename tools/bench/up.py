"""Times `klab up`, a second `up`, and `down` beside the floor, on one machine in one run: up.py [NODESxPODS_PER_NODE...] (1x10 2x50 10x100).

What counts is the ratio to the floor of the same size and moment; seconds differ from machine to machine. Needs root; runs in namespaces and a /run
of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
KLAB = Path(sys.executable).with_name("klab")
INSIDE = "--inside"


def render_scenario(nodes: int, pods: int) -> str:
    """Write what the floor builds as manifests: a Lab with cbr0 and routes, and bare pods pinned to their nodes."""
    cluster = [{"name": f"node{n}", "podCIDR": f"10.{n}.0.0/16", "maxPods": 1000} for n in range(1, nodes + 1)]
    network = {"plugin": "hostgw", "podCIDR": "10.0.0.0/8", "nodeMask": 16}
    services = {"cidr": "172.30.0.0/16"}
    lab = {
        "apiVersion": "klab.dev/v1",
        "kind": "Lab",
        "metadata": {"name": "bench"},
        "spec": {"network": network, "services": services, "dns": {"server": "none"}, "nodes": cluster},
    }
    containers = [{"name": "pause", "image": "pause"}]
    bare = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod{n}-{p}"}, "spec": {"nodeName": f"node{n}", "containers": containers}}
        for n in range(1, nodes + 1)
        for p in range(pods)
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [lab, *bare]})


def time_klab(*arguments: str) -> float:
    """Run klab to its end and give the seconds; what it says is shown only where it fails."""
    begun = time.perf_counter()
    done = subprocess.run([KLAB, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"klab {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - begun


def measure(size: str) -> None:
    """Time one size and print its line."""
    nodes, pods = map(int, size.split("x"))
    floor = json.loads(subprocess.run([sys.executable, HERE / "floor.py", str(nodes), str(pods)], capture_output=True, check=True).stdout)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(render_scenario(nodes, pods))
        file.flush()
        up, again = time_klab("up", file.name), time_klab("up", file.name)
    down = time_klab("down", "bench")
    print(
        f"{nodes:6}{nodes * pods:7}{floor['up']:10.2f}{up:10.2f}{up / floor['up']:8.1f}x{again:12.2f}{floor['down']:12.2f}{down:11.2f}",
        flush=True,
    )


def main() -> None:
    """Move to namespaces of our own, which end with us, and measure there."""
    sizes = [argument for argument in sys.argv[1:] if argument != INSIDE] or ["1x10", "2x50", "10x100"]
    if INSIDE not in sys.argv:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", [*unshare, sys.executable, __file__, INSIDE, *sizes])
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    print(" nodes   pods  floor up   klab up   ratio   second up  floor down  klab down   (seconds)", flush=True)
    for size in sizes:
        measure(size)


if __name__ == "__main__":
    main()
