"""ipsets of the calling thread's network namespace: `ipset restore` for many lines at once, `ipset save` to read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from klab.kernel import program
from klab.linux.diff import Operation
from klab.linux.ipset import parse_save, render_additions, render_removals
from klab.linux.objects import KernelObject


def add(operations: Sequence[Operation]) -> None:
    """Make sets and entries; those that are there already are fine."""
    _restore(render_additions(operations))


def remove(operations: Sequence[Operation]) -> None:
    """Remove entries and sets; an absent entry is fine, a set that a rule still matches is an error."""
    _restore(render_removals(operations))


def _restore(text: str) -> None:
    if text:
        program.run(["ipset", "-exist", "restore"], text)


def observe(name: str) -> Iterator[KernelObject]:
    """Read every set and entry of the namespace; `name` is its short name."""
    return parse_save(program.run(["ipset", "save"]), name)
