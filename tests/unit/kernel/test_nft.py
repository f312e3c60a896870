"""How nftables operations are carried out where a kernel does not let go of chains at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import EBUSY, EINVAL

import pytest

from klab.errors import CommandFailedError
from klab.kernel import nft
from klab.linux.diff import Operation
from klab.linux.nft import NftChain, NftTable

COMMON = {"netns": "n", "table": "t"}
STEPS = [
    Operation("create", NftTable(**COMMON, comment="a table is nothing for messages")),
    Operation("change", NftChain(**COMMON, name="a", rules=("return",))),
    Operation("delete", NftChain(**COMMON, name="b", rules=("drop",))),
]
CHANGE = 'flush chain ip t a\nflush chain ip t b\nadd table ip t { comment "a table is nothing for messages" ; }\nadd rule ip t a return\n'
DELETION = "delete chain ip t b\n"


class Program:
    """Stands for nft: refuses the deletion of chains so many times, with an errno."""

    def __init__(self, refusals: int, code: int = EBUSY) -> None:
        self.refusals, self.code = refusals, code
        self.sent: list[str] = []

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        self.sent.append(stdin)
        if DELETION in stdin and self.refusals:
            self.refusals -= 1
            raise CommandFailedError(command, 1, f"/dev/stdin:1:1-2: Error: Could not process rule: {os.strerror(self.code)}")
        return ""


def apply(monkeypatch: pytest.MonkeyPatch, program: Program) -> list[str]:
    monkeypatch.setattr(nft, "program", program)
    nft.apply(STEPS)
    return program.sent


def test_one_transaction_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apply(monkeypatch, Program(0)) == [CHANGE + DELETION]


def test_busy_chains_are_deleted_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels before 6.2: the change first, then the deletion until it is done."""
    assert apply(monkeypatch, Program(3)) == [CHANGE + DELETION, CHANGE, DELETION, DELETION, DELETION]


def test_chains_that_stay_busy_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_RELEASE_SECONDS", 0.05)
    with pytest.raises(CommandFailedError, match="busy"):
        apply(monkeypatch, Program(1_000_000))


def test_other_refusals_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(1, EINVAL)
    with pytest.raises(CommandFailedError, match="Invalid argument"):
        apply(monkeypatch, program)
    assert len(program.sent) == 1
