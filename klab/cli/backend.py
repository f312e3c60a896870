"""What the command line wants from the layers below it, and where it finds that.

`Backend` is everything that verbs call; klab.cli.layers finds it in klab.labs and klab.api. Tests put a fake in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO

from klab.api.resources import Resource

if TYPE_CHECKING:
    from klab.api.load import Document

Object = Mapping[str, Any]
Progress = Callable[[int, int, str], None]


class LabStatus(Protocol):
    """One lab of this machine."""

    @property
    def name(self) -> str:
        """metadata.name of its Lab."""

    @property
    def path(self) -> Any:
        """Its run directory."""

    @property
    def running(self) -> bool:
        """Whether its control plane answers."""

    @property
    def nodes(self) -> int:
        """How many nodes it has."""

    @property
    def pods(self) -> int:
        """How many pods run in it."""


class Operation(Protocol):
    """One step of a plan."""

    @property
    def verb(self) -> str:
        """create, change or delete."""

    @property
    def why(self) -> str:
        """The object that it is done for."""

    @property
    def lines(self) -> Sequence[str]:
        """The commands that a person would type."""


class Check(Protocol):
    """One finding about this machine."""

    @property
    def name(self) -> str:
        """What was looked for."""

    @property
    def ok(self) -> bool:
        """Whether it is there."""

    @property
    def found(self) -> str:
        """What was found."""

    @property
    def remedy(self) -> str:
        """The command that mends it; empty if nothing has to be mended."""

    @property
    def optional(self) -> bool:
        """Whether most labs do without it."""


class UpResult(Protocol):
    """What `up` did."""

    @property
    def lab(self) -> str:
        """The lab's name."""

    @property
    def nodes(self) -> int:
        """Nodes in the lab."""

    @property
    def pods(self) -> int:
        """Pods in the lab."""

    @property
    def ready(self) -> int:
        """How many of the pods are ready."""

    @property
    def changed(self) -> int:
        """Objects created or configured."""

    @property
    def repaired(self) -> Sequence[str]:
        """What had gone from the kernel and came back, as commands."""


class Scenario(Protocol):
    """What was read from manifests."""

    @property
    def documents(self) -> Sequence[Any]:
        """Documents with `where` and `obj`."""


class Api(Protocol):
    """The API of a running lab: what verbs use of klab.apiserver.client.Client."""

    def get(self, resource: Resource, namespace: str | None, name: str, subresource: str = "") -> dict[str, Any]:
        """Give one object, or a subresource of it; NotFoundError."""

    def list(self, resource: Resource, namespace: str | None = None, selector: str = "", fields: str = "") -> dict[str, Any]:
        """Give the List (`items`, `metadata.resourceVersion`) of a namespace, or of all."""

    def watch(  # noqa: PLR0913, PLR0917 - ListOptions
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout: int | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give events (ADDED, MODIFIED, DELETED) and objects from `resource_version` on, for `timeout` seconds or until the server ends it."""

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object in the namespace that it names; give what became of it, or a Status."""

    def patch(  # noqa: PLR0913 - the parts of the path
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        kind: str = "strategic",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Change an object, or a subresource; `kind` is strategic, merge or json. ConflictError where a resourceVersion is not the stored one's."""

    def delete(
        self, resource: Resource, namespace: str | None, name: str, grace: int | None = None, propagation: str = "Background"
    ) -> dict[str, Any]:
        """Delete an object; give its last state, or a Status."""

    def apply(self, manifests: Sequence[Document], dry_run: bool = False) -> Sequence[tuple[str, dict[str, Any]]]:
        """Apply all manifests, or none if one is invalid; give for each "created", "configured" or "unchanged", and the object."""

    def repair(self) -> Sequence[str]:
        """Bring back what has gone from the kernel; give what had to be done, as commands."""

    def logs(self, namespace: str, pod: str, options: Mapping[str, Any]) -> Iterator[bytes]:
        """Give a container's log in pieces (container, follow, previous, tailLines, sinceSeconds, timestamps)."""

    def version(self) -> Mapping[str, str]:
        """Give the server's version."""


class Backend(Protocol):
    """Everything that verbs call."""

    def read(self, sources: Sequence[str], stdin: TextIO, lab: str | None) -> Scenario:
        """Read and check manifests; InvalidManifestError with all faults."""

    def labs(self) -> Sequence[LabStatus]:
        """Give all labs of this machine."""

    def find_lab(self, name: str | None) -> LabStatus:
        """Give the lab of that name, or the only one."""

    def api(self, lab: LabStatus) -> Api:
        """Give a client of a lab's API server."""

    def up(self, scenario: Scenario, keep: bool, on_progress: Progress) -> UpResult:
        """Bring up a lab."""

    def down(self, name: str) -> bool:
        """Take a lab down; tell whether anything was there."""

    def exec(self, lab: LabStatus, target: str, argv: Sequence[str], namespace: str, container: str | None) -> NoReturn:
        """Become a command inside a pod, a node (`node/NAME`) or `client`."""

    def plan(self, scenario: Scenario) -> Sequence[Operation]:
        """Say what `up` would do."""

    def explain(self, lab: LabStatus, resource: Resource, namespace: str | None, name: str) -> Sequence[Operation]:
        """Say what stands in the kernel for an object."""

    def diagnose(self) -> Sequence[Check]:
        """Look at what this machine has."""
