"""Waiting for a change of objects: a list first, then a watch, until what was waited for is seen or the time is over."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping

from klab.api.resources import Resource
from klab.cli.backend import Api, Object

Key = tuple[str, str]
"""Namespace ("" without one) and name."""


class Deadline:
    """A moment after which nothing is waited for."""

    def __init__(self, seconds: float | None) -> None:
        """Begin to count; None is without end."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def seconds_left(self) -> int | None:
        """Give the whole seconds that are left, rounded up, as a watch takes them; None: without end."""
        return None if self._end is None else max(0, math.ceil(self._end - time.monotonic()))

    def is_over(self) -> bool:
        """Tell whether the moment has passed."""
        return self._end is not None and time.monotonic() >= self._end

    def within(self, seconds: float) -> Deadline:
        """Give the moment in `seconds`, or this one if it is earlier."""
        return Deadline(seconds if self._end is None else min(seconds, max(0.0, self._end - time.monotonic())))


def key_of(obj: Object) -> Key:
    """Give namespace and name."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def follow(  # noqa: PLR0913, PLR0917 - what a list takes, and how long
    api: Api, resource: Resource, namespace: str | None, selector: str, fields: str, deadline: Deadline
) -> Iterator[Mapping[Key, Object]]:
    """Give the objects that there are, at once and after each change of one of them, until the deadline."""
    while True:
        listed = api.list(resource, namespace, selector, fields)
        present = {key_of(obj): obj for obj in listed["items"]}
        yield present
        if deadline.is_over():
            return
        for kind, obj in api.watch(resource, namespace, selector, fields, listed["metadata"]["resourceVersion"], deadline.seconds_left()):
            if kind == "DELETED":
                present.pop(key_of(obj), None)
            else:
                present[key_of(obj)] = obj
            yield present
        if deadline.is_over():
            return


def follow_one(api: Api, resource: Resource, namespace: str | None, name: str, deadline: Deadline) -> Iterator[Object | None]:
    """Give one object as it is at once and after each change, None while it does not exist, until the deadline."""
    for present in follow(api, resource, namespace, "", f"metadata.name={name}", deadline):
        yield next(iter(present.values()), None)
