"""A cluster of a store, controllers, a clock that stands still, and a kubelet that does what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from klab.api import resources
from klab.api.defaults import default
from klab.api.pod import Pod
from klab.controlplane.controllers.context import PODS, Context
from klab.controlplane.events import EVENTS, Recorder
from klab.controlplane.manager import Controller, Manager
from klab.controlplane.store import Store, render_time
from klab.errors import NotFoundError

Object = dict[str, Any]

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


class Cluster:
    """Controllers over a store of their own; `nodes` names where the fake scheduler puts pods, in turn."""

    def __init__(self, make: Callable[[Context], Sequence[Controller]], nodes: Sequence[str] = ("node1", "node2")) -> None:
        self.time = START
        self.store = Store(now=lambda: datetime.fromtimestamp(self.time, UTC))
        self.recorder = Recorder(self.store, lambda: datetime.fromtimestamp(self.time, UTC))
        self.context = Context.of(self.store, self.recorder, lambda: self.time)
        for name in ("default", "shop"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}})
        self.nodes = list(nodes)
        for name in nodes:
            self.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}})
        self.turn = 0
        self.wish: float | None = None
        self.manager = Manager(self.store, make(self.context), lambda: self.time)

    # people

    def put(self, obj: Object) -> Object:
        """Create an object, or change the stored one, as the API server would."""
        obj = default(obj)
        resource = resources.of(obj["apiVersion"], obj["kind"])
        try:
            old = self.store.get(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
        except NotFoundError:
            return self.store.create(resource, obj)
        metadata = {**obj["metadata"], "annotations": {**old["metadata"].get("annotations", {}), **obj["metadata"].get("annotations", {})}}
        return self.store.update(resource, {**obj, "metadata": metadata})

    def get(self, word: str, name: str, namespace: str = "default") -> Object:
        return self.store.get(resources.by_word(word), namespace, name)

    def list(self, word: str, namespace: str = "default") -> list[Object]:
        return self.store.list(resources.by_word(word), namespace)

    def names(self, word: str, namespace: str = "default") -> list[str]:
        return [obj["metadata"]["name"] for obj in self.list(word, namespace)]

    def change(self, word: str, name: str, **spec: Any) -> Object:
        obj = self.get(word, name)
        return self.store.update(resources.by_word(word), {**obj, "spec": {**obj["spec"], **spec}})

    def label(self, word: str, name: str, **labels: str) -> Object:
        obj = self.get(word, name)
        return self.store.update(resources.by_word(word), {**obj, "metadata": {**obj["metadata"], "labels": labels}})

    def delete(self, word: str, name: str, grace: int | None = None) -> None:
        self.store.delete(resources.by_word(word), "default", name, grace)

    # kubelet and scheduler

    def pods(self, *, active: bool = True) -> list[Object]:
        return [pod for pod in self.list("pods") if not active or self.is_active(pod)]

    @staticmethod
    def is_active(pod: Object) -> bool:
        return "deletionTimestamp" not in pod["metadata"] and not Pod.of(pod).finished

    def ready_pods(self) -> list[Object]:
        return [pod for pod in self.pods() if Pod.of(pod).ready]

    def report(self, pod: Object, phase: str, *, ready: bool = False, **status: Any) -> None:
        """Write a pod's status as a kubelet does."""
        since = render_time(datetime.fromtimestamp(self.time, UTC))
        conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}]
        old = self.store.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        status = {**(old.get("status") or {}), "phase": phase, "startTime": since, "conditions": conditions, **status}
        self.store.update(PODS, {**old, "status": status}, "status")

    def bind(self) -> None:
        """Put pods without a node on the nodes, in turn."""
        for pod in self.pods():
            if not pod["spec"].get("nodeName"):
                self.store.update(PODS, {**pod, "spec": {**pod["spec"], "nodeName": self.nodes[self.turn % len(self.nodes)]}})
                self.turn += 1

    def start(self, pods: Iterable[Object] | None = None) -> None:
        """Let pods run and be ready: all that have a node, or those given."""
        self.bind()
        for pod in self.pods() if pods is None else pods:
            if not Pod.of(pod).ready:
                self.report(pod, "Running", ready=True)

    def finish(self, pod: Object, code: int = 0) -> None:
        """Let a pod's container end."""
        at = render_time(datetime.fromtimestamp(self.time, UTC))
        name = pod["spec"]["containers"][0]["name"]
        statuses = [{"name": name, "restartCount": 0, "state": {"terminated": {"exitCode": code, "startedAt": at, "finishedAt": at}}}]
        self.report(pod, "Failed" if code else "Succeeded", containerStatuses=statuses)

    def reap(self) -> None:
        """Let pods that are being deleted go."""
        for pod in self.pods(active=False):
            if "deletionTimestamp" in pod["metadata"]:
                self.store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], 0)

    # time

    def run(self) -> float | None:
        """Let the controllers work."""
        self.wish = self.manager.run()
        return self.wish

    def settle(self) -> None:
        """Let controllers, scheduler and kubelets work until nothing changes any more."""
        for _ in range(100):
            before = self.store.revision
            self.run()
            self.start()
            self.reap()
            if self.store.revision == before:
                return
        raise AssertionError("nothing comes to rest")

    def wait(self, seconds: float) -> None:
        """Let time pass, and the controllers do what is due."""
        self.time += seconds
        self.run()

    # what happened

    def messages(self, reason: str | None = None) -> list[str]:
        """Give the messages of events, in the order of their first time."""
        events = sorted(self.store.list(EVENTS), key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["message"] for event in events if reason in (None, event["reason"])]


Make = Callable[..., Cluster]


@pytest.fixture
def make() -> Make:
    return Cluster


def template(labels: dict[str, str] | None = None, image: str = "nginx:1.27", **spec: Any) -> Object:
    return {"metadata": {"labels": {"app": "web"} if labels is None else labels}, "spec": {"containers": [{"name": "web", "image": image}], **spec}}


def workload(kind: str, name: str = "web", *, image: str = "nginx:1.27", **spec: Any) -> Object:
    """A workload of a kind that selects app=web."""
    version = {"Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    selector: Any = {"app": "web"} if kind == "ReplicationController" else {"matchLabels": {"app": "web"}}
    more = {} if kind in {"Job", "CronJob"} else {"selector": selector}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**more, "template": template(image=image), **spec},
    }
