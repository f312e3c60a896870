"""Choose from operations, as the renderers of rulesets need them: the objects of one class that are to be made, changed or deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from klab.linux.diff import Operation, Verb
from klab.linux.objects import KernelObject

T = TypeVar("T", bound=KernelObject)


def objects(operations: Iterable[Operation], kind: type[T], *verbs: Verb) -> list[T]:
    """Give the objects of class `kind` whose verb is one of `verbs`, in their order."""
    return [step.object for step in operations if isinstance(step.object, kind) and step.verb in verbs]
