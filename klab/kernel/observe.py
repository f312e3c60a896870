"""Reads back, a namespace at a time and in bulk, what stands in the kernel, as the values that the planners speak of."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from klab.kernel import netns, rules
from klab.kernel.netlink import RTM_GETADDR, RTM_GETLINK, RTM_GETNEIGH, RTM_GETROUTE, RouteSocket, attributes
from klab.kernel.rtnl import NUD_PERMANENT, PROTOCOLS, ROUTE_TYPES, SCOPES, TABLE_MAIN
from klab.linux.objects import Address, Bridge, Dummy, Fdb, Ipip, Key, KernelObject, Link, Neighbour, Netns, Route, Sysctl, Veth, Vxlan

_IFF_UP = 1
_RTNH_F_ONLINK = 4
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_SCOPE_NAMES = {number: name for name, number in SCOPES.items()}
_TYPE_NAMES = {number: name for name, number in ROUTE_TYPES.items()}


def observe(namespaces: dict[str, Path], desired: Iterable[KernelObject] = ()) -> dict[Key, KernelObject]:
    """Read everything in the namespaces (short name -> file) that exist; sysctls and rules only where some of their class are desired."""
    living = {path: name for name, path in namespaces.items() if netns.exists(path)}
    asked: dict[str, list[Sysctl]] = {}
    ruled: dict[str, set[type[KernelObject]]] = {}
    for item in desired:
        if isinstance(item, Sysctl):
            asked.setdefault(item.netns, []).append(item)
        elif isinstance(item, rules.TYPES):
            ruled.setdefault(item.netns, set()).add(type(item))

    def visit(path: Path) -> list[KernelObject]:
        name = living[path]
        rtnl = RouteSocket()
        try:
            return [Netns(netns=name), *_visible(rtnl, name), *_settings(asked.get(name, ())), *rules.observe(name, tuple(ruled.get(name, ())))]
        finally:
            rtnl.close()

    return {item.key: item for found in netns.each(living, visit) for item in found}


def _visible(rtnl: RouteSocket, name: str) -> Iterator[KernelObject]:
    links = dict(_links(rtnl, name))
    names = {index: link.name for index, link in links.items()}
    yield from (_named(link, names) for link in links.values() if link.name != "lo")
    yield from _addresses(rtnl, name, names)
    yield from _routes(rtnl, name, names)
    yield from _neighbours(rtnl, name, names)
    if any(isinstance(link, Vxlan) for link in links.values()):
        yield from _fdb(rtnl, name, {index: link.name for index, link in links.items() if isinstance(link, Vxlan)})


def _links(rtnl: RouteSocket, netns_name: str) -> Iterator[tuple[int, Link]]:
    """Yield index and link; `master` and `device_below` hold an index as text until _named puts the names in."""
    for _kind, body in rtnl.dump(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
        _family, _type, index, flags, _change = struct.unpack_from("=BxHiII", body)
        found = attributes(body[16:])
        info = attributes(found[18]) if 18 in found else {}
        kind = _string(info.get(1, b""))
        port = attributes(info[5]) if 5 in info else {}
        common = {
            "netns": netns_name,
            "name": _string(found[3]),
            "mtu": _number(found[4]),
            "mac": bytes(found[1]).hex(":") if 1 in found else "",
            "master": str(_number(found[10])) if 10 in found else "",
            "hairpin": bool(port[4][0]) if 4 in port else False,
            "up": bool(flags & _IFF_UP),
        }
        yield index, _link(kind, attributes(info[2]) if 2 in info else {}, common)


def _link(kind: str, data: dict[int, memoryview], common: dict[str, object]) -> Link:
    if kind == "veth":
        return Veth(peer_netns="", peer="", **common)  # type: ignore[arg-type]
    if kind == "vxlan":
        local, below = data.get(17) or data.get(4) or b"", str(_number(data[3])) if 3 in data else ""
        return Vxlan(vni=_number(data[1]), local=_text(bytes(local)), port=struct.unpack(">H", data[15])[0], device_below=below, **common)  # type: ignore[arg-type]
    plain = {"bridge": Bridge, "dummy": Dummy, "ipip": Ipip}.get(kind, Link)
    return plain(**common)  # type: ignore[arg-type]


def _named(link: Link, names: dict[int, str]) -> Link:
    if link.master:
        link = replace(link, master=names.get(int(link.master), ""))
    if isinstance(link, Vxlan) and link.device_below:
        link = replace(link, device_below=names.get(int(link.device_below), ""))
    return link


def _addresses(rtnl: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in rtnl.dump(RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        _family, length, _flags, scope, index = struct.unpack_from("=BBBBI", body)
        found = attributes(body[8:])
        raw = found.get(2, found[1])
        if index in names:
            yield Address(netns=netns_name, dev=names[index], cidr=f"{_text(bytes(raw))}/{length}", scope=_SCOPE_NAMES.get(scope, str(scope)))


def _routes(rtnl: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for family in (socket.AF_INET, socket.AF_INET6):
        header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, TABLE_MAIN, 0, 0, 0, 0)
        for _kind, body in rtnl.dump(RTM_GETROUTE, header):
            _family, length, _src, _tos, table, proto, scope, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
            if table != TABLE_MAIN or kind not in _TYPE_NAMES or proto == PROTOCOLS["kernel"]:
                continue
            found = attributes(body[12:])
            bits = 128 if family == socket.AF_INET6 else 32
            dst = "default" if not length else _text(bytes(found[1])) + ("" if length == bits else f"/{length}")
            yield Route(
                netns=netns_name,
                dst=dst,
                via=_text(bytes(found[5])) if 5 in found else "",
                dev=names.get(_number(found[4]), "") if 4 in found else "",
                proto=_PROTOCOL_NAMES.get(proto, str(proto)),
                scope=_SCOPE_NAMES.get(scope, str(scope)),
                onlink=bool(flags & _RTNH_F_ONLINK),
                type=_TYPE_NAMES[kind],
                src=_text(bytes(found[7])) if 7 in found else "",
            )


def _neighbours(rtnl: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in rtnl.dump(RTM_GETNEIGH, struct.pack("=BxHiHBB", 0, 0, 0, 0, 0, 0)):
        _family, _pad, index, state, _flags, _type = struct.unpack_from("=BxHiHBB", body)
        found = attributes(body[12:])
        if state & NUD_PERMANENT and index in names and 2 in found:
            yield Neighbour(netns=netns_name, dev=names[index], address=_text(bytes(found[1])), mac=bytes(found[2]).hex(":"))


def _fdb(rtnl: RouteSocket, netns_name: str, names: dict[int, str]) -> Iterator[KernelObject]:
    for _kind, body in rtnl.dump(RTM_GETNEIGH, struct.pack("=BxHiHBB", socket.AF_BRIDGE, 0, 0, 0, 0, 0)):
        _family, _pad, index, _state, _flags, _type = struct.unpack_from("=BxHiHBB", body)
        found = attributes(body[12:])
        if index in names and 1 in found and 2 in found:
            yield Fdb(netns=netns_name, dev=names[index], mac=bytes(found[2]).hex(":"), dst=_text(bytes(found[1])))


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
