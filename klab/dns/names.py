"""Names and the addresses in them: text alone."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

V4_ORIGIN, V6_ORIGIN = "in-addr.arpa.", "ip6.arpa."
REVERSE_ORIGINS = (V4_ORIGIN, V6_ORIGIN)

_V4_DASHES, _V6_NIBBLES, _NIBBLES = 3, 32, frozenset("0123456789abcdef")


def normal_address(text: str) -> str:
    """Give an IPv4 or IPv6 address in its canonical text."""
    return str(ip_address(text))


def address_type(address: str) -> str:
    """Give the record type of an address."""
    return "AAAA" if ":" in address else "A"


def is_address(name: str) -> bool:
    """Tell whether an externalName is an IPv4 address, which has no CNAME (a hostname of digits and dots cannot be resolved)."""
    parts = name.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)  # noqa: PLR2004 (IPv4)


def absolute(name: str) -> str:
    """Give a name its dot at the end."""
    return name if name.endswith(".") else f"{name}."


def reverse_name(address: str) -> str:
    """Give the absolute name of an address's PTR records."""
    whole = IPv6Address(address) if ":" in address else IPv4Address(address)
    return f"{whole.reverse_pointer}."


def parse_reverse(name: str) -> str:
    """Give the address of a lower-case name in a reverse tree, "" if it names none (too short, too long, no number)."""
    labels = name.removesuffix(V4_ORIGIN).removesuffix(V6_ORIGIN).removesuffix(".").split(".")[::-1]
    try:
        if name.endswith(V4_ORIGIN):
            return str(IPv4Address(".".join(labels)))
        if len(labels) == _V6_NIBBLES and all(label in _NIBBLES for label in labels):
            return str(IPv6Address(int("".join(labels), 16)))
    except ValueError:
        return ""
    return ""


def parse_pod_label(host: str) -> str:
    """Give the address that a pod's label spells (`10-1-2-3`, `fd00--5`), "" if it spells none."""
    if "%" in host:  # a scope, which no record has
        return ""
    separator = "." if host.count("-") == _V4_DASHES and "--" not in host else ":"
    text = host.replace("-", separator)
    try:
        return str(IPv4Address(text) if separator == "." else IPv6Address(text))
    except ValueError:
        return ""
