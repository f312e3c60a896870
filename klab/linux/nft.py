"""nftables tables, chains, sets, maps and elements as values, and the one `nft -f` transaction that carries out a set of operations on them.

Texts of rules and elements are written exactly as `nft -y list table` prints them, so that what was asked for can be compared with what is there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from klab.linux.diff import Operation
from klab.linux.objects import KernelObject, Key, Qualify
from klab.linux.steps import objects


@dataclass(frozen=True, slots=True, kw_only=True)
class _NftObject(KernelObject):
    """Common part: address family ("ip", "ip6") and table."""

    family: str = "ip"
    table: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Give the part of a key that names the table."""
        return (self.netns, self.family, self.table)

    @property
    def where(self) -> str:
        """Give the table as a command names it."""
        return f"{self.family} {self.table}"

    def additions(self) -> tuple[str, ...]:
        """Give the commands that add it to the ruleset."""
        raise NotImplementedError

    def removal(self) -> str:
        """Give the command that takes it out of the ruleset."""
        raise NotImplementedError

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Add it."""
        return tuple(f"ip netns exec {q(self.netns)} nft '{line}'" for line in self.additions())

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:  # noqa: ARG002 (links need it)
        """Take out what was in it, and add it."""
        return tuple(f"ip netns exec {q(self.netns)} nft '{line}'" for line in (*self.clearing(), *self.additions()))

    def clearing(self) -> tuple[str, ...]:
        """Give the commands that make room for what a change adds."""
        return ()

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Take it out."""
        return (f"ip netns exec {q(self.netns)} nft '{self.removal()}'",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NftTable(_NftObject):
    """A table of our own."""

    rank = 9
    comment: str = ""

    @property
    def key(self) -> Key:
        """One name in one family."""
        return ("NftTable", *self.place)

    def additions(self) -> tuple[str, ...]:
        """Add the table."""
        return (f"add table {self.where}{_block(comment=self.comment)}",)

    def removal(self) -> str:
        """Take it out with all that it holds."""
        return f"delete table {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NftSet(_NftObject):
    """A named set, or a verdict map where the type holds a colon; `timeout` in seconds, 0 for none."""

    rank = 10
    name: str
    type: str
    flags: str = ""
    timeout: int = 0
    comment: str = ""

    @property
    def key(self) -> Key:
        """Sets and maps share their names in a table."""
        return ("NftSet", *self.place, self.name)

    @property
    def word(self) -> str:
        """Say whether it is a set or a map."""
        return "map" if ":" in self.type else "set"

    def additions(self) -> tuple[str, ...]:
        """Add the set."""
        timeout = f"{self.timeout}s" if self.timeout else ""
        return (f"add {self.word} {self.where} {self.name}{_block(type=self.type, flags=self.flags, timeout=timeout, comment=self.comment)}",)

    def removal(self) -> str:
        """Take it out."""
        return f"delete {self.word} {self.where} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NftChain(_NftObject):
    """A chain with all its rules, in order; `hook` ("type nat hook prerouting priority -100") makes it a base chain."""

    rank = 11
    name: str
    rules: tuple[str, ...]
    hook: str = ""
    comment: str = ""

    @property
    def key(self) -> Key:
        """One name in one table."""
        return ("NftChain", *self.place, self.name)

    def declaration(self) -> str:
        """Add the chain without its rules."""
        return f"add chain {self.where} {self.name}{_block(self.hook, comment=self.comment)}"

    def fill(self) -> tuple[str, ...]:
        """Add the rules."""
        return tuple(f"add rule {self.where} {self.name} {rule}" for rule in self.rules)

    def additions(self) -> tuple[str, ...]:
        """Add the chain and its rules."""
        return (self.declaration(), *self.fill())

    def clearing(self) -> tuple[str, ...]:
        """Take out its rules."""
        return (self.flush(),)

    def flush(self) -> str:
        """Take out its rules."""
        return f"flush chain {self.where} {self.name}"

    def removal(self) -> str:
        """Take it out."""
        return f"delete chain {self.where} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NftElement(_NftObject):
    """One element of a set ("10.96.0.1") or of a map ("10.96.0.1 . tcp . 443", value "goto service-...")."""

    rank = 12
    set: str
    element: str
    value: str = ""
    comment: str = ""

    @property
    def key(self) -> Key:
        """One element of one set."""
        return ("NftElement", *self.place, self.set, self.element)

    def additions(self) -> tuple[str, ...]:
        """Add the element."""
        text = f'{self.element} comment "{self.comment}"' if self.comment else self.element
        return (f"add element {self.where} {self.set} {{ {f'{text} : {self.value}' if self.value else text} }}",)

    def clearing(self) -> tuple[str, ...]:
        """Take the element out: the kernel does not change what it leads to."""
        return (self.removal(),)

    def removal(self) -> str:
        """Take the element out."""
        return f"delete element {self.where} {self.set} {{ {self.element} }}"


def address_set(items: Iterable[str]) -> str:
    """Give addresses and CIDRs as nft prints them on the right of a match: sorted, overlapping and adjacent ranges merged, braces around several."""
    networks = sorted({ipaddress.ip_network(item) for item in items}, key=lambda network: (int(network.network_address), network.prefixlen))
    if all(network.num_addresses == 1 for network in networks):
        texts = [str(network.network_address) for network in networks]
    else:
        texts = [_range(first, last, networks[0].max_prefixlen) for first, last in _merged(networks)]
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"


def _merged(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for network in networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        if spans and first <= spans[-1][1] + 1:
            first, last = spans[-1][0], max(last, spans.pop()[1])
        spans.append((first, last))
    return spans


def _range(first: int, last: int, bits: int) -> str:
    """Give a span as one CIDR where it is one, else as "first-last"."""
    size = last - first + 1
    low, high = (ipaddress.ip_address(value.to_bytes(bits // 8)) for value in (first, last))
    if size & (size - 1) or first % size:
        return f"{low}-{high}"
    return str(low) if size == 1 else f"{low}/{bits - size.bit_length() + 1}"


def _block(*statements: str, comment: str = "", **fields: str) -> str:
    """Give what stands in braces after a name, "" where that is nothing."""
    words = [statement for statement in statements if statement]
    words += [f"{name} {value}" for name, value in fields.items() if value]
    words += [f'comment "{comment}"'] if comment else []
    return f" {{ {' ; '.join(words)} ; }}" if words else ""


def render_transaction(operations: Sequence[Operation]) -> str:
    """Give the input of `nft -f -` that carries out the operations of one namespace; removed chains are emptied, and deleted by `render_cleanup`.

    A chain can be deleted only when nothing leads to it any more. Kernels before 6.2 notice that a map element is gone some time after the
    transaction that removes it (see kube-proxy's staleChains), so that deletion has to be a transaction of its own.
    """
    return "".join(f"{line}\n" for line in _commands(operations))


def render_cleanup(operations: Sequence[Operation]) -> str:
    """Give the second transaction: delete the chains that the first one emptied."""
    tables = {item.place for item in objects(operations, NftTable, "delete")}
    chains = objects(operations, NftChain, "delete")
    return "".join(f"{item.removal()}\n" for item in chains if item.place not in tables)


def _commands(operations: Sequence[Operation]) -> Iterator[str]:
    dropped = {item.place for item in objects(operations, NftTable, "delete")}
    steps = [step for step in operations if isinstance(step.object, _NftObject) and step.object.place not in dropped]
    yield from (item.removal() for item in objects(steps, NftElement, "delete", "change"))
    yield from (item.flush() for item in objects(steps, NftChain, "delete", "change"))
    yield from (item.removal() for item in objects(steps, NftSet, "delete"))
    for kind in (NftTable, NftSet):
        yield from (line for item in objects(steps, kind, "create", "change") for line in item.additions())
    yield from (item.declaration() for item in objects(steps, NftChain, "create"))
    yield from (line for item in objects(steps, NftChain, "create", "change") for line in item.fill())
    yield from (line for item in objects(steps, NftElement, "create", "change") for line in item.additions())
    yield from (f"delete table {family} {table}" for _netns, family, table in sorted(dropped))
