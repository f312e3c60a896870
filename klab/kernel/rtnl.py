"""One function a message: links, addresses, routes, neighbours and FDB entries packed for rtnetlink."""

from __future__ import annotations

import socket
import struct

from klab.kernel.netlink import (
    CREATE,
    EXCL,
    REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEIGH,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTM_SETLINK,
    Message,
    attribute,
    nested,
    text,
    u32,
)

PROTOCOLS = {"kernel": 2, "boot": 3, "static": 4, "bird": 12}
SCOPES = {"global": 0, "link": 253, "host": 254}
ROUTE_TYPES = {"unicast": 1, "blackhole": 6}
TABLE_MAIN = 254
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
NTF_SELF = 0x02

IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_PROTINFO, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 12, 18, 28
INFO_KIND, INFO_DATA, INFO_SLAVE_DATA, VETH_INFO_PEER, BRPORT_MODE = 1, 2, 5, 1, 4
VXLAN_ID, VXLAN_LINK, VXLAN_LOCAL, VXLAN_LEARNING, VXLAN_PORT, VXLAN_LOCAL6 = 1, 3, 4, 7, 15, 17
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
NDA_DST, NDA_LLADDR = 1, 2
RTNH_F_ONLINK = 4


def link_flags(*, index: int = 0, up: bool | None = None, family: int = 0) -> bytes:
    """Pack the ifinfomsg header; `up` None leaves the flag as it is."""
    return struct.pack("=BxHiII", family, 0, index, int(bool(up)), 0 if up is None else IFF_UP)


def family_of(address: str) -> int:
    """Tell AF_INET from AF_INET6."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def packed(address: str) -> bytes:
    """Pack an address of either family."""
    return socket.inet_pton(family_of(address), address)


def mac_bytes(mac: str) -> bytes:
    """Pack "02:00:..."."""
    return bytes.fromhex(mac.replace(":", ""))


def _common(name: str, mtu: int, mac: str, master: int) -> bytes:
    parts = [text(IFLA_IFNAME, name)]
    parts += [u32(IFLA_MTU, mtu)] if mtu else []
    parts += [attribute(IFLA_ADDRESS, mac_bytes(mac))] if mac else []
    parts += [u32(IFLA_MASTER, master)] if master else []
    return b"".join(parts)


def new_link(  # noqa: PLR0913 (the attributes of a link)
    kind: str, name: str, *, mtu: int = 0, mac: str = "", master: int = 0, up: bool = True, data: bytes = b""
) -> Message:
    """Make a link of `kind`; `data` is the kind's own attributes."""
    info = nested(IFLA_LINKINFO, text(INFO_KIND, kind), *([nested(INFO_DATA, data)] if data else []))
    return Message(RTM_NEWLINK, CREATE | EXCL, link_flags(up=up) + _common(name, mtu, mac, master) + info)


def veth_data(peer: str, netns_descriptor: int, *, mtu: int = 0, mac: str = "") -> bytes:
    """Describe the other end of a veth pair, made straight into the namespace of the descriptor; it cannot be up before the pair is whole."""
    parts = [link_flags(), _common(peer, mtu, mac, 0), u32(IFLA_NET_NS_FD, netns_descriptor)]
    return nested(VETH_INFO_PEER, *parts)


def vxlan_data(*, vni: int, local: str, below: int, port: int) -> bytes:
    """Describe a VXLAN device that learns nothing: who is where is told to it."""
    local_kind = VXLAN_LOCAL6 if ":" in local else VXLAN_LOCAL
    return b"".join(
        (
            u32(VXLAN_ID, vni),
            u32(VXLAN_LINK, below),
            attribute(local_kind, packed(local)),
            attribute(VXLAN_LEARNING, b"\0"),
            attribute(VXLAN_PORT, struct.pack(">H", port)),
        )
    )


def set_link(index: int, *, up: bool | None = None, mtu: int = 0, mac: str = "", master: int | None = None) -> Message:
    """Change what may change during a link's life; `master` 0 takes it out of its bridge."""
    parts = [link_flags(index=index, up=up)]
    parts += [u32(IFLA_MTU, mtu)] if mtu else []
    parts += [attribute(IFLA_ADDRESS, mac_bytes(mac))] if mac else []
    parts += [u32(IFLA_MASTER, master)] if master is not None else []
    return Message(RTM_NEWLINK, 0, b"".join(parts))


def set_hairpin(index: int, *, on: bool) -> Message:
    """Let a bridge port send a frame back to where it came from."""
    return Message(RTM_SETLINK, 0, link_flags(index=index, family=socket.AF_BRIDGE) + nested(IFLA_PROTINFO, attribute(BRPORT_MODE, bytes([on]))))


def del_link(index: int) -> Message:
    """Remove a link."""
    return Message(RTM_DELLINK, 0, link_flags(index=index))


def _address(index: int, cidr: str, scope: str) -> bytes:
    address, _, length = cidr.partition("/")
    family = family_of(address)
    raw = packed(address)
    parts = [struct.pack("=BBBBI", family, int(length), 0x02 if family == socket.AF_INET6 else 0, SCOPES[scope], index)]  # IFA_F_NODAD
    parts += [attribute(IFA_LOCAL, raw), attribute(IFA_ADDRESS, raw)]
    if family == socket.AF_INET and int(length) < 31:  # noqa: PLR2004 (RFC 3021: /31 and /32 have no broadcast)
        mask = (1 << (32 - int(length))) - 1
        parts.append(attribute(IFA_BROADCAST, (int.from_bytes(raw) | mask).to_bytes(4)))
    return b"".join(parts)


def new_address(index: int, cidr: str, scope: str) -> Message:
    """Add an address, with the broadcast address that `ip addr add … brd +` gives."""
    return Message(RTM_NEWADDR, CREATE | REPLACE, _address(index, cidr, scope))


def del_address(index: int, cidr: str, scope: str) -> Message:
    """Remove an address."""
    return Message(RTM_DELADDR, 0, _address(index, cidr, scope))


def _route(  # noqa: PLR0913 (the attributes of a route)
    *, dst: str, via: str, index: int, proto: str, scope: str, onlink: bool, kind: str, src: str
) -> bytes:
    network, _, length = dst.partition("/")
    if dst == "default":
        network, length = ("", "0")
    family = family_of(network or via or src or "0.0.0.0")  # noqa: S104 (a default route without a gateway is IPv4's)
    bits = int(length) if length else (128 if family == socket.AF_INET6 else 32)
    flags = RTNH_F_ONLINK if onlink else 0
    parts = [struct.pack("=BBBBBBBBI", family, bits, 0, 0, TABLE_MAIN, PROTOCOLS[proto], SCOPES[scope], ROUTE_TYPES[kind], flags)]
    parts += [attribute(RTA_DST, packed(network))] if network else []
    parts += [u32(RTA_OIF, index)] if index else []
    parts += [attribute(RTA_GATEWAY, packed(via))] if via else []
    parts += [attribute(RTA_PREFSRC, packed(src))] if src else []
    return b"".join(parts)


def new_route(**route: str | int | bool) -> Message:
    """Add or replace a route of the main table (keywords: dst via index proto scope onlink kind src)."""
    return Message(RTM_NEWROUTE, CREATE | REPLACE, _route(**route))  # type: ignore[arg-type]


def del_route(**route: str | int | bool) -> Message:
    """Remove a route of the main table (same keywords)."""
    return Message(RTM_DELROUTE, 0, _route(**route))  # type: ignore[arg-type]


def _neighbour(index: int, address: str, mac: str) -> bytes:
    head = struct.pack("=BxHiHBB", family_of(address), 0, index, NUD_PERMANENT, 0, 1)
    return head + attribute(NDA_DST, packed(address)) + (attribute(NDA_LLADDR, mac_bytes(mac)) if mac else b"")


def new_neighbour(index: int, address: str, mac: str) -> Message:
    """Add or replace a permanent neighbour."""
    return Message(RTM_NEWNEIGH, CREATE | REPLACE, _neighbour(index, address, mac))


def del_neighbour(index: int, address: str) -> Message:
    """Remove a neighbour."""
    return Message(RTM_DELNEIGH, 0, _neighbour(index, address, ""))


def _fdb(index: int, mac: str, dst: str) -> bytes:
    head = struct.pack("=BxHiHBB", socket.AF_BRIDGE, 0, index, NUD_PERMANENT | NUD_NOARP, NTF_SELF, 0)
    return head + attribute(NDA_LLADDR, mac_bytes(mac)) + attribute(NDA_DST, packed(dst))


def new_fdb(index: int, mac: str, dst: str) -> Message:
    """Say behind which tunnel end a MAC address is."""
    return Message(RTM_NEWNEIGH, CREATE | REPLACE, _fdb(index, mac, dst))


def del_fdb(index: int, mac: str, dst: str) -> Message:
    """Forget it."""
    return Message(RTM_DELNEIGH, 0, _fdb(index, mac, dst))
