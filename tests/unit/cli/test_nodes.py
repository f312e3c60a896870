"""`cordon`, `uncordon` and `drain`: what they ask of the API, and what they print."""

from __future__ import annotations

from typing import Any

import pytest

from klab.errors import KlabError


def node(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"disk": name}}, "spec": spec}


def pod(name: str, node_name: str = "node1", owner: str = "ReplicaSet", namespace: str = "default") -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "u", "controller": True}] if owner else []
    metadata = {"name": name, "namespace": namespace, "uid": name, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node_name, "containers": []}}


@pytest.fixture
def server(backend: Any) -> Any:
    """Give the fake API with two nodes and the pods on them."""
    backend.server.objects = [node("node1"), node("node2", unschedulable=True), pod("web-1"), pod("web-2", namespace="blue"), pod("web-3", "node2")]
    return backend.server


def evicted(server: Any) -> list[str]:
    return [call[1] for call in server.calls if call[0] == "create"]


class TestCordon:
    def test_nodes_are_cordoned_once(self, klab: Any, server: Any) -> None:
        assert klab("cordon node1 node/node2").stdout == "node/node1 cordoned\nnode/node2 already cordoned\n"
        assert server.calls == [("patch", "nodes", None, "node1", {"spec": {"unschedulable": True}}, "strategic", "", False)]

    def test_and_let_go_by_label(self, klab: Any, server: Any) -> None:
        assert klab("uncordon -l disk=node2").stdout == "node/node2 uncordoned\n"
        assert klab("uncordon node2").stdout == "node/node2 already uncordoned\n"
        assert server.objects[1]["spec"] == {}

    def test_a_node_that_is_not_there_keeps_all_from_being_cordoned(self, klab: Any, server: Any) -> None:
        result = klab("cordon node1 node9")
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", 'error: nodes "node9" not found\n')

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("cordon", "USAGE: cordon NODE [flags]"),
            ("drain", "USAGE: drain NODE [flags]"),
            ("uncordon node1 -l disk", "cannot specify both a node name and a --selector option"),
            ("cordon pod/web-1", 'expected resource of type node, got "pod/web-1"'),
        ],
    )
    def test_what_makes_no_sense(self, klab: Any, server: Any, words: str, message: str) -> None:
        result = klab(words)
        assert (result.exit_code, result.stderr) == (2, f"error: {message}\n")


class TestDrain:
    def test_pods_are_evicted_and_waited_for(self, klab: Any, server: Any) -> None:
        result = klab("drain node1")
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "node/node1 cordoned",
            "evicting pod default/web-1",
            "evicting pod blue/web-2",
            "pod/web-1 evicted",
            "pod/web-2 evicted",
            "node/node1 drained",
        ]
        assert evicted(server) == ["/api/v1/namespaces/default/pods/web-1/eviction", "/api/v1/namespaces/blue/pods/web-2/eviction"]
        assert [obj["metadata"]["name"] for obj in server.objects] == ["node1", "node2", "web-3"]

    def test_with_a_grace_period(self, klab: Any, server: Any) -> None:
        klab("drain node2 --grace-period=0")
        assert server.calls[0][2] == {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": "web-3", "namespace": "default"},
            "deleteOptions": {"gracePeriodSeconds": 0},
        }

    def test_pods_that_nobody_makes_anew_stay(self, klab: Any, server: Any) -> None:
        server.objects.append(pod("bare", owner=""))
        result = klab("drain node1 node2")
        reason = "cannot delete cannot delete Pods that declare no controller (use --force to override): default/bare"
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            f'error: unable to drain node "node1" due to error: {reason}, continuing command...',
            "There are pending nodes to be drained:",
            " node1",
            f"error: {reason}",
        ]
        assert evicted(server) == ["/api/v1/namespaces/default/pods/web-3/eviction"]
        assert result.stdout.splitlines()[-1] == "node/node2 drained"

    def test_by_force_they_go(self, klab: Any, server: Any) -> None:
        server.objects.append(pod("bare", owner=""))
        result = klab("drain node1 --force")
        assert (result.exit_code, result.stderr) == (0, "Warning: deleting Pods that declare no controller: default/bare\n")
        assert "pod/bare evicted\n" in result.stdout

    def test_a_pod_that_a_budget_protects_is_asked_again(self, klab: Any, server: Any) -> None:
        server.refusals = [KlabError("Cannot evict pod as it would violate the pod's disruption budget.")]
        server.objects[0]["spec"]["unschedulable"] = True
        result = klab("drain node1")
        assert result.exit_code == 0
        assert result.stderr == (
            'error when evicting pods/"web-1" -n "default" (will retry after 5s): '
            "Cannot evict pod as it would violate the pod's disruption budget.\n"
        )
        assert len(evicted(server)) == 3
        assert result.stdout.endswith("evicting pod default/web-1\npod/web-1 evicted\nnode/node1 drained\n")

    def test_what_the_lab_refuses_is_told(self, klab: Any, server: Any) -> None:
        server.objects[0]["spec"]["unschedulable"] = True
        server.refusals = [KlabError("no")]
        result = klab("drain node1")
        assert result.exit_code == 1
        assert "pod/web-2 evicted\n" in result.stdout
        assert 'There are pending pods in node "node1" when an error occurred: error when evicting pods/"web-1" -n "default": no\npod/web-1\n' in (
            result.stderr
        )

    def test_the_time_is_over(self, klab: Any, server: Any) -> None:
        server.objects[0]["spec"]["unschedulable"] = True
        server.refusals = [KlabError("it would violate the pod's disruption budget")] * 1000
        result = klab("drain node1 --timeout=1ms")
        assert result.exit_code == 1
        assert 'error when waiting for pod "web-1" in namespace "default" to terminate: global timeout reached' in result.stderr

    def test_by_deletion(self, klab: Any, server: Any) -> None:
        server.objects[4]["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        assert klab("drain node2 --disable-eviction").stdout == "node/node2 already cordoned\npod/web-3 deleted\nnode/node2 drained\n"
        assert ("delete", "pods", "default", "web-3", None, "Background") in server.calls

    def test_dry_runs(self, klab: Any, server: Any) -> None:
        assert klab("drain node2 --dry-run=client").stdout.splitlines() == [
            "node/node2 already cordoned (dry run)",
            "evicting pod default/web-3 (dry run)",
            "node/node2 drained (dry run)",
        ]
        assert klab("drain node2 --dry-run=server").stdout.splitlines() == [
            "node/node2 already cordoned (server dry run)",
            "evicting pod default/web-3 (server dry run)",
            "node/node2 drained (server dry run)",
        ]
        assert [call[-1] for call in server.calls] == [True]
