"""Reads a plain mapping by path and gathers faults in the words of apimachinery's field errors (pkg/util/validation/field).

Types are the schema's business: a value of the wrong type is passed over here, as if it were absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from klab.api.addresses import Address, Net

Faults = list[tuple[str, str]]
T = TypeVar("T")

PORTS = range(1, 65536)


class Reader:
    """One mapping of a document with its path; faults of all readers of one document gather in one list."""

    __slots__ = ("_path", "faults", "raw")

    def __init__(self, raw: Mapping[str, Any], path: str = "", faults: Faults | None = None) -> None:
        """Read `raw`, which stands at `path`."""
        self.raw = raw
        self._path = path
        self.faults: Faults = [] if faults is None else faults

    def at(self, key: str) -> str:
        """Give the path of a field; "" is the mapping itself."""
        return f"{self._path}.{key}" if self._path and key else self._path or key

    def has(self, key: str) -> bool:
        """Tell whether a field is there and not null."""
        return self.raw.get(key) is not None

    def value(self, key: str, type_: type[T]) -> T | None:
        """Give a field if it has that type (a boolean is no int)."""
        found = self.raw.get(key)
        return found if isinstance(found, type_) and not (type_ is int and isinstance(found, bool)) else None

    def text(self, key: str, default: str = "") -> str:
        """Give a text, the default for an absent or empty one."""
        return self.value(key, str) or default

    def integer(self, key: str) -> int | None:
        """Give an integer."""
        return self.value(key, int)

    def flag(self, key: str) -> bool:
        """Give a boolean, False for an absent one."""
        return bool(self.value(key, bool))

    def mapping(self, key: str) -> Reader:
        """Give a reader of the mapping in a field, an empty one for an absent one."""
        return Reader(self.value(key, dict) or {}, self.at(key), self.faults)

    def items(self, key: str) -> list[Reader]:
        """Give readers of the mappings in a list."""
        path = self.at(key)
        return [
            Reader(item if isinstance(item, dict) else {}, f"{path}[{index}]", self.faults) for index, item in enumerate(self.value(key, list) or ())
        ]

    def texts(self, key: str) -> Iterator[tuple[str, str]]:
        """Walk over a list of texts as (key[index], text)."""
        return ((f"{key}[{index}]", item) for index, item in enumerate(self.value(key, list) or ()) if isinstance(item, str))

    def text_map(self, key: str) -> dict[str, str]:
        """Give a mapping of texts."""
        return {name: item for name, item in (self.value(key, dict) or {}).items() if isinstance(item, str)}

    def fault(self, key: str, message: str) -> None:
        """Report a fault of a field."""
        self.faults.append((self.at(key), message))

    def invalid(self, key: str, value: Any, *messages: str) -> None:
        """Report what is wrong with the value of a field, nothing if there are no messages."""
        self.faults.extend((self.at(key), f"Invalid value: {shown(value)}: {message}") for message in messages)

    def required(self, key: str, detail: str = "") -> None:
        """Report that a field is absent."""
        self.fault(key, f"Required value: {detail}" if detail else "Required value")

    def forbidden(self, key: str, detail: str) -> None:
        """Report that a field must not be there."""
        self.fault(key, f"Forbidden: {detail}")

    def duplicate(self, key: str, value: Any) -> None:
        """Report that a value is there twice."""
        self.fault(key, f"Duplicate value: {shown(value)}")

    def not_found(self, key: str, value: Any) -> None:
        """Report that what a field names does not exist."""
        self.fault(key, f"Not found: {shown(value)}")

    def unsupported(self, key: str, value: Any, supported: Iterable[str]) -> None:
        """Report a value outside an enumeration."""
        self.fault(key, f"Unsupported value: {shown(value)}: supported values: {', '.join(map(shown, sorted(supported)))}")

    def not_negative(self, *keys: str) -> None:
        """Report those of the integer fields that are negative."""
        for key in keys:
            value = self.integer(key)
            if value is not None and value < 0:
                self.invalid(key, value, "must be greater than or equal to 0")

    def within(self, key: str, limits: range) -> None:
        """Report an integer outside `limits`."""
        value = self.integer(key)
        if value is not None and value not in limits:
            self.invalid(key, value, f"must be between {limits.start} and {limits.stop - 1}, inclusive")

    def address(self, key: str, text: str) -> Address | None:
        """Parse an IP address, report what is none."""
        try:
            return ip_address(text)
        except ValueError:
            self.invalid(key, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
            return None

    def network(self, key: str, text: str) -> Net | None:
        """Parse a CIDR, report what is none or has bits set beyond its prefix."""
        address, slash, _ = text.partition("/")
        try:
            network = ip_network(text, strict=False) if slash else None
        except ValueError:
            network = None
        if network is None:
            self.invalid(key, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        elif ip_address(address) != network.network_address:
            self.invalid(key, text, f"must not have bits set beyond the prefix length; the network is {network}")
        return network


def shown(value: Any) -> str:
    """Give a value as field errors print it: compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
