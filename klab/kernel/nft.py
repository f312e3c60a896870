"""nftables in the calling thread's network namespace: one `nft -f -` transaction for all operations, `nft list` to read back."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile

from klab.errors import CommandFailedError
from klab.kernel import program
from klab.linux.diff import Operation
from klab.linux.nft import parse_table, render_cleanup, render_transaction
from klab.linux.objects import KernelObject

_TABLES_OF_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_RELEASE_SECONDS = 2.0


def apply(operations: Sequence[Operation]) -> None:
    """Carry out operations on the tables of one namespace."""
    transaction, cleanup = render_transaction(operations), render_cleanup(operations)
    if _frees_at_once():
        transaction, cleanup = transaction + cleanup, ""
    if transaction:
        program.run(["nft", "-f", "-"], transaction)
    if cleanup:
        _delete(cleanup)


@cache
def _frees_at_once() -> bool:
    """Say whether a chain can be deleted in the transaction that takes away the last map element that leads to it: so since Linux 6.2."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(takewhile(str.isdecimal, minor)))) >= (6, 2)


def _delete(cleanup: str) -> None:
    """Delete emptied chains; a kernel before 6.2 finds them busy for a moment, and has no event that tells when they no longer are."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            program.run(["nft", "-f", "-"], cleanup)
        except CommandFailedError as error:
            if os.strerror(errno.EBUSY) not in error.stderr or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def observe(name: str) -> Iterator[KernelObject]:
    """Read every table of the namespace but those of iptables-nft; `name` is its short name."""
    for line in program.run(["nft", "list", "tables"]).splitlines():
        _word, family, table = line.split()
        if table not in _TABLES_OF_IPTABLES:
            yield from parse_table(program.run(["nft", "-y", "list", "table", family, table]), name)
