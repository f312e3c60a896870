"""A machine that lacks something: exit 4, the command that mends it, and nothing built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

SCENARIOS = {
    "vxlan.yaml": "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: lacking}\nspec: {network: {plugin: vxlan}}\n",
    "ipip.yaml": "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: lacking}\nspec: {network: {plugin: ipip}}\n",
    "plugin.yaml": "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: lacking}\nspec: {network: {plugin: plugin, cniBin: /nowhere}}\n",
}


@pytest.fixture
def machine_of_files(machine: Machine) -> Machine:
    for name, text in SCENARIOS.items():
        machine.write(name, text)
    return machine


def check_refused(machine: Machine, command: str, *said: str) -> None:
    result = machine.run(command)
    for words in said:
        assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == 4
    assert machine.check("find /run -mindepth 1 -not -path '/run/mount*'; ip netns") == ""


def test_not_root(machine_of_files: Machine) -> None:
    """A user namespace makes a nobody of root, who may still read the program wherever it is installed."""
    check_refused(machine_of_files, "unshare --user klab up vxlan.yaml", "sudo")


def test_plan_needs_no_root(machine_of_files: Machine) -> None:
    assert "ip netns add lacking_node1" in machine_of_files.check("unshare --user klab plan vxlan.yaml")


@pytest.mark.parametrize(("programs", "package"), [("ip", "iproute2"), ("iptables xtables-nft-multi xtables-legacy-multi", "iptables")])
def test_a_program_is_missing(machine_of_files: Machine, programs: str, package: str) -> None:
    """The program is hidden by an empty file in its place, in the machine's own mounts."""
    places = "for folder in /usr/sbin /usr/bin /sbin /bin; do test ! -e $folder/$name || echo $(realpath $folder/$name); done"
    hide = f"touch none; for name in {programs}; do for file in $({places} | sort -u); do mount --bind none $file; done; done"
    result = machine_of_files.run(f"{hide}; klab up vxlan.yaml")
    assert f"apt-get install {package}" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == 4


def test_the_kernel_has_no_ipip(machine_of_files: Machine) -> None:
    if machine_of_files.run("ip link add probe type ipip local 192.0.2.1 remote 192.0.2.2").returncode == 0:
        pytest.skip("this kernel has ipip")
    check_refused(machine_of_files, "klab up ipip.yaml", "ipip", "modprobe ipip", "vxlan")


def test_the_kernel_has_no_br_netfilter(machine_of_files: Machine) -> None:
    """Its absence is what an empty /proc/sys/net/bridge looks like."""
    check_refused(machine_of_files, "mount -t tmpfs none /proc/sys/net; klab up vxlan.yaml", "sudo modprobe br_netfilter")


def test_the_cni_plugins_are_missing(machine_of_files: Machine) -> None:
    check_refused(machine_of_files, "klab up plugin.yaml", "/nowhere", "apt-get install containernetworking-plugins")
