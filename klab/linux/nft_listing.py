"""What `nft -y list table` prints, read back as values of klab.linux.nft."""

from __future__ import annotations

import re
from collections.abc import Iterator

from klab.linux.nft import NftChain, NftElement, NftSet, NftTable
from klab.linux.objects import KernelObject

_HEAD = re.compile(r"\t(set|map|chain) (\S+) \{")
_ELEMENT = re.compile(r'([^,"{}]+?)(?: comment "([^"]*)")?(?: : ([^,"}]+?))?(?:,|\s*\}$)')


def parse_table(text: str, netns: str) -> Iterator[KernelObject]:
    """Read what `nft -y list table` prints; elements that packets put into a dynamic set are left out."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("table "):
            _word, family, table = line.removesuffix(" {").split(" ")
            following = next(lines, "")
            comment = _quoted(following) if following.startswith("\tcomment") else ""
            yield NftTable(netns=netns, family=family, table=table, comment=comment)
            line = following  # noqa: PLW2901 (a table without a comment begins with its first set or chain)
        if head := _HEAD.fullmatch(line):
            body = _body(lines)
            if head[1] == "chain":
                yield _parse_chain(netns, family, table, head[2], body)
            else:
                yield from _parse_set(netns, family, table, head[2], body)


def _body(lines: Iterator[str]) -> list[str]:
    body = []
    for line in lines:
        if line == "\t}":
            break
        body.append(line.strip())
    return body


def _parse_chain(netns: str, family: str, table: str, name: str, body: list[str]) -> NftChain:
    comment = _quoted(body.pop(0)) if body and body[0].startswith("comment ") else ""
    hook = body.pop(0).split(";", 1)[0] if body and body[0].startswith("type ") else ""
    return NftChain(netns=netns, family=family, table=table, name=name, rules=tuple(body), hook=hook, comment=comment)


def _parse_set(netns: str, family: str, table: str, name: str, body: list[str]) -> Iterator[KernelObject]:
    fields: dict[str, str] = {}
    elements = ""
    for position, line in enumerate(body):
        if line.startswith("elements = {"):
            elements = " ".join(body[position:]).removeprefix("elements = {").strip()
            break
        word, _space, value = line.partition(" ")
        fields[word] = value
    yield NftSet(
        netns=netns,
        family=family,
        table=table,
        name=name,
        type=fields["type"],
        flags=fields.get("flags", ""),
        timeout=_seconds(fields.get("timeout", "")),
        comment=_quoted(fields.get("comment", "")),
    )
    if "dynamic" not in fields.get("flags", ""):
        for found in _ELEMENT.finditer(elements):
            element, comment, value = found[1].strip(), found[2] or "", found[3] or ""
            yield NftElement(netns=netns, family=family, table=table, set=name, element=element, value=value, comment=comment)


def _quoted(text: str) -> str:
    found = re.search(r'"(.*)"', text)
    return found[1] if found else ""


def _seconds(text: str) -> int:
    """Read nft's "1d2h3m4s"."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])(?![a-z])", text))
