"""Reads back, a namespace at a time and in bulk, what stands in the kernel, as the values that the planners speak of."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from klab.kernel import netns, rtnl, rules
from klab.kernel.netlink import RTM_GETADDR, RTM_GETLINK, RTM_GETNEIGH, RTM_GETROUTE, RouteSocket, attributes
from klab.kernel.rtnl import NUD_PERMANENT, PROTOCOLS, ROUTE_TYPES, SCOPES, TABLE_MAIN
from klab.linux.objects import Address, Bridge, Dummy, Fdb, Ipip, KernelObject, Key, Link, Neighbour, Netns, Route, Sysctl, Veth, Vxlan

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_SCOPE_NAMES = {number: name for name, number in SCOPES.items()}
_TYPE_NAMES = {number: name for name, number in ROUTE_TYPES.items()}


def observe(namespaces: dict[str, Path], desired: Iterable[KernelObject] = ()) -> dict[Key, KernelObject]:
    """Read everything in the namespaces (short name -> file) that exist; sysctls and rules only where some of their class are desired."""
    living = {path: name for name, path in namespaces.items() if netns.exists(path)}
    asked: dict[str, list[Sysctl]] = {}
    ruled: dict[str, set[type[KernelObject]]] = {}
    families: dict[str, set[int]] = {}
    for item in desired:
        if isinstance(item, Sysctl):
            asked.setdefault(item.netns, []).append(item)
        elif isinstance(item, rules.TYPES):
            ruled.setdefault(item.netns, set()).add(type(item))
            if isinstance(item, rules.IPTABLES):
                families.setdefault(item.netns, set()).add(item.family)

    def visit(path: Path) -> list[KernelObject]:
        name = living[path]
        opened = RouteSocket()
        try:
            found = rules.observe(name, tuple(ruled.get(name, ())), families.get(name, ()))
            return [Netns(netns=name), *_visible(opened, name), *_settings(asked.get(name, ())), *found]
        finally:
            opened.close()

    return {item.key: item for found in netns.each(living, visit) for item in found}


def _visible(opened: RouteSocket, name: str) -> Iterator[KernelObject]:
    links = dict(_links(opened, name))
    names = {index: link.name for index, link in links.items()}
    yield from (_named(link, names) for link in links.values() if link.name != "lo")
    yield from _addresses(opened, name, names)
    yield from _routes(opened, name, names)
    yield from _neighbours(opened, name, names)
    if any(isinstance(link, Vxlan) for link in links.values()):
        yield from _fdb(opened, name, {index: link.name for index, link in links.items() if isinstance(link, Vxlan)})


def _links(opened: RouteSocket, netns_name: str) -> Iterator[tuple[int, Link]]:
    """Yield index and link; `master` and `device_below` hold an index as text until _named puts the names in."""
    for _kind, body in opened.dump(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
        _family, _type, index, flags, _change = struct.unpack_from("=BxHiII", body)
        found = attributes(body[16:])
        info = attributes(found[rtnl.IFLA_LINKINFO]) if rtnl.IFLA_LINKINFO in found else {}
        kind = _string(info.get(rtnl.INFO_KIND, b""))
        port = attributes(info[rtnl.INFO_SLAVE_DATA]) if rtnl.INFO_SLAVE_DATA in info else {}
        common = {
            "netns": netns_name,
            "name": _string(found[rtnl.IFLA_IFNAME]),
            "mtu": _number(found[rtnl.IFLA_MTU]),
            "mac": bytes(found[rtnl.IFLA_ADDRESS]).hex(":") if rtnl.IFLA_ADDRESS in found else "",
            "master": str(_number(found[rtnl.IFLA_MASTER])) if rtnl.IFLA_MASTER in found else "",
            "hairpin": bool(port[rtnl.BRPORT_MODE][0]) if rtnl.BRPORT_MODE in port else False,
            "up": bool(flags & rtnl.IFF_UP),
        }
        yield index, _link(kind, attributes(info[rtnl.INFO_DATA]) if rtnl.INFO_DATA in info else {}, common)


def _link(kind: str, data: dict[int, memoryview], common: dict[str, Any]) -> Link:
    if kind == "veth":
        return Veth(peer_netns="", peer="", **common)
    if kind == "vxlan":
        local = data.get(rtnl.VXLAN_LOCAL6) or data.get(rtnl.VXLAN_LOCAL) or b""
        below = str(_number(data[rtnl.VXLAN_LINK])) if rtnl.VXLAN_LINK in data else ""
        return Vxlan(
            vni=_number(data[rtnl.VXLAN_ID]),
            local=_text(bytes(local)),
            port=struct.unpack(">H", data[rtnl.VXLAN_PORT])[0],
            device_below=below,
            **common,
        )
    plain = {"bridge": Bridge, "dummy": Dummy, "ipip": Ipip}.get(kind, Link)
    return plain(**common)


def _named(link: Link, names: dict[int, str]) -> Link:
    if link.master:
        link = replace(link, master=names.get(int(link.master), ""))
    if isinstance(link, Vxlan) and link.device_below:
        link = replace(link, device_below=names.get(int(link.device_below), ""))
    return link


def _addresses(opened: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in opened.dump(RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        _family, length, _flags, scope, index = struct.unpack_from("=BBBBI", body)
        found = attributes(body[8:])
        raw = found.get(rtnl.IFA_LOCAL, found[rtnl.IFA_ADDRESS])
        if index in names:
            yield Address(netns=netns_name, dev=names[index], cidr=f"{_text(bytes(raw))}/{length}", scope=_SCOPE_NAMES.get(scope, str(scope)))


def _routes(opened: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for family in (socket.AF_INET, socket.AF_INET6):
        header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, TABLE_MAIN, 0, 0, 0, 0)
        for _kind, body in opened.dump(RTM_GETROUTE, header):
            _family, length, _src, _tos, table, proto, scope, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
            if table != TABLE_MAIN or kind not in _TYPE_NAMES or proto == PROTOCOLS["kernel"]:
                continue
            found = attributes(body[12:])
            bits = 128 if family == socket.AF_INET6 else 32
            dst = "default" if not length else _text(bytes(found[rtnl.RTA_DST])) + ("" if length == bits else f"/{length}")
            yield Route(
                netns=netns_name,
                dst=dst,
                via=_text(bytes(found[rtnl.RTA_GATEWAY])) if rtnl.RTA_GATEWAY in found else "",
                dev=names.get(_number(found[rtnl.RTA_OIF]), "") if rtnl.RTA_OIF in found else "",
                proto=_PROTOCOL_NAMES.get(proto, str(proto)),
                scope=_SCOPE_NAMES.get(scope, str(scope)),
                onlink=bool(flags & rtnl.RTNH_F_ONLINK),
                type=_TYPE_NAMES[kind],
                src=_text(bytes(found[rtnl.RTA_PREFSRC])) if rtnl.RTA_PREFSRC in found else "",
            )


def _neighbours(opened: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in opened.dump(RTM_GETNEIGH, struct.pack("=BxHiHBB", 0, 0, 0, 0, 0, 0)):
        _family, _pad, index, state, _flags, _type = struct.unpack_from("=BxHiHBB", body)
        found = attributes(body[12:])
        if state & NUD_PERMANENT and index in names and rtnl.NDA_LLADDR in found:
            yield Neighbour(netns=netns_name, dev=names[index], address=_text(bytes(found[rtnl.NDA_DST])), mac=bytes(found[rtnl.NDA_LLADDR]).hex(":"))


def _fdb(opened: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in opened.dump(RTM_GETNEIGH, struct.pack("=BxHiHBB", socket.AF_BRIDGE, 0, 0, 0, 0, 0)):
        _family, _pad, index, _state, _flags, _type = struct.unpack_from("=BxHiHBB", body)
        found = attributes(body[12:])
        if index in names and rtnl.NDA_DST in found and rtnl.NDA_LLADDR in found:
            yield Fdb(netns=netns_name, dev=names[index], mac=bytes(found[rtnl.NDA_LLADDR]).hex(":"), dst=_text(bytes(found[rtnl.NDA_DST])))


def _settings(asked: Iterable[Sysctl]) -> Iterator[Sysctl]:
    """Read sysctls of the calling thread's network namespace; one whose link is gone is absent."""
    for setting in asked:
        file = Path("/proc/sys", setting.name)
        if file.exists():
            yield Sysctl(netns=setting.netns, name=setting.name, value=file.read_text().strip().replace("\t", " "))


def _string(data: bytes | memoryview) -> str:
    return bytes(data).rstrip(b"\0").decode()


def _number(data: memoryview) -> int:
    return int(struct.unpack("=I", data)[0])


def _text(raw: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw) if raw else ""  # noqa: PLR2004 (bytes of an IPv6 address)
