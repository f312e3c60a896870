"""Arithmetic with IP addresses of either family: what is free in a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_interface, ip_network

Address = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface


def first_address(network: Net) -> Address:
    """Give the first host address of `network`; of a /31, /32 (/127, /128) the network's own."""
    return network[1] if network.num_addresses > 2 else network[0]  # noqa: PLR2004


def free_addresses(network: Net, taken: Iterable[Address]) -> Iterator[Address]:
    """Walk over the host addresses of `network` that are not in `taken`."""
    used = set(taken)
    return (address for address in network.hosts() if address not in used)


def free_blocks(cidr: Net, mask: int, taken: Iterable[Net]) -> Iterator[Net]:
    """Walk over the blocks of prefix length `mask` in `cidr` that overlap none of `taken`.

    As kube-controller-manager's node IPAM (pkg/controller/nodeipam/ipam/cidrset) gives out spec.podCIDR.
    """
    used = sorted((int(block[0]), int(block[-1])) for block in taken if block.version == cidr.version and block.overlaps(cidr))
    size = 1 << (cidr.max_prefixlen - mask)
    start = int(cidr[0])
    for first, last in [*used, (int(cidr[-1]) + 1, 0)]:
        while start + size <= first:
            yield ip_network((cidr[start - int(cidr[0])], mask))
            start += size
        start = max(start, -(-(last + 1) // size) * size)


def interface_of(address: Address, network: Net) -> Interface:
    """Give `address` with the prefix length of `network`."""
    return ip_interface((str(address), network.prefixlen))
