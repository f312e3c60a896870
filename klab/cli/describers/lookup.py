"""What a description needs beyond the object itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klab.api.resources import by_word
from klab.cli.backend import Api
from klab.cli.printers.values import dig
from klab.errors import NotFoundError

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks the lab's API; `now` is what ages count from. Without `show_events`, events are not asked for."""

    api: Api
    now: datetime
    show_events: bool = True

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Give an object, None if it does not exist."""
        try:
            return self.api.get(by_word(kind), namespace, name)
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str | None, selector: str = "", fields: str = "") -> Sequence[Object]:
        """Give the objects of a kind."""
        found: Sequence[Object] = self.api.list(by_word(kind), namespace, selector, fields)["items"]
        return found

    def events(self, obj: Object) -> Sequence[Object] | None:
        """Give the events about an object; None if they are not wanted. A node's are known by its name alone, others by uid too."""
        if not self.show_events:
            return None
        metadata = obj["metadata"]
        uids = ("", metadata.get("uid"), metadata["name"])
        found = self.list("events", metadata.get("namespace"), fields=f"involvedObject.name={metadata['name']},involvedObject.kind={obj['kind']}")
        return [event for event in found if dig(event, "involvedObject", "uid", default="") in uids]

    def slices(self, service: Object | str, namespace: str) -> Sequence[Object]:
        """Give the endpoint slices of a service."""
        name = service if isinstance(service, str) else service["metadata"]["name"]
        return self.list("endpointslices", namespace, f"kubernetes.io/service-name={name}")

    def owned(self, kind: str, owner: Object, selector: str) -> Sequence[Object]:
        """Give the objects of a kind that `owner` controls."""
        return [
            one
            for one in self.list(kind, owner["metadata"].get("namespace"), selector)
            if any(
                ref.get("controller") and ref.get("uid") == owner["metadata"].get("uid")
                for ref in dig(one, "metadata", "ownerReferences", default=())
            )
        ]
