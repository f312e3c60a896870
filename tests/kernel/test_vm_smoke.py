"""The kernel under the tests does what `needs` promises: packets cross an ipip tunnel, ip_vs answers for a VIP.

left 192.0.2.1 ── veth ── 192.0.2.2 right          tunl0: left 198.51.100.1, right 198.51.100.2
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

LEFT, RIGHT = "klab-smoke-left", "klab-smoke-right"


def run(command: str) -> str:
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


@pytest.fixture
def wire() -> Iterator[None]:
    """Two namespaces joined by a veth pair."""
    for name in (LEFT, RIGHT):
        run(f"ip netns add {name}")
        run(f"ip -n {name} link set lo up")
    try:
        run(f"ip link add eth0 netns {LEFT} type veth peer name eth0 netns {RIGHT}")
        for name, address in ((LEFT, "192.0.2.1/24"), (RIGHT, "192.0.2.2/24")):
            run(f"ip -n {name} address add {address} dev eth0")
            run(f"ip -n {name} link set eth0 up")
        yield
    finally:
        for name in (LEFT, RIGHT):
            run(f"ip netns delete {name}")


@pytest.mark.needs("ipip")
def test_packets_cross_an_ipip_tunnel(wire: None) -> None:
    for name, here, there in ((LEFT, 1, 2), (RIGHT, 2, 1)):
        run(f"ip -n {name} link add tun type ipip local 192.0.2.{here} remote 192.0.2.{there}")
        run(f"ip -n {name} address add 198.51.100.{here}/32 peer 198.51.100.{there} dev tun")
        run(f"ip -n {name} link set tun up")
    run(f"ip netns exec {LEFT} ping -c 3 -i 0.2 -W 5 198.51.100.2")
    counters = run(f"ip netns exec {RIGHT} cat /sys/class/net/tun/statistics/rx_packets")
    assert int(counters) == 3


@pytest.mark.needs("ip_vs", "dummy", "ipvsadm")
def test_ip_vs_forwards_a_virtual_address(wire: None, tmp_path: Path) -> None:
    """A connection from left to 203.0.113.1:80 is answered by right's server on 192.0.2.2:8080."""
    run(f"ip -n {LEFT} route add 203.0.113.1 via 192.0.2.2")
    run(f"ip -n {RIGHT} link add kube-ipvs0 type dummy")
    run(f"ip -n {RIGHT} address add 203.0.113.1/32 dev kube-ipvs0")
    run(f"ip netns exec {RIGHT} ipvsadm -A -t 203.0.113.1:80 -s rr")
    run(f"ip netns exec {RIGHT} ipvsadm -a -t 203.0.113.1:80 -r 192.0.2.2:8080 -m")
    server = f"ip netns exec {RIGHT} {sys.executable} -u -m http.server --bind 192.0.2.2 8080"
    with subprocess.Popen(server.split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, text=True) as process:
        try:
            assert process.stdout
            assert "192.0.2.2" in process.stdout.readline()
            answer = run(f"ip netns exec {LEFT} curl -s -o /dev/null -w %{{http_code}}/%{{remote_ip}} --max-time 10 http://203.0.113.1/")
            assert answer == "200/203.0.113.1"
        finally:
            process.kill()


@pytest.mark.needs("nft")
def test_nft_translates_an_address(wire: None) -> None:
    run(f"ip -n {LEFT} route add 203.0.113.1 via 192.0.2.2")
    rules = "table ip t { chain c { type nat hook prerouting priority 0; ip daddr 203.0.113.1 dnat to 192.0.2.2; }; }"
    subprocess.run(["ip", "netns", "exec", RIGHT, "nft", "-f", "-"], input=rules, text=True, check=True)
    run(f"ip netns exec {LEFT} ping -c 1 -W 5 203.0.113.1")
