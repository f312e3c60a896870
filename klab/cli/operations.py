"""Steps in the kernel as text: the lines that a person would type, under the reason for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from klab.cli.backend import Operation


def as_text(operations: Iterable[Operation]) -> str:
    """Give the lines of all operations; adjacent ones that are done for the same object share one comment."""
    blocks = ["".join((f"# {why}\n" if why else "", *_lines(group))) for why, group in groupby(operations, key=lambda one: one.why)]
    return "\n".join(blocks)


def _lines(operations: Iterable[Operation]) -> list[str]:
    return [f"{line}\n" for one in operations for line in one.lines]


def as_script(operations: Sequence[Operation]) -> str:
    """Give a shell script; it stops at the first command that fails."""
    return f"#!/bin/sh\nset -eu\n\n{as_text(operations)}"


def as_data(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Give the operations as what `-o json` prints."""
    return [{"verb": one.verb, "why": one.why, "lines": list(one.lines)} for one in operations]
