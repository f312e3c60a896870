"""iptables chains and rules as values, and the one `iptables-restore --noflush` text that carries out a set of operations on them.

A rule's text is what follows `-A CHAIN ` and is written exactly as `iptables-save` prints it (flags in its order, /32 on hosts, quoted comments):
what was asked for can then be compared with what is there as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from klab.linux.diff import Operation
from klab.linux.objects import KernelObject, Key, Qualify
from klab.linux.steps import objects

BUILTIN_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})

_IPV6 = 6
_PLAIN_COMMENT = re.compile(r"[-_0-9A-Za-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _IptablesObject(KernelObject):
    """Common part: the table, and the address family (4: iptables, 6: ip6tables)."""

    table: str
    family: int = 4

    def head(self, q: Qualify) -> str:
        """Give the beginning of each command line."""
        return f"ip netns exec {q(self.netns)} {program(self.family)} -w -t {self.table}"

    @property
    def place(self) -> tuple[str, str]:
        """Say in the words of a key which table of which family is meant; IPv4 is plain."""
        return (self.netns, f"{self.table}6" if self.family == _IPV6 else self.table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(_IptablesObject):
    """A chain of our own with all its rules, in order; whatever else is put into it goes with the next change."""

    rank = 9
    name: str
    rules: tuple[str, ...]

    @property
    def key(self) -> Key:
        """One name in one table."""
        return ("Chain", *self.place, self.name)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Make the chain and fill it."""
        head = self.head(q)
        return (f"{head} -N {self.name}", *(f"{head} -A {self.name} {_typed(rule)}" for rule in self.rules))

    def change(self, q: Qualify, before: KernelObject) -> tuple[str, ...]:  # noqa: ARG002 (links need it)
        """Fill it anew."""
        head = self.head(q)
        return (f"{head} -F {self.name}", *(f"{head} -A {self.name} {_typed(rule)}" for rule in self.rules))

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Empty the chain and remove it."""
        head = self.head(q)
        return (f"{head} -F {self.name}", f"{head} -X {self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedChain(_IptablesObject):
    """A chain of our own that several objects put rules into (KUBE-SERVICES): each is a Rule."""

    rank = 9
    name: str

    @property
    def key(self) -> Key:
        """One name in one table."""
        return ("SharedChain", *self.place, self.name)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Make the chain."""
        return (f"{self.head(q)} -N {self.name}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Empty the chain and remove it."""
        head = self.head(q)
        return (f"{head} -F {self.name}", f"{head} -X {self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(_IptablesObject):
    """One rule in a chain that several objects share.

    A negative `order` puts it at the head of the chain, else it goes to the end; of those put there in one go the lower order stands earlier.
    """

    rank = 10
    chain: str
    text: str
    order: int = field(default=0, compare=False)

    @property
    def key(self) -> Key:
        """A rule is its text."""
        return ("Rule", *self.place, self.chain, self.text)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Put it at the head or the end."""
        return (f"{self.head(q)} {_typed(self.placed)}",)

    @property
    def placed(self) -> str:
        """Give the rule with the flag that puts it into its place."""
        return f"{'-I' if self.order < 0 else '-A'} {self.chain} {self.text}"

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Delete it."""
        return (f"{self.head(q)} -D {self.chain} {_typed(self.text)}",)


def _typed(rule: str) -> str:
    """Write a rule for a shell, to which a single quote within double ones is nothing special, while iptables-save escapes it."""
    return rule.replace("\\'", "'")


def program(family: int) -> str:
    """Name the program for an address family."""
    return "ip6tables" if family == _IPV6 else "iptables"


def comment(text: str) -> str:
    """Give the comment match, quoted where iptables-save quotes (xtables_save_string)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
    return f"-m comment --comment {text}" if _PLAIN_COMMENT.fullmatch(text) else f'-m comment --comment "{escaped}"'


def probability(share: int) -> str:
    """Give the statistic match that takes one packet in `share`: kube-proxy's ten digits in the kernel's steps of 2^-31."""
    return f"-m statistic --mode random --probability {round(0x80000000 * float(f'{1 / share:.10f}')) / 0x80000000:.11f}"


def host(address: str) -> str:
    """Give a host as iptables-save prints it: 10.0.0.1/32, fd00::1/128."""
    return f"{address}/128" if ":" in address else f"{address}/32"


def render_restore(operations: Sequence[Operation]) -> str:
    """Give the input of `iptables-restore --noflush` that carries out operations of one namespace and family as one transaction a table."""
    tables: dict[str, list[Operation]] = {}
    for step in operations:
        if isinstance(step.object, _IptablesObject):
            tables.setdefault(step.object.table, []).append(step)
    lines = (line for table, steps in sorted(tables.items()) for line in (f"*{table}", *_table(steps), "COMMIT"))
    return "".join(f"{line}\n" for line in lines)


def _table(steps: Sequence[Operation]) -> Iterator[str]:
    """Declare (and so empty) the chains that are made, changed or removed, fill them, place the shared rules, remove what is no longer jumped to."""
    removed = [item.name for item in objects(steps, Chain, "delete")] + [item.name for item in objects(steps, SharedChain, "delete")]
    filled = objects(steps, Chain, "create", "change")
    declared = [*removed, *(item.name for item in objects(steps, SharedChain, "create")), *(item.name for item in filled)]
    yield from (f":{name} - [0:0]" for name in sorted(declared))  # in order: iptables-nft takes ten times as long for thousands of unsorted ones
    yield from (f"-D {rule.chain} {rule.text}" for rule in objects(steps, Rule, "delete") if rule.chain not in removed)
    yield from (f"-A {item.name} {rule}" for item in filled for rule in item.rules)
    placed = sorted(objects(steps, Rule, "create", "change"), key=lambda rule: (rule.order, rule.text))
    yield from (rule.placed for rule in reversed(placed) if rule.order < 0)
    yield from (rule.placed for rule in placed if rule.order >= 0)
    yield from (f"-X {name}" for name in removed)


def parse_save(text: str, netns: str, family: int = 4) -> Iterator[KernelObject]:
    """Read what `iptables-save` prints: every chain of our own, as a Chain with its rules and as a SharedChain, and every rule as a Rule."""
    table = ""
    rules: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
            rules = {}
        elif line.startswith(":"):
            rules[line[1:].split(" ", 1)[0]] = []
        elif line.startswith("-A "):
            _flag, chain, *rest = line.split(" ", 2)
            rules[chain].append(rest[0] if rest else "")
        elif line == "COMMIT":
            for chain, texts in rules.items():
                if chain not in BUILTIN_CHAINS:
                    yield Chain(netns=netns, table=table, family=family, name=chain, rules=tuple(texts))
                    yield SharedChain(netns=netns, table=table, family=family, name=chain)
                yield from (Rule(netns=netns, table=table, family=family, chain=chain, text=rule) for rule in texts)
