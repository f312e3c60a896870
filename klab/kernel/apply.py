"""Carries operations out: namespaces, links, addresses, routes in batches of netlink messages; sysctls and rules from a thread in their namespace.

Stages follow the ranks of klab.linux.objects: everything of a lower rank stands, in every namespace, before the first of a higher rank is begun;
rules come last, all of a namespace at once.
A refused message stops the work with a KernelError that names the line a person would have typed; taking back what was made is the caller's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from klab.errors import KernelError
from klab.kernel import netns, rtnl, rules
from klab.kernel.cni import Plugins
from klab.kernel.netlink import Message, NetlinkRefusedError, RouteSocket
from klab.linux.cni import CniAttachment
from klab.linux.diff import Operation, in_order
from klab.linux.objects import Address, Bridge, Fdb, Ipip, Link, Neighbour, Netns, Qualify, Route, Sysctl, Veth, Vxlan

_ABSENT = frozenset({errno.ENODEV, errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL})

Placed = tuple[str, Message]  # a message and the namespace it is sent in
Executor = Callable[[Sequence[Operation]], None]  # called in a thread of the operations' namespace


class Applier:
    """Works on the namespaces below one directory."""

    def __init__(self, directory: Path, qualify: Qualify, plugins: Plugins) -> None:
        """Work on `directory`/NAME; `qualify` gives the names for error messages, `plugins` attach pods where CNI plugins make the network."""
        self._directory = directory
        self._plugins = plugins
        self._qualify = qualify
        self._sockets: dict[str, RouteSocket] = {}
        self._indexes: dict[tuple[str, str], int] = {}

    def apply(self, operations: Iterable[Operation]) -> None:
        """Carry all of them out, in a working order whatever order they come in; what goes with its namespace is not removed by hand."""
        listed = list(operations)
        dying = {step.object.netns for step in listed if step.verb == "delete" and isinstance(step.object, Netns)}
        lasting = [
            step
            for step in listed
            if not (step.verb == "delete" and step.object.netns in dying and not isinstance(step.object, Netns | CniAttachment))
        ]
        lasting = self._without_vanished(lasting)
        steps = [step for step in lasting if not isinstance(step.object, rules.TYPES)]
        try:
            for (removing, _rank), stage in groupby(in_order(steps), key=lambda step: (step.verb == "delete", step.object.rank)):
                self._stage(list(stage), removing=removing)
        finally:
            for opened in self._sockets.values():
                opened.close()
            self._sockets.clear()
            self._indexes.clear()
        self._in_each([step for step in lasting if isinstance(step.object, rules.TYPES)], rules.apply, netns.side_by_side)

    def _stage(self, stage: Sequence[Operation], *, removing: bool) -> None:
        first = stage[0].object
        if isinstance(first, Netns):
            names = [step.object.netns for step in stage]
            if removing:
                netns.remove(map(self._path, names))
            else:
                self._make(names)
        elif isinstance(first, Sysctl):
            self._in_each(stage, self._write_sysctls, netns.each)
        elif isinstance(first, CniAttachment):
            self._plugins.apply(stage)
        else:
            self._open(stage)
            self._send(stage, self._removal if removing else self._messages, fine=_ABSENT if removing else frozenset())
            if not removing:
                self._send(stage, self._finish)

    def _without_vanished(self, steps: Sequence[Operation]) -> list[Operation]:
        """Leave out what is to be removed where the namespace is gone with it; KernelError where something is to be made in one that is not there."""
        made = {step.object.netns for step in steps if isinstance(step.object, Netns)}
        gone = {name for name in {place for step in steps for place in _places(step)} - made if not netns.exists(self._path(name))}
        for step in steps:
            if step.verb != "delete" and (missing := gone & _places(step)):
                raise self._refused(step, errno.ENOENT, f"there is no network namespace {', '.join(map(self._qualify, sorted(missing)))}")
        return [step for step in steps if step.object.netns not in gone or isinstance(step.object, CniAttachment)]

    def _refused(self, step: Operation, code: int, reason: str) -> KernelError:
        return KernelError("; ".join(step.lines(self._qualify)), code, reason)

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _make(self, names: Sequence[str]) -> None:
        try:
            self._sockets.update(zip(names, netns.create_open([self._path(name) for name in names]), strict=True))
        except OSError as error:
            raise KernelError(f"ip netns add {self._qualify(Path(error.filename or '').name)}", error.errno or 0, str(error)) from error

    def _open(self, stage: Sequence[Operation]) -> None:
        names = {place for step in stage for place in _places(step)}
        missing = sorted(name for name in names - self._sockets.keys() if netns.exists(self._path(name)))
        opened = netns.each([self._path(name) for name in missing], lambda _path: RouteSocket())
        self._sockets.update(zip(missing, opened, strict=True))

    def _in_each(self, stage: Sequence[Operation], work: Executor, visit: Callable[[Iterable[Path], Callable[[Path], None]], object]) -> None:
        by_path = {self._path(name): list(steps) for name, steps in groupby(sorted(stage, key=_netns_of), key=_netns_of)}
        visit(by_path, lambda path: work(by_path[path]))

    def _write_sysctls(self, stage: Sequence[Operation]) -> None:
        """Write settings of the calling thread's network namespace."""
        for step in stage:
            if isinstance(step.object, Sysctl) and step.verb != "delete":
                try:
                    Path("/proc/sys", step.object.name).write_text(step.object.value)
                except OSError as error:
                    raise self._refused(step, error.errno or 0, error.strerror or "") from error

    def _send(
        self, stage: Sequence[Operation], encode: Callable[[Operation, ExitStack], Iterator[Placed]], fine: frozenset[int] = frozenset()
    ) -> None:
        """Encode the whole stage, then send it a namespace at a time."""
        with ExitStack() as descriptors:
            batches: dict[str, list[tuple[Operation, Message]]] = {}
            for step in stage:
                for place, message in encode(step, descriptors):
                    batches.setdefault(place, []).append((step, message))
            for place, pairs in batches.items():
                try:
                    self._sockets[place].send([message for _step, message in pairs], fine)
                except NetlinkRefusedError as error:
                    raise self._refused(pairs[error.index][0], error.errno or 0, error.strerror or "") from error

    def _index(self, place: str, name: str) -> int:
        """Give the index of a link, 0 where there is none."""
        if (place, name) not in self._indexes:
            index = self._sockets[place].index_of(name) if name else 0
            if not index:
                return 0
            self._indexes[place, name] = index
        return self._indexes[place, name]

    def _removal(self, step: Operation, _descriptors: ExitStack) -> Iterator[Placed]:
        item, place = step.object, step.object.netns
        index = self._index(place, item.device)
        match item:
            case Ipip():
                yield place, rtnl.set_link(self._index(place, item.name), up=False)
            case Link() if own := self._index(place, item.name):
                del self._indexes[place, item.name]
                yield place, rtnl.del_link(own)
            case Address() if index:
                yield place, rtnl.del_address(index, item.cidr, item.scope)
            case Route():
                yield place, _route(rtnl.del_route, item, index)
            case Neighbour() if index:
                yield place, rtnl.del_neighbour(index, item.address)
            case Fdb() if index:
                yield place, rtnl.del_fdb(index, item.mac, item.dst)

    def _messages(self, step: Operation, descriptors: ExitStack) -> Iterator[Placed]:
        item, place = step.object, step.object.netns
        index = self._index(place, item.device)
        match item:
            case Link() if step.verb == "change" or (isinstance(item, Ipip) and self._index(place, item.name)):
                yield from self._changes(item)
            case Link():
                yield place, self._creation(item, descriptors)
            case Address():
                yield place, rtnl.new_address(index, item.cidr, item.scope)
            case Route():
                yield place, _route(rtnl.new_route, item, index)
            case Neighbour():
                yield place, rtnl.new_neighbour(index, item.address, item.mac)
            case Fdb():
                yield place, rtnl.new_fdb(index, item.mac, item.dst)

    def _creation(self, item: Link, descriptors: ExitStack) -> Message:
        data = b""
        if isinstance(item, Veth):
            peer = os.open(self._path(item.peer_netns), os.O_RDONLY | os.O_CLOEXEC)
            descriptors.callback(os.close, peer)
            data = rtnl.veth_data(item.peer, peer, mtu=item.mtu, mac=item.peer_mac)
        elif isinstance(item, Vxlan):
            data = rtnl.vxlan_data(vni=item.vni, local=item.local, below=self._index(item.netns, item.device_below), port=item.port)
        master = self._index(item.netns, item.master)
        mtu = 0 if isinstance(item, Bridge) else item.mtu
        return rtnl.new_link(item.kind, item.name, mtu=mtu, mac=item.mac, master=master, up=item.up, data=data)

    def _changes(self, item: Link) -> Iterator[Placed]:
        master = None if isinstance(item, Ipip) else self._index(item.netns, item.master)
        yield item.netns, rtnl.set_link(self._index(item.netns, item.name), up=item.up, mtu=item.mtu, mac=item.mac, master=master)

    def _finish(self, step: Operation, _descriptors: ExitStack) -> Iterator[Placed]:
        """Say what can be said only of a link that is there: a bridge keeps this MTU, a pair's far end comes up, its near one is a hairpin port."""
        item = step.object
        if isinstance(item, Bridge) and item.mtu:
            yield item.netns, rtnl.set_link(self._index(item.netns, item.name), mtu=item.mtu)
        if isinstance(item, Veth):
            mtu = item.mtu if step.verb == "change" else 0
            yield item.peer_netns, rtnl.set_link(self._index(item.peer_netns, item.peer), up=True, mtu=mtu)
            if item.master and (item.hairpin or step.verb == "change"):
                yield item.netns, rtnl.set_hairpin(self._index(item.netns, item.name), on=item.hairpin)


def _netns_of(step: Operation) -> str:
    return step.object.netns


def _places(step: Operation) -> set[str]:
    """Name the namespaces that a step works in; a pair can be removed from one of its ends."""
    match step.object:
        case Veth() as item if step.verb != "delete":
            return {item.netns, item.peer_netns}
        case CniAttachment() as item:
            return {item.netns, item.node}
    return {step.object.netns}


def _route(pack: Callable[..., Message], item: Route, index: int) -> Message:
    return pack(dst=item.dst, via=item.via, index=index, proto=item.proto, scope=item.scope, onlink=item.onlink, kind=item.type, src=item.src)
