"""Desired minus observed: the operations that lead from what stands to what ought to stand, in an order that works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from klab.linux.objects import Address, KernelObject, Key, Link, Netns, Qualify, Route, Veth

Verb = Literal["create", "change", "delete"]
_LIVE_ATTRIBUTES = frozenset({"mtu", "mac", "master", "hairpin", "up"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: make `object`, change `before` into it, or delete it."""

    verb: Verb
    object: KernelObject
    before: KernelObject | None = None

    @property
    def why(self) -> str:
        """Name what the step is done for."""
        return self.object.why

    def lines(self, q: Qualify) -> tuple[str, ...]:
        """Give the commands that a person would type for it."""
        if self.verb == "delete":
            return self.object.delete(q)
        if self.verb == "change" and self.before is not None:
            return self.object.change(q, self.before)
        return self.object.create(q)


def diff(desired: Iterable[KernelObject], observed: Mapping[Key, KernelObject], stale: Iterable[KernelObject] = ()) -> list[Operation]:
    """Compare two states.

    `stale` holds objects that were wanted once: they are deleted where they still stand. Everything else that is observed and not desired is left
    alone: it belongs to the person at the keyboard. What hangs on a link or namespace that has to be made again is made again with it.
    """
    wanted = {item.key: item for item in desired}
    gone = [item for item in stale if item.key not in wanted and item.key in observed]
    remade = {item.key for item in gone if isinstance(item, Link | Netns)}
    operations = [Operation("delete", item) for item in gone]
    for item in sorted(wanted.values(), key=order):
        standing = observed.get(item.key)
        again = ("Link", item.netns, item.device) in remade or ("Netns", item.netns) in remade
        if standing == item and not again and not (isinstance(item, Link) and ("Link", item.netns, item.master) in remade):
            continue
        if standing and standing != item and not _can_become(item, standing, observed):
            operations.append(Operation("delete", standing))
            standing = None
        if standing is None or again:
            operations.append(Operation("create", item))
            if isinstance(item, Link):
                remade |= {item.key, ("Link", item.peer_netns, item.peer)} if isinstance(item, Veth) else {item.key}
        elif not _settled(item, standing, observed) or (isinstance(item, Link) and ("Link", item.netns, item.master) in remade):
            operations.append(Operation("change", item, standing))
    return in_order(operations)


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    """Put deletions first, from the top down; then creations and changes, from the bottom up."""
    listed = list(operations)
    deletions = sorted((step for step in listed if step.verb == "delete"), key=lambda step: order(step.object))
    return deletions[::-1] + sorted((step for step in listed if step.verb != "delete"), key=lambda step: order(step.object))


def order(item: KernelObject) -> tuple[int, int, int]:
    """Sort namespaces before links before addresses before routes, a route to a gateway before one through it.

    Rules go from the middle of their chain outwards: what is put at its head last stands first.
    """
    return (item.rank, int(isinstance(item, Route) and bool(item.via)), abs(getattr(item, "order", 0)))


def _can_become(want: KernelObject, have: KernelObject, observed: Mapping[Key, KernelObject]) -> bool:
    """Say whether `have` can become `want` without being made again: the same device can, an address can not."""
    if not isinstance(want, Link):
        return not isinstance(want, Address)
    if type(want) is not type(have):
        return False
    if isinstance(want, Veth):
        return ("Link", want.peer_netns, want.peer) in observed
    fixed = {name: getattr(want, name) for name in _fields(want) if name not in _LIVE_ATTRIBUTES}
    return all(getattr(have, name) == value for name, value in fixed.items())


def _settled(want: KernelObject, have: KernelObject, observed: Mapping[Key, KernelObject]) -> bool:
    """Say whether nothing has to be done; what `want` leaves open (mtu 0, mac "") is as it should be."""
    if not isinstance(want, Link) or not isinstance(have, Link):
        return want == have
    if isinstance(want, Veth):
        other = observed.get(("Link", want.peer_netns, want.peer))
        if not isinstance(other, Link) or not other.up or (want.mtu and other.mtu != want.mtu):
            return False
        have = replace(want, **{name: getattr(have, name) for name in _LIVE_ATTRIBUTES})
    return replace(have, mtu=have.mtu if want.mtu else 0, mac=have.mac if want.mac else "") == want


def _fields(item: Link) -> tuple[str, ...]:
    return tuple(name for name in type(item).__dataclass_fields__ if name != "why")
