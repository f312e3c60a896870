"""ipsets and their entries as values, and the two `ipset restore` texts of operations: what has to stand before rules, what may go after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from klab.linux.diff import Operation
from klab.linux.objects import KernelObject, Key, Qualify
from klab.linux.steps import objects


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSet(KernelObject):
    """A set of type "hash:ip,port", "bitmap:port" ...; `options` is what follows the type when it is made (the kernel tunes sizes later)."""

    rank = 9
    name: str
    type: str
    options: str = field(default="", compare=False)

    @property
    def key(self) -> Key:
        """One name in a namespace."""
        return ("IpSet", self.netns, self.name)

    @property
    def creation(self) -> str:
        """Give the line that makes it."""
        return f"create {self.name} {self.type} {self.options}".rstrip()

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Make the set."""
        return (f"ip netns exec {q(self.netns)} ipset {self.creation}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Remove it with its entries; no rule may match it any more."""
        return (f"ip netns exec {q(self.netns)} ipset destroy {self.name}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSetEntry(KernelObject):
    """One entry as `ipset save` prints it: "10.96.0.1,tcp:443"."""

    rank = 10
    set: str
    entry: str

    @property
    def key(self) -> Key:
        """One entry of one set."""
        return ("IpSetEntry", self.netns, self.set, self.entry)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add it."""
        return (f"ip netns exec {q(self.netns)} ipset add {self.set} {self.entry}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Take it out."""
        return (f"ip netns exec {q(self.netns)} ipset del {self.set} {self.entry}",)


def render_additions(operations: Sequence[Operation]) -> str:
    """Give the input of `ipset -exist restore` that has to be carried out before the rules that match the sets."""
    lines = [item.creation for item in objects(operations, IpSet, "create", "change")]
    lines += [f"add {item.set} {item.entry}" for item in objects(operations, IpSetEntry, "create", "change")]
    return "".join(f"{line}\n" for line in lines)


def render_removals(operations: Sequence[Operation]) -> str:
    """Give the input of `ipset -exist restore` that has to wait until no rule matches the removed sets."""
    removed = [item.name for item in objects(operations, IpSet, "delete")]
    lines = [f"del {item.set} {item.entry}" for item in objects(operations, IpSetEntry, "delete") if item.set not in removed]
    lines += [f"destroy {name}" for name in removed]
    return "".join(f"{line}\n" for line in lines)


def parse_save(text: str, netns: str) -> Iterator[KernelObject]:
    """Read what `ipset save` prints."""
    for line in text.splitlines():
        word, name, what, *options = line.split(" ", 3)
        if word == "create":
            yield IpSet(netns=netns, name=name, type=what, options=" ".join(options))
        elif word == "add":
            yield IpSetEntry(netns=netns, set=name, entry=what)
