"""Typed views of stored pods, made once for each state of a pod: the store never changes an object in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from klab.api.pod import Pod


@dataclass(slots=True)
class PodViews:
    """Remembers the view of the last state of each pod that was asked for."""

    _known: dict[str, tuple[Mapping[str, Any], Pod]] = field(default_factory=dict)

    def of(self, obj: Mapping[str, Any]) -> Pod:
        """Give the view of a stored Pod."""
        uid = obj["metadata"]["uid"]
        known = self._known.get(uid)
        if known is None or known[0] is not obj:
            known = self._known[uid] = (obj, Pod.of(obj))
        return known[1]

    def forget(self, uid: str) -> None:
        """Drop a pod that is gone."""
        self._known.pop(uid, None)
