"""Which tests can run here: `root` and `needs(*features)`, and where those go that cannot.

A feature is probed for real in a throw-away network namespace. A test that lacks one
- is skipped with the missing feature as its reason (a plain `pytest` on somebody's machine);
- is left out and its name written to FILE (`--defer FILE`), for a run under another kernel;
- fails the run (`--require-kernel`, and CI=true without `--defer`).
With `--defer` and `--require-kernel` every other skip fails the run too: what neither kernel ran is not tested.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROBES = {
    "bridge": "ip link add probe type bridge",
    "br_netfilter": "ip link add probe type bridge && test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
    "conntrack": "conntrack -L",
    "dummy": "ip link add probe type dummy",
    "ip_vs": "ipvsadm -A -t 192.0.2.1:80 -s rr",
    "ipip": "ip link add probe type ipip local 192.0.2.1 remote 192.0.2.2",
    "ipset": "ipset create probe hash:ip,port",
    "iptables": "iptables-nft -t nat -A POSTROUTING -j MASQUERADE || iptables-legacy -t nat -A POSTROUTING -j MASQUERADE",
    "ipv6": "ip link set lo up && ping -6 -c 1 -W 1 ::1",
    "macvlan": "ip link add probe0 type veth && ip link add probe1 link veth0 type macvlan",
    "netem": "tc qdisc add dev lo root netem delay 1ms",
    "nft": "echo 'table ip t { chain c { type nat hook prerouting priority 0; dnat to numgen random mod 1 map { 0: 192.0.2.1 }; }; }' | nft -f -",
    "overlay": "mount -t tmpfs none /mnt && cd /mnt && mkdir a b c && mount -t overlay none -o lowerdir=a:b c",
    "vxlan": "ip link add probe type vxlan id 1 dev lo dstport 8472",
    "wireguard": "ip link add probe type wireguard",
}
"""One shell line a kernel feature; it ends well where the feature is there. Any other word is the name of a program."""


@functools.cache
def probe_kernel(feature: str) -> str | None:
    """Say why the kernel feature is missing, or None where it is there."""
    probe = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", PROBES[feature]], capture_output=True, text=True, check=False)
    if probe.returncode == 0:
        return None
    return f"no {feature}: {(probe.stderr.strip() or probe.stdout.strip() or PROBES[feature]).splitlines()[-1]}"


def find_lacks_of_machine(item: pytest.Item, features: set[str]) -> list[str]:
    """Name what no other kernel mends: we are not root, a program is not installed."""
    if os.geteuid() != 0 and (item.get_closest_marker("root") or features & PROBES.keys()):
        return ["not root"]
    return [f"no program {name}" for name in sorted(features - PROBES.keys()) if not shutil.which(name)]


def find_lacks_of_kernel(features: set[str]) -> list[str]:
    """Name the features that the running kernel lacks."""
    return [lack for name in sorted(features & PROBES.keys()) if (lack := probe_kernel(name))]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--defer", metavar="FILE", type=Path, help="write the tests that lack a kernel feature here to FILE instead of skipping them")
    parser.addoption("--require-kernel", action="store_true", help="fail where a test is skipped (default with CI=true)")


def pytest_configure(config: pytest.Config) -> None:
    config.option.require_kernel |= os.environ.get("CI") == "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    defer: Path | None = config.option.defer
    deferred = []
    for item in list(items):
        features = {feature for marker in item.iter_markers("needs") for feature in marker.args}
        if lacks := find_lacks_of_machine(item, features) or ([] if defer else find_lacks_of_kernel(features)):
            item.add_marker(pytest.mark.skip(reason=", ".join(lacks)))
        elif defer and find_lacks_of_kernel(features):
            items.remove(item)
            deferred.append(item)
    if defer:
        config.hook.pytest_deselected(items=deferred)
        defer.write_text("".join(f"{item.nodeid}\n" for item in deferred))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    strict = session.config.option.require_kernel or session.config.option.defer
    if reporter and strict and reporter.stats.get("skipped") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and reporter and reporter.stats.get("deselected") and session.config.option.defer:
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped and (config.option.require_kernel or config.option.defer):
        terminalreporter.write_line(f"FAILED: {skipped} skipped, and what is skipped is not tested (--require-kernel)", red=True)
