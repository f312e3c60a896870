"""What may stand in a network namespace: links, addresses, routes, neighbours, FDB entries, sysctls, iptables chains and rules.

Every object is a frozen value with
- `netns`: the namespace it lives in, by its short name within the lab ("node1", "default_web-1", "fabric");
- `key`: its identity; two objects of one key with unequal values are one object before and after a change;
- `create(q)` / `delete(q)`: the command lines that a person would type for it; `q` turns a short namespace name into the one under /run/netns;
- `why`: the Kubernetes object or reason that it is there for (never compared).

Addresses are canonical strings as `ip` prints them: "10.20.9.1", "10.20.9.1/24", "fd00::1/64".
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

Key = tuple[str, ...]
Qualify = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelObject:
    """Common part of everything below."""

    rank: ClassVar[int]  # order of creation; removal goes the other way round
    netns: str
    why: str = field(default="", compare=False)

    @property
    def key(self) -> Key:
        """Identify the object: its class, its namespace and what distinguishes it there."""
        return (type(self).__name__, self.netns)

    @property
    def device(self) -> str:
        """Name the link that this object disappears with, "" where there is none."""
        return ""

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Give the command lines that make it."""
        raise NotImplementedError

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:  # noqa: ARG002 (links need it)
        """Give the command lines that make it of `before`, which has its key."""
        return self.create(q)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Give the command lines that remove it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Netns(KernelObject):
    """A network namespace with its loopback up, whose links get no link-local addresses."""

    rank = 0

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Make it and bring lo up, as every sandbox has it."""
        name = q(self.netns)
        quiet = "net/ipv6/conf/default/addr_gen_mode=1"
        return (f"ip netns add {name}", f"ip netns exec {name} sysctl -eqw {quiet}", f"ip -n {name} link set lo up")

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it with everything in it."""
        return (f"ip netns del {q(self.netns)}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(KernelObject):
    """A network interface; `mtu` 0 and `mac` "" leave the choice to the kernel, `master` is the bridge that it is a port of."""

    rank = 1
    name: str
    mtu: int = 0
    mac: str = ""
    master: str = ""
    hairpin: bool = False
    up: bool = True

    @property
    def key(self) -> Key:
        """One name, one link."""
        return ("Link", self.netns, self.name)

    @property
    def kind(self) -> str:
        """Name the kernel's kind of the link, as `ip link add type` takes it."""
        return type(self).__name__.lower()

    def arguments(self, q: Qualify) -> str:  # noqa: ARG002 (a veth needs it)
        """Give what follows `type KIND`."""
        return ""

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Give `ip link add`, then what a second command has to set."""
        ip = f"ip -n {q(self.netns)}"
        head = "".join((f" mtu {self.mtu}" if self.mtu else "", f" address {self.mac}" if self.mac else ""))
        lines = [f"{ip} link add {self.name}{head} type {self.kind}{self.arguments(q)}"]
        return (*lines, *self.settings(q))

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:
        """Set what differs."""
        if not isinstance(before, Link):
            return self.settings(q)
        ip = f"ip -n {q(self.netns)} link set {self.name}"
        lines = [f"{ip} mtu {self.mtu}"] if self.mtu and self.mtu != before.mtu else []
        lines += [f"{ip} address {self.mac}"] if self.mac and self.mac != before.mac else []
        lines += [f"bridge -n {q(self.netns)} link set dev {self.name} hairpin off"] if before.hairpin and not self.hairpin else []
        lines += [f"{ip} nomaster"] if before.master and not self.master else []
        return (*lines, *self.settings(q))

    def settings(self, q: Qualify) -> tuple[str, ...]:
        """Give the commands for what cannot be said when a link is added."""
        ip = f"ip -n {q(self.netns)}"
        lines = []
        if self.master:
            lines.append(f"{ip} link set {self.name} master {self.master}")
        if self.hairpin:
            lines.append(f"bridge -n {q(self.netns)} link set dev {self.name} hairpin on")
        lines.append(f"{ip} link set {self.name} {'up' if self.up else 'down'}")
        return tuple(lines)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove the link, and with it its addresses, routes and, for a veth, the other end."""
        return (f"ip -n {q(self.netns)} link del {self.name}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(Link):
    """A Linux bridge (at most 1023 ports)."""

    rank = 1

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Set the MTU by a command of its own: a bridge keeps that one, while one that it was made with follows its ports'."""
        ip = f"ip -n {q(self.netns)} link"
        mac = f" address {self.mac}" if self.mac else ""
        mtu = [f"{ip} set {self.name} mtu {self.mtu}"] if self.mtu else []
        return (f"{ip} add {self.name}{mac} type bridge", *mtu, *self.settings(q))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dummy(Link):
    """A link that goes nowhere and carries addresses (kube-ipvs0)."""

    rank = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan(Link):
    """A VXLAN tunnel end (RFC 7348) that learns nothing by itself: flannel.1."""

    rank = 3
    vni: int
    local: str
    device_below: str
    port: int = 8472

    def arguments(self, q: Qualify) -> str:  # noqa: ARG002 (a veth needs it)
        """Give the tunnel's parameters as flannel sets them."""
        return f" id {self.vni} local {self.local} dev {self.device_below} dstport {self.port} nolearning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipip(Link):
    """The IP-in-IP tunnel (RFC 2003) that takes any remote: tunl0, which the kernel makes with the first use of the module in a namespace."""

    rank = 3

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Bring up the fallback device; `ip link add` of any ipip device makes it appear."""
        ip = f"ip -n {q(self.netns)}"
        mtu = f" mtu {self.mtu}" if self.mtu else ""
        return (f"{ip} tunnel change {self.name} mode ipip nopmtudisc", f"{ip} link set {self.name}{mtu} up")

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Take it down; the kernel keeps the fallback device as long as the namespace."""
        return (f"ip -n {q(self.netns)} link set {self.name} down",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Veth(Link):
    """A pair of virtual Ethernet ends; `netns`/`name` is the end that may be a bridge's port, `peer_netns`/`peer` the other, which is always up."""

    rank = 2
    peer_netns: str
    peer: str
    peer_mac: str = ""

    def arguments(self, q: Qualify) -> str:
        """Give the other end."""
        mtu = f" mtu {self.mtu}" if self.mtu else ""
        mac = f" address {self.peer_mac}" if self.peer_mac else ""
        return f" peer name {self.peer}{mtu}{mac} netns {q(self.peer_netns)}"

    def settings(self, q: Qualify) -> tuple[str, ...]:
        """Set this end, and the other up."""
        return (*Link.settings(self, q), f"ip -n {q(self.peer_netns)} link set {self.peer} up")

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:
        """Let the other end have the MTU too."""
        far = [f"ip -n {q(self.peer_netns)} link set {self.peer} mtu {self.mtu}"] if self.mtu else []
        return (*far, *Link.change(self, q, before))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(KernelObject):
    """A setting below /proc/sys of the namespace; `name` with slashes, as interface names may hold dots."""

    rank = 4
    name: str
    value: str

    @property
    def key(self) -> Key:
        """One name, one value."""
        return ("Sysctl", self.netns, self.name)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Write it."""
        return (f"ip netns exec {q(self.netns)} sysctl -qw {shlex.quote(f'{self.name}={self.value}')}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:  # noqa: ARG002 (the others need it)
        """Leave it: a sysctl cannot be absent, and it goes with its link or namespace."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(KernelObject):
    """An address with its prefix length on a link: `cidr` "10.20.9.1/24"."""

    rank = 5
    dev: str
    cidr: str
    scope: str = "global"

    @property
    def key(self) -> Key:
        """A link may carry many addresses."""
        return ("Address", self.netns, self.dev, self.cidr)

    @property
    def device(self) -> str:
        """It goes with its link."""
        return self.dev

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add it, an IPv4 one with its broadcast address, an IPv6 one without looking for a duplicate."""
        scope = "" if self.scope == "global" else f" scope {self.scope}"
        more = " nodad" if ":" in self.cidr else "" if self.cidr.endswith(("/31", "/32")) else " brd +"
        return (f"ip -n {q(self.netns)} addr add {self.cidr} dev {self.dev}{scope}{more}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it."""
        return (f"ip -n {q(self.netns)} addr del {self.cidr} dev {self.dev}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour(KernelObject):
    """A permanent neighbour (ARP) entry."""

    rank = 6
    dev: str
    address: str
    mac: str

    @property
    def key(self) -> Key:
        """One entry for an address on a link."""
        return ("Neighbour", self.netns, self.dev, self.address)

    @property
    def device(self) -> str:
        """It goes with its link."""
        return self.dev

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add or replace it."""
        return (f"ip -n {q(self.netns)} neigh replace {self.address} lladdr {self.mac} dev {self.dev} nud permanent",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it."""
        return (f"ip -n {q(self.netns)} neigh del {self.address} dev {self.dev}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fdb(KernelObject):
    """A VXLAN forwarding entry: frames for `mac` go to the tunnel end `dst`."""

    rank = 7
    dev: str
    mac: str
    dst: str

    @property
    def key(self) -> Key:
        """One entry for a MAC address on a link."""
        return ("Fdb", self.netns, self.dev, self.mac)

    @property
    def device(self) -> str:
        """It goes with its link."""
        return self.dev

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add or replace it."""
        return (f"bridge -n {q(self.netns)} fdb replace {self.mac} dev {self.dev} dst {self.dst} self permanent",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it."""
        return (f"bridge -n {q(self.netns)} fdb del {self.mac} dev {self.dev} dst {self.dst} self",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(KernelObject):
    """A route of the main table; `dst` "default", a host or a prefix, `type` "unicast" or "blackhole"."""

    rank = 8
    dst: str
    via: str = ""
    dev: str = ""
    proto: str = "boot"
    scope: str = "global"
    onlink: bool = False
    type: str = "unicast"
    src: str = ""

    @property
    def key(self) -> Key:
        """One route for a destination of a family (klab uses no metrics)."""
        return ("Route", self.netns, self.dst if self.dst != "default" or ":" not in self.via else "::/0")

    @property
    def device(self) -> str:
        """It goes with its link."""
        return self.dev

    @property
    def words(self) -> str:
        """Give the route as `ip route show` prints it."""
        parts = [self.dst if self.type == "unicast" else f"{self.type} {self.dst}"]
        parts += [f"via {self.via}"] if self.via else []
        parts += [f"dev {self.dev}"] if self.dev else []
        parts += [f"proto {self.proto}"] if self.proto != "boot" else []
        parts += ["scope link"] if self.scope == "link" else []
        parts += [f"src {self.src}"] if self.src else []
        parts += ["onlink"] if self.onlink else []
        return " ".join(parts)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add or replace it."""
        return (f"ip -n {q(self.netns)} route replace {self.words}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it."""
        return (f"ip -n {q(self.netns)} route del {self.words}",)
