"""What our own packing built, read back by somebody else's code: pyroute2 sees what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyroute2 import IPRoute

from klab.kernel.apply import Applier
from klab.kernel.cni import Plugins
from klab.kernel.rundir import RunDir
from klab.kernel.sandbox import run_in
from klab.linux.diff import diff
from klab.linux.objects import Address, Bridge, Fdb, KernelObject, Neighbour, Netns, Route, Veth, Vxlan

pytestmark = pytest.mark.root

NODE = [
    Netns(netns="node"),
    Netns(netns="pod"),
    Bridge(netns="node", name="cni0"),
    Veth(netns="node", name="veth1", peer_netns="pod", peer="eth0", peer_mac="0a:58:0a:f4:01:02", mtu=1450, master="cni0", hairpin=True),
    Address(netns="node", dev="cni0", cidr="10.244.1.1/24"),
    Vxlan(netns="node", name="flannel.1", vni=1, local="10.244.1.1", device_below="cni0", mtu=1400, mac="02:00:00:00:00:01"),
    Address(netns="pod", dev="eth0", cidr="10.244.1.2/24"),
    Route(netns="pod", dst="default", via="10.244.1.1", dev="eth0"),
    Neighbour(netns="node", dev="flannel.1", address="10.244.2.0", mac="02:00:00:00:00:02"),
    Fdb(netns="node", dev="flannel.1", mac="02:00:00:00:00:02", dst="10.244.1.9"),
    Route(netns="node", dst="10.244.2.0/24", via="10.244.2.0", dev="flannel.1", onlink=True),
    Route(netns="node", dst="10.9.0.0/16", type="blackhole", proto="bird"),
]


def read(rundir: RunDir, name: str, question: Callable[[IPRoute], Any]) -> Any:
    """Ask pyroute2 inside a namespace."""

    def body() -> Any:
        with IPRoute() as ipr:
            return question(ipr)

    return run_in(rundir.netns_path(name), body)


def test_pyroute2_sees_what_was_asked_for(rundir: RunDir) -> None:
    objects: list[KernelObject] = NODE
    Applier(rundir.netns, str, Plugins(rundir.netns, rundir.cni_results)).apply(diff(objects, {}))

    links = {link.get_attr("IFLA_IFNAME"): link for link in read(rundir, "node", lambda ipr: list(ipr.get_links()))}
    bridge, port, tunnel = links["cni0"], links["veth1"], links["flannel.1"]
    assert [link["state"] for link in (bridge, port, tunnel)] == ["up"] * 3
    assert (port.get_attr("IFLA_MASTER"), port.get_attr("IFLA_MTU")) == (bridge["index"], 1450)
    assert port.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_MODE") == 1  # hairpin
    vxlan = tunnel.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    told = [vxlan.get_attr(f"IFLA_VXLAN_{name}") for name in ("ID", "LOCAL", "LINK", "PORT", "LEARNING")]
    assert told == [1, "10.244.1.1", bridge["index"], 8472, 0]

    (pod_link,) = (link for link in read(rundir, "pod", lambda ipr: list(ipr.get_links())) if link.get_attr("IFLA_IFNAME") == "eth0")
    assert (pod_link.get_attr("IFLA_ADDRESS"), pod_link["state"]) == ("0a:58:0a:f4:01:02", "up")
    (address,) = read(rundir, "pod", lambda ipr: list(ipr.get_addr(family=2, index=pod_link["index"])))
    assert (address.get_attr("IFA_LOCAL"), address["prefixlen"], address.get_attr("IFA_BROADCAST")) == ("10.244.1.2", 24, "10.244.1.255")
    (default,) = read(rundir, "pod", lambda ipr: list(ipr.get_default_routes(family=2)))
    assert (default.get_attr("RTA_GATEWAY"), default.get_attr("RTA_OIF")) == ("10.244.1.1", pod_link["index"])

    routes = {
        f"{route.get_attr('RTA_DST')}/{route['dst_len']}": route
        for route in read(rundir, "node", lambda ipr: list(ipr.get_routes(family=2, table=254)))
    }
    overlay, hole = routes["10.244.2.0/24"], routes["10.9.0.0/16"]
    assert (overlay.get_attr("RTA_GATEWAY"), overlay["flags"] & 4, hole["type"], hole["proto"]) == ("10.244.2.0", 4, 6, 12)
    (neighbour,) = read(rundir, "node", lambda ipr: list(ipr.get_neighbours(family=2, ifindex=tunnel["index"])))
    assert (neighbour.get_attr("NDA_DST"), neighbour.get_attr("NDA_LLADDR")) == ("10.244.2.0", "02:00:00:00:00:02")
