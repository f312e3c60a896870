"""All rulesets of a namespace together: who carries out which class of values, in an order that works, and what stands there.

An ipset has to stand before a rule that matches it, and no rule may match one that goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from klab.kernel import ipset, iptables, ipvs, nft
from klab.linux.diff import Operation
from klab.linux.ipset import IpSet, IpSetEntry
from klab.linux.iptables import Chain, Rule, SharedChain
from klab.linux.ipvs import RealServer, VirtualServer
from klab.linux.nft import NftChain, NftElement, NftSet, NftTable
from klab.linux.objects import KernelObject

IPSET, IPTABLES, IPVS, NFT = (IpSet, IpSetEntry), (Chain, SharedChain, Rule), (VirtualServer, RealServer), (NftTable, NftSet, NftChain, NftElement)
Reader = Callable[[str], Iterator[KernelObject]]
TYPES: tuple[type[KernelObject], ...] = (*IPSET, *IPTABLES, *IPVS, *NFT)
"""The classes of values that `apply` carries out."""


def apply(operations: Sequence[Operation]) -> None:
    """Carry out operations on rules of the calling thread's namespace, in whatever order they come: one call of each program that is needed."""
    sets, rules, servers, tables = ([step for step in operations if isinstance(step.object, kinds)] for kinds in (IPSET, IPTABLES, IPVS, NFT))
    ipset.add(sets)
    if rules:
        iptables.apply(rules)
    if tables:
        nft.apply(tables)
    if servers:
        ipvs.apply(servers)
    ipset.remove(sets)


def observe(name: str, kinds: Sequence[type[KernelObject]] = TYPES, families: Iterable[int] = (4,)) -> Iterator[KernelObject]:
    """Read what of the given classes stands in the calling thread's namespace, whose short name is `name`; of iptables these address families."""
    readers: list[tuple[tuple[type[KernelObject], ...], Reader]] = [(IPSET, ipset.observe), (IPVS, ipvs.observe), (NFT, nft.observe)]
    readers += [(IPTABLES, partial(iptables.observe, family=family)) for family in families]
    for classes, reader in readers:
        if set(classes) & set(kinds):
            yield from reader(name)
