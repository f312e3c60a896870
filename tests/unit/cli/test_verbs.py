"""The verbs that change something, or leave kubectl's ground: what they ask of the layers below, and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from klab.cli.verbs.delete import _grace
from klab.errors import CommandFailedError, Fault, InvalidManifestError, KlabError, MissingError, UsageError


def pod(name: str, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": {"containers": []}}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(
        "apiVersion: klab.dev/v1\nkind: Lab\nmetadata: {name: deep-dive}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: blue}\n"
    )
    return path


class TestUp:
    def test_it_says_what_stands_and_what_to_do_next(self, klab: Any, backend: Any) -> None:
        result = klab("up a.yaml -f b.yaml,c.yaml --lab test --keep")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert result.stderr.startswith("lab test is up: 2 nodes, 4 pods, 12 changed, 0.0")
        assert result.stderr.endswith("\nnext: klab get pods -A -o wide\n")
        assert backend.calls == [("read", ["a.yaml", "b.yaml", "c.yaml"], "test"), ("up", "test", True)]

    def test_a_second_time_there_is_nothing_to_change(self, klab: Any, backend: Any) -> None:
        backend.changed = 0
        assert "nothing to change" in klab("up a.yaml").stderr

    def test_what_had_gone_is_named(self, klab: Any, backend: Any) -> None:
        backend.changed, backend.repaired = 0, ("ip route add 10.0.0.0/24 via 10.0.0.1",)
        stderr = klab("up a.yaml").stderr
        assert "repaired: ip route add 10.0.0.0/24 via 10.0.0.1\n" in stderr
        assert "nothing to change" not in stderr

    def test_as_json(self, klab: Any) -> None:
        found = json.loads(klab("up a.yaml -o json").stdout)
        assert found.pop("seconds") >= 0
        assert found == {"lab": "deep-dive", "nodes": 2, "pods": 4, "ready": 4, "changed": 12, "repaired": []}

    def test_it_needs_a_file(self, klab: Any) -> None:
        result = klab("up")
        assert (result.exit_code, result.stderr) == (2, "error: no manifest is named; give a file, a folder, or - for stdin\n")


class TestApply:
    def test_it_prints_what_became_of_each(self, klab: Any, backend: Any, manifest: Path) -> None:
        result = klab(f"apply {manifest}")
        assert result.stdout == "pod/web created\ndeployment.apps/api created\n"
        places = [f"{manifest}, document 2 (Pod default/web)", f"{manifest}, document 3 (Deployment blue/api)"]
        assert backend.server.calls == [("apply", places, False), ("repair",)]

    def test_it_says_what_it_brought_back(self, klab: Any, backend: Any, manifest: Path) -> None:
        backend.server.repairs = ["ip -n demo_node1 route replace default via 172.18.0.1"]
        assert klab(f"apply {manifest}").stderr == "repaired: ip -n demo_node1 route replace default via 172.18.0.1\n"

    def test_a_dry_run_says_so(self, klab: Any, backend: Any, manifest: Path) -> None:
        assert klab(f"apply -f {manifest} --dry-run=server").stdout.startswith("pod/web created (server dry run)\n")
        assert backend.server.calls[0][2] is True

    def test_it_reads_stdin(self, klab: Any) -> None:
        assert klab("apply -", stdin="{apiVersion: v1, kind: Pod, metadata: {name: web}}").stdout == "pod/web created\n"

    def test_the_namespace_asked_for_is_given_to_objects_without_one(self, klab: Any) -> None:
        text = "{apiVersion: v1, kind: Pod, metadata: {name: web}}"
        assert "namespace: blue" in klab("apply - -n blue -o yaml", stdin=text).stdout

    def test_an_object_of_another_namespace_is_refused(self, klab: Any, manifest: Path) -> None:
        result = klab(f"apply {manifest} -n green")
        assert result.exit_code == 2
        assert 'the namespace from the provided object "blue" does not match the namespace "green"' in result.stderr

    def test_all_faults_of_the_files_are_listed(self, klab: Any, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("kind: Pod\n---\napiVersion: v1\nkind: Pood\n")
        result = klab(f"apply {tmp_path} nowhere.yaml")
        assert result.exit_code == 3
        assert result.stderr.count("error: ") == 4
        assert "error: nowhere.yaml: the path does not exist\n" in result.stderr
        assert result.stderr.endswith("error: 3 faults found; nothing was changed\n")


class TestDelete:
    def test_by_name(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a"), pod("b")]
        result = klab("delete pod a b --wait=false")
        assert result.stdout == 'pod "a" deleted\npod "b" deleted\n'
        assert backend.server.calls == [
            ("delete", "pods", "default", "a", None, "Background"),
            ("delete", "pods", "default", "b", None, "Background"),
        ]

    def test_it_waits_until_the_object_is_gone(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a", deletionTimestamp="2024-01-01T00:00:00Z")]
        assert klab("delete pod/a").exit_code == 0
        assert backend.server.calls[-1] == ("watch", "pods", "default", "", "metadata.name=a", "7")

    def test_by_label_in_all_namespaces(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a", labels={"app": "web"}), pod("b", "blue", labels={"app": "web"}), pod("c")]
        assert klab("delete pods -l app=web -A --cascade orphan -o name").stdout == "pod/a\npod/b\n"
        assert backend.server.calls[1] == ("delete", "pods", "blue", "b", None, "Orphan")

    def test_all_of_none_is_fine(self, klab: Any) -> None:
        result = klab("delete pods --all")
        assert (result.exit_code, result.stdout) == (0, "No resources found\n")

    def test_those_of_a_file(self, klab: Any, backend: Any, manifest: Path) -> None:
        backend.server.objects = [pod("web")]
        result = klab(f"delete -f {manifest}")
        assert result.exit_code == 1
        assert result.stdout == 'pod "web" deleted\n'
        assert result.stderr == 'error: deployments.apps "api" not found\n'
        assert klab(f"delete -f {manifest} --ignore-not-found").exit_code == 0

    def test_by_force(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("a")]
        result = klab("delete pod a --force --grace-period=0")
        assert result.stdout == 'pod "a" force deleted\n'
        assert result.stderr.startswith("Warning: Immediate deletion does not wait")
        assert backend.server.calls[0][4] == 0

    @pytest.mark.parametrize(
        ("options", "grace"),
        [
            ((-1, False, False), None),
            ((5, False, False), 5),
            ((0, False, False), 1),
            ((0, True, False), 0),
            ((-1, True, False), 0),
            ((-1, False, True), 1),
        ],
    )
    def test_grace_periods_are_kubectls(self, options: tuple[int, bool, bool], grace: int | None) -> None:
        assert _grace(*options) == grace

    @pytest.mark.parametrize("options", [(5, False, True), (5, True, False)])
    def test_grace_periods_that_exclude_each_other(self, options: tuple[int, bool, bool]) -> None:
        with pytest.raises(UsageError, match="cannot be specified together"):
            _grace(*options)

    @pytest.mark.parametrize(
        ("words", "finding"),
        [
            ("pods", "no name was specified"),
            ("", "you must specify the type of resource"),
            ("pods --all -l a=b", "cannot set --all and --selector"),
            ("pod a -l a=b", "name cannot be provided when a selector is specified"),
            ("pod a -f x.yaml", "you may not specify resource arguments as well"),
            ("pod a -o yaml", "We only support '-o name'"),
            ("pod a --cascade=maybe", "invalid cascade value (maybe)"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, words: str, finding: str, klab: Any, backend: Any) -> None:
        result = klab(f"delete {words}")
        assert result.exit_code == 2
        assert finding in result.stderr
        assert backend.server.calls == []


class TestDown:
    def test_the_only_lab(self, klab: Any, backend: Any) -> None:
        assert klab("down").stderr == "lab deep-dive is down\n"
        assert backend.calls == [("down", "deep-dive")]

    def test_twice_is_fine(self, klab: Any, backend: Any) -> None:
        backend.known = []
        for line, said in (("down", "no lab is up\n"), ("down gone", "lab gone is not up\n"), ("down --all", "no lab is up\n")):
            result = klab(line)
            assert (result.exit_code, result.stderr) == (0, said)

    def test_all(self, klab: Any, backend: Any) -> None:
        backend.known = [type(backend.known[0])("one"), type(backend.known[0])("two")]
        assert klab("down --all").stderr == "lab one is down\nlab two is down\n"
        assert klab("down").exit_code == 2
        assert klab("down one --all").exit_code == 2


class TestLs:
    def test_a_table(self, klab: Any, backend: Any) -> None:
        backend.known.append(type(backend.known[0])("weave", running=False, nodes=3, pods=0))
        assert klab("ls").stdout == (
            "NAME        STATUS    NODES   PODS\n"
            "deep-dive   Running   2       4\n"
            "weave       Stopped   3       0\n"
        )  # fmt: skip
        assert klab("ls -o name").stdout == "deep-dive\nweave\n"
        assert klab("ls --no-headers -o wide").stdout.splitlines()[0].endswith("/run/klab/deep-dive")

    def test_as_json(self, klab: Any) -> None:
        assert json.loads(klab("ls -o json").stdout) == [
            {"name": "deep-dive", "status": "Running", "nodes": 2, "pods": 4, "path": "/run/klab/deep-dive"}
        ]

    def test_none(self, klab: Any, backend: Any) -> None:
        backend.known = []
        result = klab("ls")
        assert (result.stdout, result.stderr) == ("", "no lab is up; sudo klab up FILE brings one up\n")
        assert klab("ls -o json").stdout == "[]\n"


class TestExec:
    @pytest.mark.parametrize(
        ("line", "call"),
        [
            ("exec web -- ip addr", ("web", ["ip", "addr"], "default", None)),
            ("exec -it web -c app -n blue -- sh -c 'ls -l'", ("web", ["sh", "-c", "ls -l"], "blue", "app")),
            ("exec web -i -t -- cat", ("web", ["cat"], "default", None)),
            ("exec node/node1 -- ip route", ("node/node1", ["ip", "route"], "default", None)),
            ("-n blue exec client -- curl --help", ("client", ["curl", "--help"], "blue", None)),
            ("exec web ip addr", ("web", ["ip", "addr"], "default", None)),
            ("exec web -- echo --wait=false", ("web", ["echo", "--wait=false"], "default", None)),
        ],
    )
    def test_it_hands_the_command_on(self, line: str, call: tuple[Any, ...], klab: Any, backend: Any) -> None:
        result = klab(line)
        assert backend.calls == [("exec", "deep-dive", *call)]
        assert result.exit_code == 7, "the command's"

    @pytest.mark.parametrize(
        ("line", "finding"), [("exec", "exec needs a pod"), ("exec web", "klab exec web -- COMMAND"), ("exec web --", "at least one")]
    )
    def test_it_needs_a_target_and_a_command(self, line: str, finding: str, klab: Any) -> None:
        result = klab(line)
        assert result.exit_code == 2
        assert finding in result.stderr


class TestLogs:
    def test_options_become_those_of_the_api(self, klab: Any, backend: Any) -> None:
        backend.server.log = b"line\n\xff"
        result = klab("logs pod/web app -f -p --tail=20 --since 1h30m0.5s --timestamps")
        assert result.stdout_bytes == b"line\n\xff"
        wishes = {"container": "app", "follow": True, "previous": True, "tailLines": 20, "sinceSeconds": 5401, "timestamps": True}
        assert backend.server.calls == [("logs", "default", "web", wishes)]

    def test_nothing_is_asked_for_that_was_not_wished(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("web", "blue")]
        backend.server.objects[0]["spec"] = {"containers": [{"name": "app"}]}
        assert klab("logs web --tail=0 -n blue").stderr == ""
        assert backend.server.calls == [("logs", "blue", "web", {"container": "app", "tailLines": 0})]

    def test_the_container_that_is_meant_is_named_if_there_are_several(self, klab: Any, backend: Any) -> None:
        backend.server.objects = [pod("web")]
        backend.server.objects[0]["spec"] = {"containers": [{"name": "app"}, {"name": "side"}], "initContainers": [{"name": "init"}]}
        assert klab("logs web").stderr == 'Defaulted container "app" out of: app, side, init (init)\n'
        backend.server.objects[0]["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "side"}
        assert klab("logs web").stderr == ""
        assert backend.server.calls[-1] == ("logs", "default", "web", {"container": "side"})
        assert klab("logs nope").stderr == 'error: pods "nope" not found\n'

    @pytest.mark.parametrize(
        ("line", "finding"),
        [
            ("logs", "Missing argument"),
            ("logs web --since 5", "invalid duration"),
            ("logs a b -c c", "only one of -c"),
            ("logs svc/web", "logs are of pods"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, line: str, finding: str, klab: Any) -> None:
        result = klab(line)
        assert result.exit_code == 2
        assert finding in result.stderr


class TestPlanAndExplain:
    @pytest.fixture(autouse=True)
    def _operations(self, backend: Any) -> None:
        backend.operations = [
            SimpleNamespace(verb="create", why="node node1", lines=("ip netns add node1",)),
            SimpleNamespace(verb="create", why="node node1", lines=("ip -n node1 link set lo up",)),
            SimpleNamespace(verb="delete", why="pod default/web", lines=("ip netns del web",)),
        ]

    def test_a_plan_is_the_commands_under_their_reasons(self, klab: Any) -> None:
        result = klab("plan a.yaml")
        assert result.stdout == "# node node1\nip netns add node1\nip -n node1 link set lo up\n\n# pod default/web\nip netns del web\n"
        assert result.stderr == "plan: 2 to create, 0 to change, 1 to delete\n"

    def test_an_empty_plan(self, klab: Any, backend: Any) -> None:
        backend.operations = []
        result = klab("plan a.yaml")
        assert (result.stdout, result.stderr) == ("", "plan: nothing to do\n")

    def test_as_data(self, klab: Any) -> None:
        assert json.loads(klab("plan a.yaml -o json").stdout)[2] == {"verb": "delete", "why": "pod default/web", "lines": ["ip netns del web"]}
        assert klab("explain pod/web -o yaml").stdout.startswith("- lines:\n  - ip netns add node1\n  verb: create\n")

    def test_explain_asks_for_one_object(self, klab: Any, backend: Any) -> None:
        assert klab("explain pod web -n blue").stdout.startswith("# node node1\n")
        assert backend.calls[-1] == ("explain", "pods", "blue", "web")
        klab("explain node/node1")
        assert backend.calls[-1] == ("explain", "nodes", None, "node1")
        assert klab("explain pods").exit_code == 2

    def test_a_script_stops_at_the_first_failure(self, klab: Any) -> None:
        assert klab("explain pod web --script").stdout.startswith("#!/bin/sh\nset -eu\n\n# node node1\n")
        assert klab("explain pod web --script -o json").exit_code == 2


class TestDoctor:
    def test_what_is_missing_and_what_mends_it(self, klab: Any, backend: Any) -> None:
        backend.checks = [
            SimpleNamespace(name="overlay", ok=False, found="not in this kernel", remedy="modprobe overlay", optional=False),
            SimpleNamespace(name="ipip", ok=False, found="not in this kernel", remedy="modprobe ipip", optional=True),
            SimpleNamespace(name="root", ok=True, found="uid 0", remedy="", optional=False),
        ]
        result = klab("doctor")
        assert result.exit_code == 4
        assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [["overlay", "missing"], ["ipip", "absent"], ["root", "ok"]]
        assert result.stderr == "overlay: modprobe overlay\nipip: modprobe ipip\n"
        assert json.loads(klab("doctor -o json").stdout)[1]["remedy"] == "modprobe ipip"
        backend.checks = backend.checks[1:]
        assert klab("doctor").exit_code == 0


class TestVersion:
    def test_of_klab_and_of_the_lab(self, klab: Any) -> None:
        assert klab("version").stdout.splitlines()[1] == "Server Version: v1.33.0"
        assert json.loads(klab("version -o json").stdout)["serverVersion"] == {"gitVersion": "v1.33.0"}

    def test_without_a_lab_klabs_alone(self, klab: Any, backend: Any) -> None:
        backend.known = []
        result = klab("version")
        assert result.exit_code == 0
        assert result.stdout.startswith("Client Version: v")
        assert "Server" not in result.output
        assert klab("version --lab nope").exit_code == 1
        assert klab("version --client").exit_code == 0


@pytest.mark.parametrize("words", ["describe pod web-", "describe pod/web-1", "describe pods -l app=web"])
def test_describe_finds_by_name_prefix_or_label(words: str, klab: Any, backend: Any) -> None:
    backend.server.objects = [pod("web-1", labels={"app": "web"}), pod("db")]
    result = klab(words)
    assert result.exit_code == 0
    assert result.stdout.startswith("Name:         web-1\n")
    assert result.stdout.count("Name: ") == 1


def test_describe_of_what_is_not_there(klab: Any) -> None:
    result = klab("describe pod nope")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", 'error: pods "nope" not found\n')
    assert klab("describe pods").stderr == "No resources found in default namespace.\n"


def test_descriptions_stand_two_lines_apart(klab: Any, backend: Any) -> None:
    backend.server.objects = [pod("a"), pod("b")]
    result = klab("describe pods --show-events=false")
    assert "\n\n\nName:" in result.stdout
    assert "Events:" not in result.stdout


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (KlabError("no"), 1, "error: no\n"),
        (MissingError("ipip: modprobe ipip\nnft: apt-get install nftables"), 4, "error: ipip: modprobe ipip\nerror: nft: apt-get install nftables\n"),
        (CommandFailedError(["ip", "link"], 2, "bad\n"), 1, "error: `ip link` ended with 2: bad\n"),
        (InvalidManifestError([Fault("a.yaml, document 1", "spec.x", "unknown")]), 3, "error: a.yaml, document 1: spec.x: unknown\n"),
        (
            InvalidManifestError([Fault("a.yaml", "x", "m"), Fault("b.yaml", "", "n")]),
            3,
            "error: a.yaml: x: m\nerror: b.yaml: n\nerror: 2 faults found; nothing was changed\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (PermissionError(13, "Permission denied", "/run/klab"), 4, "error: Permission denied: /run/klab; run it as root: sudo klab up a.yaml\n"),
        (RuntimeError("oops"), 1, "error: internal error: RuntimeError: oops; run it again with KLAB_DEBUG=1 for the traceback\n"),
    ],
)
def test_failures_have_a_line_and_an_exit_code(error: BaseException, code: int, stderr: str, klab: Any, backend: Any) -> None:
    backend.fails = error
    result = klab("up a.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", stderr)


def test_the_traceback_is_there_for_who_asks(klab: Any, backend: Any) -> None:
    backend.fails = RuntimeError("oops")
    assert "Traceback" in klab("up a.yaml", env={"KLAB_DEBUG": "1"}).stderr


def test_the_lab_may_stand_before_or_after_the_verb_or_in_the_environment(klab: Any, backend: Any) -> None:
    backend.known.append(type(backend.known[0])("two"))
    for line, env in (
        ("--lab two get pods", {}),
        ("get pods --lab two", {}),
        ("get pods", {"KLAB_LAB": "two"}),
        ("--lab one get pods --lab two", {}),
    ):
        backend.calls.clear()
        assert klab(line, env=env).exit_code == 0
        assert backend.calls == [("api", "two")]
    ambiguous = klab("get pods")
    assert (ambiguous.exit_code, ambiguous.stderr) == (2, "error: several labs are up: deep-dive, two; choose one with --lab NAME\n")
