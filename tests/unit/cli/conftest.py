"""A lab made of dictionaries: what the command line talks to in these tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner, Result

from klab.api.merge import json_merge_patch, json_patch, strategic_merge_patch
from klab.api.resources import BUILTIN, Resource
from klab.api.selectors import parse_field_selector, parse_selector
from klab.cli.main import app
from klab.errors import NotFoundError, UsageError


def render_scale(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": obj["metadata"], "spec": {"replicas": obj["spec"]["replicas"]} if obj["spec"]["replicas"] else {}}


@dataclass
class FakeApi:
    """Objects by kind, namespace and name; `calls` holds what was asked to change, `events` what a watch will say, `refusals` the next changes."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    log: bytes = b""
    repairs: list[str] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)

    def get(self, resource: Resource, namespace: str | None, name: str, subresource: str = "") -> dict[str, Any]:
        for obj in self.list(resource, namespace)["items"]:
            if obj["metadata"]["name"] == name:
                return render_scale(obj) if subresource == "scale" else obj
        raise NotFoundError(f'{resource.qualified} "{name}" not found')

    def list(self, resource: Resource, namespace: str | None = None, selector: str = "", fields: str = "") -> dict[str, Any]:
        labels, conditions = parse_selector(selector), parse_field_selector(fields)
        found = [
            obj
            for obj in self.objects
            if BUILTIN.find(obj["apiVersion"], obj["kind"]) == resource
            and namespace in (None, obj["metadata"].get("namespace"))
            and labels.matches(obj["metadata"].get("labels"))
            and conditions.matches(obj)
        ]
        return {"kind": f"{resource.kind}List", "items": found, "metadata": {"resourceVersion": "7"}}

    def watch(  # noqa: PLR0913, PLR0917 - the client's parameters
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout: int | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Let what is being deleted go, and give the events."""
        self.calls.append(("watch", resource.plural, namespace, selector, fields, resource_version))
        going = [obj for obj in self.list(resource, namespace, selector, fields)["items"] if "deletionTimestamp" in obj["metadata"]]
        self.objects = [obj for obj in self.objects if "deletionTimestamp" not in obj["metadata"]]
        yield from self.events
        yield from (("DELETED", obj) for obj in going)

    def create(self, resource: Resource, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Evict a pod: nothing else is created through this."""
        self.calls.append(("create", resource.path(obj["metadata"]["namespace"]), obj, dry_run))
        if self.refusals:
            raise self.refusals.pop(0)
        pod = self.get(BUILTIN.by_word("pods"), obj["metadata"]["namespace"], obj["metadata"]["name"])
        if not dry_run:
            pod["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        return {"kind": "Status", "status": "Success"}

    def patch(  # noqa: PLR0913 - the client's parameters
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
        """Change an object as the API server does."""
        self.calls.append(("patch", resource.plural, namespace, name, patch, kind, subresource, dry_run))
        if self.refusals:
            raise self.refusals.pop(0)
        old = self.get(resource, namespace, name)
        new = {"strategic": strategic_merge_patch, "merge": json_merge_patch, "json": json_patch}[kind](old, patch)
        if not dry_run:
            self.objects = [new if obj is old else obj for obj in self.objects]
        return dict(new)

    def delete(
        self, resource: Resource, namespace: str | None, name: str, grace: int | None = None, propagation: str = "Background"
    ) -> dict[str, Any]:
        obj = self.get(resource, namespace, name)
        self.calls.append(("delete", resource.plural, namespace, name, grace, propagation))
        return obj

    def apply(self, manifests: Sequence[Any], dry_run: bool = False) -> list[tuple[str, dict[str, Any]]]:
        self.calls.append(("apply", [manifest.where for manifest in manifests], dry_run))
        return [("created", manifest.obj) for manifest in manifests]

    def repair(self) -> list[str]:
        self.calls.append(("repair",))
        return self.repairs

    def logs(self, namespace: str, pod: str, options: Mapping[str, Any]) -> Iterator[bytes]:
        self.calls.append(("logs", namespace, pod, dict(options)))
        yield self.log

    def version(self) -> Mapping[str, str]:
        return {"gitVersion": "v1.33.0"}


@dataclass(frozen=True)
class FakeLab:
    name: str
    running: bool = True
    nodes: int = 2
    pods: int = 4
    path: str = "/run/klab/deep-dive"


@dataclass(frozen=True)
class FakeOperation:
    verb: str
    why: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class FakeCheck:
    name: str
    ok: bool
    found: str = ""
    remedy: str = ""
    optional: bool = False


@dataclass(frozen=True)
class FakeResult:
    lab: str
    nodes: int = 2
    pods: int = 4
    changed: int = 12
    ready: int = 4
    repaired: tuple[str, ...] = ()


@dataclass
class FakeBackend:
    """The layers below; every call that changes something is noted in `calls`."""

    known: list[FakeLab] = field(default_factory=lambda: [FakeLab("deep-dive")])
    server: FakeApi = field(default_factory=FakeApi)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    operations: list[FakeOperation] = field(default_factory=list)
    checks: list[FakeCheck] = field(default_factory=list)
    fails: BaseException | None = None
    changed: int = 12
    repaired: tuple[str, ...] = ()

    def read(self, sources: Sequence[str], stdin: Any, lab: str | None) -> Any:
        self.calls.append(("read", list(sources), lab))
        if self.fails:
            raise self.fails
        return FakeResult(lab or "deep-dive")

    def labs(self) -> list[FakeLab]:
        if self.fails:
            raise self.fails
        return self.known

    def find_lab(self, name: str | None) -> FakeLab:
        if name is None and len(self.known) > 1:
            raise UsageError(f"several labs are up: {', '.join(lab.name for lab in self.known)}; choose one with --lab NAME")
        for lab in self.known:
            if name in (None, lab.name):
                return lab
        raise NotFoundError(f'lab "{name}" is not up; `klab up FILE` brings one up')

    def api(self, lab: FakeLab) -> FakeApi:
        self.calls.append(("api", lab.name))
        return self.server

    def up(self, scenario: Any, keep: bool, on_progress: Any) -> FakeResult:
        self.calls.append(("up", scenario.lab, keep))
        on_progress(1, 2, "pods")
        return FakeResult(scenario.lab, changed=self.changed, repaired=self.repaired)

    def down(self, name: str) -> bool:
        self.calls.append(("down", name))
        return any(lab.name == name for lab in self.known)

    def exec(self, lab: FakeLab, target: str, argv: Sequence[str], namespace: str, container: str | None) -> NoReturn:
        self.calls.append(("exec", lab.name, target, list(argv), namespace, container))
        raise SystemExit(7)

    def plan(self, scenario: Any) -> list[FakeOperation]:
        return self.operations

    def explain(self, lab: FakeLab, resource: Resource, namespace: str | None, name: str) -> list[FakeOperation]:
        self.calls.append(("explain", resource.plural, namespace, name))
        return self.operations

    def diagnose(self) -> list[FakeCheck]:
        return self.checks


@dataclass
class Klab:
    """Runs command lines against the fake lab."""

    backend: FakeBackend

    def __call__(self, line: str | Sequence[str], stdin: str | None = None, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner(env={"KLAB_LAB": None, "KLAB_DEBUG": None}).invoke(app, line, input=stdin, env=env, prog_name="klab", obj=self.backend)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def klab(backend: FakeBackend) -> Klab:
    return Klab(backend)
