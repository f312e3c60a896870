"""nftables in the calling thread's network namespace: one transaction for all operations, `nft list` to read back.

A few changes of known forms go to the kernel as messages, everything else as one text to `nft -f -`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence

from klab.errors import CommandFailedError, KernelError
from klab.kernel import program
from klab.kernel.netlink import NetlinkRefusedError
from klab.kernel.nftexpressions import UnknownFormError
from klab.kernel.nftmessages import NftSocket, encode
from klab.linux.diff import Operation
from klab.linux.nft import NftChain, render_cleanup, render_transaction
from klab.linux.nft_listing import parse_table
from klab.linux.objects import KernelObject
from klab.linux.steps import objects

_TABLES_OF_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_FEW = 2000
_RELEASE_SECONDS = 2.0


class _ChainsBusyError(Exception):
    """A chain could not be deleted with what leads to it."""


def apply(operations: Sequence[Operation]) -> None:
    """Carry out operations on the tables of one namespace.

    Kernels before 6.2 see for some time after a transaction what it took away leading to a chain; there such chains are emptied, and deleted
    by a transaction of their own (see kube-proxy's staleChains).
    """
    if not operations:
        return
    try:
        if len(operations) > _FEW or not _send(operations):
            _run(render_transaction(operations) + render_cleanup(operations), may_be_busy=bool(objects(operations, NftChain, "delete")))
    except _ChainsBusyError:
        _run(render_transaction(operations))
        _delete(render_cleanup(operations))


def _send(operations: Sequence[Operation]) -> bool:
    """Carry operations out by messages; say whether that could be done."""
    try:
        messages = encode(operations)
    except UnknownFormError:
        return False
    netfilter = NftSocket()
    try:
        netfilter.commit([message for _item, message in messages])
    except NetlinkRefusedError as error:
        if error.errno == errno.EBUSY:
            raise _ChainsBusyError from error
        refused = "; ".join(messages[error.index][0].create(str))
        raise KernelError(refused, error.errno or 0, error.strerror or "") from error
    finally:
        netfilter.close()
    return True


def _run(transaction: str, *, may_be_busy: bool = False) -> None:
    try:
        program.run(["nft", "-f", "-"], transaction)
    except CommandFailedError as error:
        if may_be_busy and os.strerror(errno.EBUSY) in error.stderr:
            raise _ChainsBusyError from error
        raise


def _delete(cleanup: str) -> None:
    """Delete emptied chains; no event tells when the kernel has let go of them, so ask again for a while."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            _run(cleanup, may_be_busy=time.monotonic() < deadline)
        except _ChainsBusyError:
            time.sleep(0.01)
        else:
            return


def observe(name: str) -> Iterator[KernelObject]:
    """Read every table of the namespace but those of iptables-nft; `name` is its short name."""
    for line in program.run(["nft", "list", "tables"]).splitlines():
        _word, family, table = line.split()
        if table not in _TABLES_OF_IPTABLES:
            yield from parse_table(program.run(["nft", "-y", "list", "table", family, table]), name)
