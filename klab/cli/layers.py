"""The real layers below the command line, imported when a verb first calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, TextIO

from klab.api.resources import Resource
from klab.cli.backend import Api, Check, LabStatus, Operation, Progress, Scenario, UpResult
from klab.cli.sources import warn_all


class Layers:
    """Backend over klab.labs and klab.api."""

    def read(self, sources: Sequence[str], stdin: TextIO, lab: str | None) -> Scenario:
        """Read and check manifests; `lab` is a name in place of the Lab document's."""
        from klab.api.check import read  # noqa: PLC0415 - each verb loads what it calls, here and below

        scenario = read(sources, stdin)
        warn_all(scenario.documents)
        return replace(scenario, lab=replace(scenario.lab, name=lab)) if lab else scenario

    def labs(self) -> Sequence[LabStatus]:
        """Give all labs of this machine."""
        from klab.labs.finding import list_labs  # noqa: PLC0415

        return list_labs()

    def find_lab(self, name: str | None) -> LabStatus:
        """Give the lab of that name, or the only one."""
        from klab.labs.finding import find_lab  # noqa: PLC0415

        return find_lab(name)

    def api(self, lab: Any) -> Api:
        """Give a client of a lab's API server."""
        from klab.labs.finding import client  # noqa: PLC0415

        return client(lab)

    def up(self, scenario: Any, keep: bool, on_progress: Progress) -> UpResult:
        """Bring up a lab."""
        from klab.labs.up import up  # noqa: PLC0415

        return up(scenario, keep=keep, on_progress=on_progress)

    def down(self, name: str) -> bool:
        """Take a lab down."""
        from klab.labs.up import down  # noqa: PLC0415

        return down(name)

    def exec(self, lab: LabStatus, target: str, argv: Sequence[str], namespace: str, container: str | None) -> NoReturn:
        """Become a command inside a pod, a node or `client`."""
        from klab.labs.entering import exec_in  # noqa: PLC0415

        exec_in(lab.name, target, argv, namespace=namespace, container=container)

    def plan(self, scenario: Any) -> Sequence[Operation]:
        """Say what `up` would do."""
        from klab.labs.planning import plan  # noqa: PLC0415

        return plan(scenario.lab, scenario.documents)

    def explain(self, lab: LabStatus, resource: Resource, namespace: str | None, name: str) -> Sequence[Operation]:
        """Say what stands in the kernel for an object."""
        from klab.labs.planning import explain  # noqa: PLC0415

        return explain(lab.name, resource, namespace, name)

    def diagnose(self) -> Sequence[Check]:
        """Look at what this machine has."""
        from klab.labs.doctor import diagnose  # noqa: PLC0415

        return diagnose()
