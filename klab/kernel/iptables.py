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

_VARIANTS = ("nft", "legacy")
_PROBE = "*nat\n-A POSTROUTING -m comment --comment probe -m mark ! --mark 0x1/0x1 -j MASQUERADE --random-fully\nCOMMIT\n"
_LINE = re.compile(r"line:? (\d+)")


@cache
def variant() -> str:
    """Choose nft or legacy by trying a masquerading rule in a network namespace that goes at once; MissingError where neither works."""
    reasons = []
    for name in _VARIANTS:
        try:
            netns.in_thread(partial(_try, name))
        except (CommandFailedError, MissingError) as error:
            reasons.append(str(error))
        else:
            return name
    raise MissingError(
        "Services need iptables with a nat table, and neither variant works on this kernel; "
        f"install iptables (`apt-get install iptables`) and the kernel's modules (`modprobe iptable_nat nft_chain_nat`): {'; '.join(reasons)}"
    )


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
        found = _LINE.search(error.stderr)
        lines = text.splitlines()
        line = lines[int(found[1]) - 1] if found and int(found[1]) <= len(lines) else ""
        raise CommandFailedError(command, error.code, f"{error.stderr.strip()}{f' (line {found[1]}: {line})' if found and line else ''}") from error


def observe(name: str, family: int = 4) -> Iterator[KernelObject]:
    """Read every chain and rule of the namespace; `name` is its short name."""
    return parse_save(program.run([f"{program_of(family)}-{variant()}-save"]), name, family)


def _family(item: KernelObject) -> int:
    return item.family if isinstance(item, Chain | SharedChain | Rule) else 0
