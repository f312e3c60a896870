"""iptables in the calling thread's network namespace: one `iptables-restore --noflush` for all operations of a family, `iptables-save` to read back.

The programs come in two variants: nft (over nf_tables) and legacy (over x_tables). A kernel may have only one of them, and rules of the two do not
see each other, so a process uses one of them throughout: the first whose nat table works here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, partial

from klab.errors import CommandFailedError, MissingError
from klab.kernel import netns, program, syscalls
from klab.linux.diff import Operation
from klab.linux.iptables import Chain, Rule, SharedChain, parse_save, render_restore
from klab.linux.iptables import program as program_of
from klab.linux.objects import KernelObject

VARIANTS = ("nft", "legacy")
_PROBE = "*nat\n-A POSTROUTING -m comment --comment probe -m mark ! --mark 0x1/0x1 -j MASQUERADE --random-fully\nCOMMIT\n"
_LINE = re.compile(r"line:? (\d+)")
_QUOTED = re.compile(r"[`'](\S+)'")


@cache
def variant() -> str:
    """Choose nft or legacy; MissingError where neither works."""
    lacks = []
    for name in VARIANTS:
        lack = find_lack(name)
        if not lack:
            return name
        lacks.append(lack)
    raise MissingError(
        "Services need iptables with a nat table, and neither variant works on this kernel; "
        "install iptables (`apt-get install iptables`) and load the kernel's modules (`modprobe -a iptable_nat nft_chain_nat`): " + "; ".join(lacks)
    )


def find_lack(name: str) -> str:
    """Say why a variant cannot be used, "" where it can: a masquerading rule is tried in a network namespace that goes at once."""
    try:
        netns.in_thread(partial(_try, name))
    except (CommandFailedError, MissingError) as error:
        return str(error)
    return ""


def _try(name: str) -> None:
    syscalls.unshare(netns.CLONE_NEWNET)
    program.run([f"iptables-{name}-restore", "--noflush"], _PROBE)


def apply(operations: Sequence[Operation]) -> None:
    """Carry out operations on chains and rules of one namespace: one transaction a table, all tables of a family in one call."""
    for family in (4, 6):
        text = render_restore([step for step in operations if _family(step.object) == family])
        if text:
            restore(text, family)


def restore(text: str, family: int = 4) -> None:
    """Feed a text to iptables-restore; CommandFailedError shows the line it stumbled over."""
    command = [f"{program_of(family)}-{variant()}-restore", "--wait", "--noflush"]
    try:
        program.run(command, text)
    except CommandFailedError as error:
        raise CommandFailedError(command, error.code, f"{error.stderr.strip()} ({_offence(error.stderr, text)})") from error


def _offence(stderr: str, text: str) -> str:
    """Find the line that iptables-restore means; what it finds wrong only at the end of a table it quotes a word of."""
    lines = text.splitlines()
    found = _LINE.search(stderr)
    number = int(found[1]) if found and int(found[1]) <= len(lines) else len(lines)
    quoted = _QUOTED.search(stderr)
    if lines[number - 1] == "COMMIT" and quoted:
        number = next((place for place, line in enumerate(lines, 1) if quoted[1] in line.split()), number)
    return f"line {number}: {lines[number - 1]}"


def observe(name: str, family: int = 4) -> Iterator[KernelObject]:
    """Read every chain and rule of the namespace; `name` is its short name."""
    return parse_save(program.run([f"{program_of(family)}-{variant()}-save"]), name, family)


def _family(item: KernelObject) -> int:
    return item.family if isinstance(item, Chain | SharedChain | Rule) else 0
