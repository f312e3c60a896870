"""Apply and patches, compared with what kubectl and the API server make of the same input."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from klab.api.merge import json_merge_patch, json_patch, strategic_merge_patch, three_way
from klab.errors import UsageError


def pod(**spec: Any) -> Any:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}


def service(*ports: Any, **spec: Any) -> Any:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": list(ports), **spec}}


def deployment(*containers: Any, **spec: Any) -> Any:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": list(containers)}}, **spec},
    }


class TestThreeWay:
    def test_what_the_server_filled_in_stays(self) -> None:
        last = service({"port": 80})
        live = service({"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30001}, clusterIP="10.96.0.5", type="NodePort")
        new = service({"port": 80, "targetPort": 8080})

        merged = three_way(last, new, live)

        assert merged["spec"] == {
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30001}],
            "clusterIP": "10.96.0.5",
            "type": "NodePort",
        }

    def test_applying_the_same_again_changes_nothing(self) -> None:
        new = deployment({"name": "a", "image": "x"}, {"name": "b", "image": "y"}, replicas=2)
        live = copy.deepcopy(new)
        live["metadata"]["uid"] = "1"
        live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always"
        live["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"

        assert three_way(new, new, live) == live

    def test_what_was_applied_and_is_gone_is_removed(self) -> None:
        last = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "1", "b": "2"}}, "data": {"x": "1", "y": "2"}}
        live = copy.deepcopy(last)
        live["data"]["z"] = "by somebody else"
        new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "1"}}, "data": {"x": "1"}}

        merged = three_way(last, new, live)

        assert merged["data"] == {"x": "1", "z": "by somebody else"}
        assert merged["metadata"]["labels"] == {"a": "1"}

    def test_without_a_last_configuration_nothing_is_removed(self) -> None:
        live = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1", "y": "2"}}

        assert three_way(None, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "3"}}, live)["data"] == {"x": "3", "y": "2"}

    def test_a_container_goes_and_one_injected_by_somebody_stays(self) -> None:
        last = deployment({"name": "a"}, {"name": "b"})
        live = deployment({"name": "a"}, {"name": "injected"}, {"name": "b"})
        new = deployment({"name": "a", "image": "x"}, {"name": "c"})

        assert three_way(last, new, live)["spec"]["template"]["spec"]["containers"] == [
            {"name": "a", "image": "x"},
            {"name": "c"},
            {"name": "injected"},
        ]

    def test_the_order_of_the_new_configuration_counts(self) -> None:
        last = deployment({"name": "a"}, {"name": "b"})

        assert three_way(last, deployment({"name": "b"}, {"name": "a"}), last)["spec"]["template"]["spec"]["containers"] == [
            {"name": "b"},
            {"name": "a"},
        ]

    def test_one_port_of_two_protocols_is_two_ports(self) -> None:
        new = service({"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 1053}, {"name": "dns-tcp", "port": 53})
        live = service(
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53, "nodePort": 30001},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53, "nodePort": 30002},
        )

        assert three_way(new, new, live)["spec"]["ports"] == [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 1053, "nodePort": 30001},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53, "nodePort": 30002},
        ]

    def test_atomic_lists_are_replaced(self) -> None:
        last = deployment({"name": "a", "args": ["1", "2"]})
        live = deployment({"name": "a", "args": ["1", "2"]})

        assert three_way(last, deployment({"name": "a", "args": ["2"]}), live)["spec"]["template"]["spec"]["containers"][0]["args"] == ["2"]

    def test_lists_of_scalars_with_merge_strategy(self) -> Any:
        def with_finalizers(*names: Any) -> Any:
            return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "finalizers": list(names)}}

        merged = three_way(with_finalizers("a", "b"), with_finalizers("b", "c"), with_finalizers("a", "server", "b"))

        assert merged["metadata"]["finalizers"] == ["server", "b", "c"]

    def test_a_selector_is_merged_as_kubectl_does_from_the_last_configuration(self) -> None:
        merged = three_way(
            service({"port": 80}, selector={"a": "1"}), service({"port": 80}, selector={"b": "2"}), service({"port": 80}, selector={"a": "1"})
        )

        assert merged["spec"]["selector"] == {"b": "2"}

    def test_changing_the_strategy_drops_the_other_ones_parameters(self) -> None:
        live = deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}})
        new = deployment(strategy={"type": "Recreate"})

        assert three_way(deployment(), new, live)["spec"]["strategy"] == {"type": "Recreate"}

    def test_a_volume_changes_its_source(self) -> None:
        live = pod(volumes=[{"name": "v", "emptyDir": {}}, {"name": "token", "projected": {}}])
        new = pod(volumes=[{"name": "v", "configMap": {"name": "c"}}])

        assert three_way(None, new, live)["spec"]["volumes"] == [{"name": "v", "configMap": {"name": "c"}}, {"name": "token", "projected": {}}]

    def test_null_removes_what_the_server_has(self) -> None:
        assert three_way(None, {"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": None}}, pod(nodeName="node1", hostname="h"))["spec"] == {
            "hostname": "h"
        }

    def test_custom_resources_have_atomic_lists(self) -> None:
        live = {"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"items": [{"name": "a"}, {"name": "b"}], "server": 1}}
        new = {"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"items": [{"name": "b"}]}}

        assert three_way(new, new, live)["spec"] == {"items": [{"name": "b"}], "server": 1}

    def test_nothing_given_is_changed(self) -> None:
        last, new, live = deployment({"name": "a"}), deployment({"name": "b"}), deployment({"name": "a"}, {"name": "c"})
        before = copy.deepcopy((last, new, live))

        three_way(last, new, live)

        assert (last, new, live) == before


class TestStrategicMergePatch:
    live = pod(
        containers=[{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}], "args": ["1"]}, {"name": "b", "image": "y"}],
        nodeSelector={"disk": "ssd"},
        volumes=[{"name": "v", "emptyDir": {}}],
    )

    def patched(self, **spec: Any) -> Any:
        before = copy.deepcopy(self.live)
        result = strategic_merge_patch(self.live, {"spec": spec})["spec"]
        assert self.live == before
        return result

    def test_items_are_merged_by_their_key(self) -> None:
        assert self.patched(containers=[{"name": "b", "image": "z"}])["containers"] == [
            self.live["spec"]["containers"][0],
            {"name": "b", "image": "z"},
        ]

    def test_nested_lists_too(self) -> None:
        containers = self.patched(containers=[{"name": "a", "env": [{"name": "F", "value": "2"}]}])["containers"]
        assert {item["name"]: item["value"] for item in containers[0]["env"]} == {"E": "1", "F": "2"}

    def test_delete_directive_in_a_list(self) -> None:
        assert [item["name"] for item in self.patched(containers=[{"name": "a", "$patch": "delete"}])["containers"]] == ["b"]

    def test_replace_directive_in_a_list(self) -> None:
        assert self.patched(containers=[{"$patch": "replace"}, {"name": "c"}])["containers"] == [{"name": "c"}]

    def test_replace_and_delete_directives_in_a_map(self) -> None:
        assert self.patched(nodeSelector={"$patch": "replace", "zone": "z"})["nodeSelector"] == {"zone": "z"}
        assert self.patched(nodeSelector={"$patch": "delete"})["nodeSelector"] == {}

    def test_null_removes(self) -> None:
        assert "nodeSelector" not in self.patched(nodeSelector=None)
        assert self.patched(nodeSelector={"disk": None, "zone": "z"})["nodeSelector"] == {"zone": "z"}

    def test_retain_keys_drops_the_rest(self) -> None:
        patch = {"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}
        assert self.patched(volumes=[patch])["volumes"] == [{"name": "v", "configMap": {"name": "c"}}]

    def test_order_directive(self) -> None:
        names = [item["name"] for item in self.patched(**{"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})["containers"]]
        assert names == ["b", "a"]

    def test_order_directive_beside_a_change(self) -> None:
        patch = {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": [{"name": "c", "image": "z"}]}
        assert [item["name"] for item in self.patched(**patch)["containers"]] == ["c", "a", "b"]

    def test_primitive_lists(self) -> None:
        live = {"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["a", "b"]}}
        patch = {"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}
        assert strategic_merge_patch(live, patch)["metadata"]["finalizers"] == ["c", "b"]

    def test_two_ports_with_one_merge_key_survive(self) -> None:
        live = service({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"})
        patched = strategic_merge_patch(live, {"spec": {"ports": [{"port": 80}]}})
        assert {(item["port"], item.get("protocol")) for item in patched["spec"]["ports"]} == {(53, "UDP"), (53, "TCP"), (80, None)}

    def test_an_item_without_its_key_is_refused(self) -> None:
        with pytest.raises(UsageError, match="does not contain declared merge key: name"):
            self.patched(containers=[{"image": "z"}])

    def test_an_unknown_directive_is_refused(self) -> None:
        with pytest.raises(UsageError, match="unknown patch type: explode"):
            self.patched(nodeSelector={"$patch": "explode"})

    def test_a_custom_resource_is_refused(self) -> None:
        with pytest.raises(UsageError, match="takes no strategic merge patch"):
            strategic_merge_patch({"apiVersion": "example.com/v1", "kind": "Thing"}, {})


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_json_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert json_merge_patch(target, patch) == result


class TestJsonPatch:
    @pytest.mark.parametrize(
        ("target", "operations", "result"),
        [
            # RFC 6902, appendix A
            ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
            ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
            ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
            ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
            ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
            (
                {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
                [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
                {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
            ),
            (
                {"foo": ["all", "grass", "cows", "eat"]},
                [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
                {"foo": ["all", "cows", "eat", "grass"]},
            ),
            ({"baz": "qux", "foo": ["a", 2]}, [{"op": "test", "path": "/foo/1", "value": 2}], {"baz": "qux", "foo": ["a", 2]}),
            ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"grandchild": {}}}], {"foo": "bar", "child": {"grandchild": {}}}),
            ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
            ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}], {"foo": ["bar", ["abc", "def"]]}),
            ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
            ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
            (
                {"metadata": {"labels": {"example.com/a": "1"}}},
                [{"op": "remove", "path": "/metadata/labels/example.com~1a"}],
                {"metadata": {"labels": {}}},
            ),
        ],
    )
    def test_examples(self, target: Any, operations: Any, result: Any) -> None:
        before = copy.deepcopy(target)
        assert json_patch(target, operations) == result
        assert target == before

    @pytest.mark.parametrize(
        ("operation", "message"),
        [
            ({"op": "test", "path": "/a", "value": 2}, "testing value /a failed"),
            ({"op": "test", "path": "/a", "value": True}, "testing value /a failed"),
            ({"op": "add", "path": "/x/y", "value": 1}, "no such place"),
            ({"op": "remove", "path": "/x"}, "no such place"),
            ({"op": "replace", "path": "/x", "value": 1}, "no such place"),
            ({"op": "replace", "path": "/list/2", "value": 1}, "beyond the end"),
            ({"op": "add", "path": "/list/3", "value": 1}, "beyond the end"),
            ({"op": "add", "path": "/list/01", "value": 1}, "no index"),
            ({"op": "add", "path": "/a/b", "value": 1}, "holds no fields"),
            ({"op": "add", "path": "a", "value": 1}, "starts with"),
            ({"op": "add", "path": "/a"}, "lacks 'value'"),
            ({"op": "move", "path": "/map/x", "from": "/map"}, "into itself"),
            ({"op": "explode", "path": "/a"}, "needs op"),
            ("nonsense", "needs op"),
        ],
    )
    def test_refusals(self, operation: Any, message: Any) -> None:
        with pytest.raises(UsageError, match=message):
            json_patch({"a": 1, "list": [1, 2], "map": {}}, [operation])
