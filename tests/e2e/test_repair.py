"""What somebody takes away by hand comes back at the next `up` or `apply`, which says so; `plan` tells beforehand exactly that."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

SCENARIO = """
apiVersion: klab.dev/v1
kind: Lab
metadata: {name: PLUGIN}
spec:
  network: {plugin: PLUGIN, podCIDR: 10.244.0.0/16}
  nodes:
  - {name: node1, address: 172.18.0.11, podCIDR: 10.244.1.0/24}
  - {name: node2, address: 172.18.0.12, podCIDR: 10.244.2.0/24}
---
apiVersion: v1
kind: Pod
metadata: {name: a, annotations: {cni.projectcalico.org/ipAddrs: '["10.244.1.7"]'}}
spec: {nodeName: node1, containers: [{name: sleeper, image: busybox, command: [sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, annotations: {cni.projectcalico.org/ipAddrs: '["10.244.2.7"]'}}
spec: {nodeName: node2, containers: [{name: echo, image: echoserver, ports: [{containerPort: 8080}]}]}
"""

LOOK = r"""
for netns in $(ls /run/klab/$KLAB_LAB/netns | grep -v kube-system); do
    echo "## $netns"
    nsenter --net=/run/klab/$KLAB_LAB/netns/$netns sh -c '
        ip -o addr | sed -E "s/^[0-9]+: //; s/valid_lft.*//" | grep -v fe80: | sort
        ip -o link | sed -E "s/^[0-9]+: //; s/@\S+//; s/link-?netns.*//; s/NO-CARRIER,//; s/state \S+//; s/link\/ether ..:..:..:..:..:.. //" | sort
        ip route
        bridge fdb show | grep " dst " | sort
        ip neigh show nud permanent | sort
        iptables-save | sed -E "/^#/d; s/\[[0-9]+:[0-9]+\]//; s/10\.244\.[12]\.25[0-9]//g; /KUBE-SEP|KUBE-SERVICES -d/d"
        sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter' || true
done
"""
"""What klab builds, in every namespace, without numbers that the kernel gives out and without what a restarted pod of kube-system changes."""

DAMAGE = {
    "hostgw": {
        "route": "klab exec node/node1 -- ip route del 10.244.2.0/24",
        "default route of a node": "klab exec node/node1 -- ip route del default",
        "default route of a pod": "klab exec a -- ip route del default",
        "address of a pod": "klab exec a -- ip addr del 10.244.1.7/24 dev eth0",
        "address of a node": "klab exec node/node2 -- ip addr del 172.18.0.12/24 dev eth0",
        "address of the bridge": "klab exec node/node1 -- ip addr flush dev cbr0",
        "a pod's link": "klab exec a -- ip link del eth0",
        "a pod's link is down": "klab exec a -- ip link set eth0 down",
        "a node's link": "klab exec node/node1 -- ip link del eth0",
        "the bridge": "klab exec node/node2 -- ip link del cbr0",
        "a port of the bridge": "klab exec node/node1 -- sh -c 'ip link set $(ls /sys/class/net | grep ^veth | head -1) nomaster'",
        "the switch": "ip -n ${KLAB_LAB}_fabric link del fabric",
        "a pod's namespace": "umount /run/klab/$KLAB_LAB/netns/default_b && rm /run/klab/$KLAB_LAB/netns/default_b",
        "a pod's namespace by name": "ip netns del ${KLAB_LAB}_default_b",
        "a node's namespace": "umount /run/klab/$KLAB_LAB/netns/node2",
        "a rule": "klab exec node/node1 -- iptables -t nat -F KUBENET-MASQ",
        "all rules": "klab exec node/node1 -- sh -c 'iptables -t nat -F; iptables -t filter -F'",
        "forwarding": "klab exec node/node1 -- sysctl -q -w net.ipv4.ip_forward=0",
        "MTU": "klab exec node/node1 -- ip link set cbr0 mtu 1400",
    },
    "vxlan": {
        "route": "klab exec node/node1 -- ip route del 10.244.2.0/24",
        "neighbour": "klab exec node/node1 -- ip neigh flush dev flannel.1 nud permanent",
        "FDB entry": "klab exec node/node1 -- sh -c 'bridge fdb del $(bridge fdb show dev flannel.1 | cut -c -17) dev flannel.1 dst 172.18.0.12'",
        "the tunnel": "klab exec node/node1 -- ip link del flannel.1",
        "a node's link under the tunnel": "klab exec node/node1 -- ip link del eth0",
    },
}


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab among others; `look` is what it was like when it had come up."""

    machine: Machine
    name: str
    look: str = ""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(f"export KLAB_LAB={self.name}; {command}")

    def check(self, command: str) -> str:
        return self.machine.check(f"export KLAB_LAB={self.name}; {command}")


@pytest.fixture(scope="module")
def labs(shared_machine: Machine) -> dict[str, Lab]:
    """One lab a plugin, side by side."""
    up = {}
    for plugin in DAMAGE:
        shared_machine.write(f"{plugin}.yaml", SCENARIO.replace("PLUGIN", plugin))
        lab = Lab(shared_machine, plugin)
        lab.check("klab up $KLAB_LAB.yaml && klab exec a -- curl -s -m 2 10.244.2.7:8080")
        up[plugin] = Lab(shared_machine, plugin, lab.check(LOOK))
    return up


@pytest.mark.parametrize(("plugin", "thing"), [(plugin, thing) for plugin, things in DAMAGE.items() for thing in things])
def test_what_is_taken_away_comes_back(labs: dict[str, Lab], plugin: str, thing: str) -> None:
    lab = labs[plugin]
    lab.check(DAMAGE[plugin][thing])
    planned = [line for line in lab.check("klab plan $KLAB_LAB.yaml").splitlines() if line and not line.startswith("#")]
    said = lab.run("klab up $KLAB_LAB.yaml").stderr
    assert planned
    assert sorted(re.findall("^repaired: (.*)$", said, re.MULTILINE)) == sorted(planned)
    assert lab.check(LOOK) == lab.look
    assert "client_address=" in lab.check("klab exec a -- curl -s -m 2 10.244.2.7:8080")


def test_apply_brings_back_too(labs: dict[str, Lab]) -> None:
    lab = labs["hostgw"]
    lab.check("klab exec node/node1 -- ip route del 10.244.2.0/24")
    applied = lab.run("klab apply hostgw.yaml")
    assert applied.stdout == "pod/a unchanged\npod/b unchanged\n"
    assert applied.stderr == "repaired: ip -n hostgw_node1 route replace 10.244.2.0/24 via 172.18.0.12 dev eth0\n"
    assert lab.check(LOOK) == lab.look


def test_plan_after_the_loss_of_a_route_is_that_route(labs: dict[str, Lab]) -> None:
    lab = labs["hostgw"]
    lab.check("klab exec node/node1 -- ip route del 10.244.2.0/24")
    planned = lab.run("klab plan hostgw.yaml")
    assert planned.stdout == "# pods of node/node2\nip -n hostgw_node1 route replace 10.244.2.0/24 via 172.18.0.12 dev eth0\n"
    assert planned.stderr == "plan: 1 to create, 0 to change, 0 to delete\n"
    lab.check(planned.stdout)
    assert lab.run("klab plan hostgw.yaml").stderr == "plan: nothing to do\n"


def test_nothing_to_do_says_so(labs: dict[str, Lab]) -> None:
    lab = labs["vxlan"]
    assert "nothing to change" in lab.run("klab up vxlan.yaml").stderr
    planned = lab.run("klab plan vxlan.yaml")
    assert (planned.stdout, planned.stderr) == ("", "plan: nothing to do\n")
    assert lab.check(LOOK) == lab.look


def test_a_container_moves_into_the_namespace_that_was_made_anew(labs: dict[str, Lab]) -> None:
    lab = labs["hostgw"]
    lab.check("umount /run/klab/hostgw/netns/default_a && klab up hostgw.yaml")
    same = 'test $(klab exec a -- readlink /proc/self/ns/net) = "net:[$(stat -L -c %i /run/klab/hostgw/netns/default_a)]"'
    lab.check(same)
    lab.check("for pid in $(pgrep -x sleep); do readlink /proc/$pid/ns/net; done | grep -q $(stat -L -c %i /run/klab/hostgw/netns/default_a)")
    assert "SandboxChanged" in lab.check("klab describe pod a")
