"""iptables chains and rules as values, and the one `iptables-restore --noflush` text that turns one set of them into another.

A rule's text is what follows `-A CHAIN ` and is written exactly as `iptables-save` prints it (flags in its order, /32 on hosts, quoted comments):
what was asked for can then be compared with what is there as text.
"""

from __future__ import annotations

from dataclasses import dataclass

from klab.linux.objects import Key, KernelObject, Qualify

BUILTIN_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(KernelObject):
    """A chain of our own with all its rules, in order."""

    rank = 9
    table: str
    name: str
    rules: tuple[str, ...]

    @property
    def key(self) -> Key:
        """One name in one table."""
        return ("Chain", self.netns, self.table, self.name)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Make the chain and fill it."""
        head = f"ip netns exec {q(self.netns)} iptables -w -t {self.table}"
        return (f"{head} -N {self.name}", *(f"{head} -A {self.name} {rule}" for rule in self.rules))

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Empty the chain and remove it."""
        head = f"ip netns exec {q(self.netns)} iptables -w -t {self.table}"
        return (f"{head} -F {self.name}", f"{head} -X {self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(KernelObject):
    """One rule in a chain that several objects share (KUBE-SERVICES, POSTROUTING); lower `order` stands earlier, equal ones by text."""

    rank = 10
    table: str
    chain: str
    text: str
    order: int = 0

    @property
    def key(self) -> Key:
        """A rule is its text."""
        return ("Rule", self.netns, self.table, self.chain, self.text)

    def create(self, q: Qualify) -> tuple[str, ...]:
        """Append it."""
        return (f"ip netns exec {q(self.netns)} iptables -w -t {self.table} -A {self.chain} {self.text}",)

    def delete(self, q: Qualify) -> tuple[str, ...]:
        """Delete it."""
        return (f"ip netns exec {q(self.netns)} iptables -w -t {self.table} -D {self.chain} {self.text}",)
