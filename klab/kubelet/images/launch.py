"""Reading what a container is started with: its ports and the flags of its program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Launch, Port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE = frozenset({"", "1", "t", "true"})
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def tcp_ports(launch: Launch, *defaults: int) -> tuple[Port, ...]:
    """Give the TCP ports that the container declares, or else those that the image has by itself."""
    declared = tuple(dict.fromkeys(port for port in launch.ports if port.protocol == "TCP"))
    return declared or tuple(Port(number) for number in defaults)


@dataclass(frozen=True, slots=True)
class Flags:
    """A command line: `--name=value`, `--name value`, `-name value` and bare words, as Go's flag packages read them."""

    values: Mapping[str, str]
    words: tuple[str, ...]

    @classmethod
    def of(cls, args: Sequence[str], booleans: frozenset[str] = frozenset()) -> Flags:
        """Read the arguments; `booleans` are the flags that take no value from the next word."""
        values: dict[str, str] = {}
        words: list[str] = []
        rest = list(reversed(args))
        while rest:
            word = rest.pop()
            if word == "--":
                words += reversed(rest)
                break
            if not word.startswith("-") or word == "-":
                words.append(word)
                continue
            name, equals, value = word.lstrip("-").partition("=")
            if not equals and name not in booleans and rest:
                value = rest.pop()
            values[name] = value
        return cls(values, tuple(words))

    def text(self, name: str, default: str = "") -> str:
        """Give a flag's value."""
        return self.values.get(name, default)

    def number(self, name: str, default: int) -> int:
        """Give a flag's number; KlabError where it is none."""
        value = self.values.get(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError as error:
            raise KlabError(f'invalid argument "{value}" for "--{name}" flag: strconv.ParseInt: parsing "{value}": invalid syntax') from error

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """Tell whether a flag is set."""
        value = self.values.get(name)
        return default if value is None else value.lower() in _TRUE


def parse_duration(text: str) -> float:
    """Read a Go duration ("300ms", "1m30s", "0") into seconds; ValueError where it is none."""
    if text == "0":
        return 0.0
    total, number, rest = 0.0, "", text.removeprefix("+")
    while rest:
        size = next((index for index, letter in enumerate(rest) if letter not in "0123456789."), len(rest))
        number, rest = rest[:size], rest[size:]
        size = next((index for index, letter in enumerate(rest) if letter in "0123456789."), len(rest))
        unit, rest = rest[:size], rest[size:]
        if unit not in _UNITS or not number:
            raise ValueError(f'time: invalid duration "{text}"')
        total += float(number) * _UNITS[unit]
    if not number:
        raise ValueError(f'time: invalid duration "{text}"')
    return total
