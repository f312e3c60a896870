"""What `up` applies: the manifests, and with them the system's objects that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.lab import Lab
from klab.cluster.naming import plan_dns_objects
from klab.kernel.rundir import RunDir

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Application:
    """Objects and where they stand, in the order in which they are applied; `manifests` are those of the files among them."""

    entries: Sequence[tuple[str, Object]]
    manifests: slice


def plan_application(lab: Lab, rundir: RunDir, documents: Sequence[Any], exists: Callable[[Object], bool]) -> Application:
    """Put the manifests and the missing ones of kube-system in order; MissingError where the lab's DNS server is not installed.

    The system's Services take their addresses before others can; its pods come after all pods of the manifests and so take none of theirs.
    """
    manifests = [(document.where, document.obj) for document in documents if document.obj["kind"] != "Lab"]
    given = {_identity(obj) for _where, obj in manifests}
    missing = [("Lab.spec.dns", obj) for obj in plan_dns_objects(lab, rundir) if _identity(obj) not in given and not exists(obj)]
    first = [entry for entry in missing if entry[1]["kind"] != "Deployment"]
    last = [entry for entry in missing if entry[1]["kind"] == "Deployment"]
    return Application([*first, *manifests, *last], slice(len(first), len(first) + len(manifests)))


def _identity(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace") or "default", obj["metadata"]["name"]
