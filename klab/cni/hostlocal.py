"""Pod addresses out of a node's block, one after another as the host-local IPAM plugin hands them out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address

from klab.cni.network import Block
from klab.errors import KlabError


def calc_gateway(plugin: str, block: Block, pinned: Collection[str] = ()) -> str:
    """Give the address of a block that the node's bridge has, "" for Calico's networks without a bridge.

    It is the block's first host, or its last one where a pod is pinned to the first (10.20.9.1 in the Weave talk).
    """
    if plugin == "ipip":
        return ""
    first, last = block.network_address + 1, block.broadcast_address - 1
    return str(last if str(first) in pinned else first)


def calc_reserved(block: Block, gateway: str) -> frozenset[str]:
    """Give the addresses that no pod gets: network, broadcast and gateway; without a gateway only the first one, which tunl0 has."""
    network = str(block.network_address)
    return frozenset({network, str(block.broadcast_address), gateway}) if gateway else frozenset({network})


class Pool:
    """The free addresses of one block; the search goes on after the address given last, as host-local's does.

    What is `kept` goes to those alone who ask for it. Addresses at the end are the system's, as far as they are free: where the search goes on does
    not depend on them.
    """

    def __init__(
        self, block: Block, reserved: Collection[str], used: Collection[str], kept: Collection[str] = (), system: Collection[str] = ()
    ) -> None:
        """Start with what is reserved, what pods and the system's pods hold, and what is kept."""
        self._block = block
        self._reserved = frozenset(reserved)
        self._kept = frozenset(kept)
        own = [address for address in used if ip_address(address) in block]
        self._taken = {*own, *system}
        self._next = max((int(ip_address(address)) for address in own), default=int(block.network_address) - 1) + 1

    def take(self, owner: str) -> str:
        """Give a free address; KlabError names the full block and its owner-to-be."""
        start, size, offset = int(self._block.network_address), self._block.num_addresses, self._next - int(self._block.network_address)
        address = self._find((start + (offset + step) % size for step in range(size)), owner)
        self._next = int(ip_address(address)) + 1
        return address

    def take_last(self, owner: str) -> str:
        """Give the last free address; KlabError as `take`."""
        start = int(self._block.network_address)
        return self._find(range(start + self._block.num_addresses - 1, start - 1, -1), owner)

    def _find(self, numbers: Iterable[int], owner: str) -> str:
        for number in numbers:
            address = str(ip_address(number))
            if not any(address in group for group in (self._taken, self._reserved, self._kept)):
                self._taken.add(address)
                return address
        size = self._block.num_addresses
        raise KlabError(f"no IP addresses available in range set: {self._block} for {owner}; all {size} are taken or kept")

    def claim(self, address: str, owner: str) -> str:
        """Give the address that was asked for; KlabError where it is outside the block, reserved or taken."""
        if ip_address(address) not in self._block:
            raise KlabError(f"requested IP address {address} for {owner} is not in the node's block {self._block}")
        if address in self._taken or address in self._reserved:
            raise KlabError(f"requested IP address {address} for {owner} is not available in {self._block}")
        self._taken.add(address)
        return address

    def release(self, address: str) -> None:
        """Take an address back."""
        self._taken.discard(address)
