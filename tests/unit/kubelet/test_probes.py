"""Probes: what is asked for, when, and what follows; after the kubelet's worker_test.go and prober_test.go."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.pod import Container
from klab.kubelet.probes import (
    ContainerProbes,
    Outcome,
    Probe,
    Type,
    judge_exec,
    judge_fault,
    judge_grpc,
    judge_http,
    judge_tcp,
    parse_probe,
    render_killing,
    render_url,
)
from klab.kubelet.resolv import Note

START = 1000.0
GOOD, BAD = Outcome("success"), Outcome("failure", "HTTP probe failed with statuscode: 500")
PORTS = [{"name": "http", "containerPort": 8080}, {"name": "80", "containerPort": 81}]


def container(**probes: Any) -> Container:
    return Container.of({"name": "web", "ports": PORTS, "env": [{"name": "FILE", "value": "/ok"}], **probes})


def probe(**fields: Any) -> dict[str, Any]:
    return {"tcpSocket": {"port": 80}, **fields}


def parsed(raw: dict[str, Any]) -> Probe:
    return parse_probe(container(), raw)


def run(probes: ContainerProbes, kind: Type, outcome: Outcome, now: float) -> Note | None:
    """Do the probe that must be due at `now`."""
    assert kind in dict(probes.due(now))
    return probes.observe(kind, outcome, now, now)


def test_defaults() -> None:
    assert parsed({"httpGet": {"port": 80}}) == Probe("httpGet", port=80, path="/")


def test_everything_said() -> None:
    headers = [{"name": "X-A", "value": "1"}, {"name": "X-B"}]
    raw = {
        "httpGet": {"host": "1.2.3.4", "port": "http", "path": "/ok?x=1", "scheme": "HTTPS", "httpHeaders": headers},
        "initialDelaySeconds": 3,
        "periodSeconds": 4,
        "timeoutSeconds": 5,
        "successThreshold": 6,
        "failureThreshold": 7,
        "terminationGracePeriodSeconds": 8,
    }
    expected = Probe("httpGet", 3, 4, 5, 6, 7, 8, "1.2.3.4", 8080, "/ok?x=1", "https", (("X-A", "1"), ("X-B", "")))
    assert parsed(raw) == expected


@pytest.mark.parametrize(
    ("port", "number", "fault"),
    [
        (80, 80, ""),
        ("http", 8080, ""),
        ("80", 81, ""),
        ("9090", 9090, ""),
        ("nope", 0, 'strconv.Atoi: parsing "nope": invalid syntax'),
        (0, 0, "invalid port number: 0"),
        (70000, 0, "invalid port number: 70000"),
    ],
)
def test_ports_by_name_and_number(port: int | str, number: int, fault: str) -> None:
    found = parsed({"tcpSocket": {"port": port}})
    assert (found.port, found.fault) == (number, fault)


def test_exec_and_grpc() -> None:
    assert parsed({"exec": {"command": ["cat", "$(FILE)"]}}) == Probe("exec", command=("cat", "/ok"))
    assert parsed({"grpc": {"port": 9000, "service": "db"}}) == Probe("grpc", port=9000, service="db")
    assert parsed({}).fault == "missing probe handler for web"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Outcome("success", "body")),
        (299, Outcome("success", "body")),
        (302, Outcome("warning", "Probe terminated redirects, Response body: body")),
        (404, Outcome("failure", "HTTP probe failed with statuscode: 404")),
        (199, Outcome("failure", "HTTP probe failed with statuscode: 199")),
    ],
)
def test_http_statuses(status: int, expected: Outcome) -> None:
    assert judge_http(status, "body") == expected


@pytest.mark.parametrize(
    ("http_get", "expected"),
    [
        ({"port": "http"}, "http://10.0.0.1:8080/"),
        ({"port": 80, "path": "healthz?full=1"}, "http://10.0.0.1:80/healthz?full=1"),
        ({"port": 443, "scheme": "HTTPS", "host": "fd00::1", "path": "/x"}, "https://[fd00::1]:443/x"),
    ],
)
def test_urls(http_get: dict[str, Any], expected: str) -> None:
    assert render_url(parsed({"httpGet": http_get}), "10.0.0.1") == expected


def test_judgements() -> None:
    refused = 'Get "http://10.0.0.1:80/": dial tcp 10.0.0.1:80: connect: connection refused'
    assert judge_http(0, error=refused) == Outcome("failure", refused)
    assert judge_http(200, error="unexpected EOF", errored=True) == Outcome("failure", "unexpected EOF", errored=True)
    assert judge_tcp("") == Outcome("success")
    assert judge_tcp("dial tcp 10.0.0.1:80: i/o timeout") == Outcome("failure", "dial tcp 10.0.0.1:80: i/o timeout")
    command = Probe("exec", command=("sh", "-c", "x"), timeout=90)
    assert judge_exec(command, 0, "fine", timed_out=False) == Outcome("success", "fine")
    assert judge_exec(command, 3, "x" * 20000, timed_out=False) == Outcome("failure", "x" * 10240)
    assert judge_exec(command, 124, "", timed_out=True).text == 'command timed out: "sh -c x" timed out after 1m30s'
    assert judge_grpc(1) == Outcome("success", "service healthy")
    assert judge_grpc(2) == Outcome("failure", 'service unhealthy (responded with "NOT_SERVING")')
    assert judge_grpc(None, "timeout") == Outcome("failure", "timeout")


def test_without_probes_a_container_is_ready_at_once() -> None:
    probes = ContainerProbes(container(), START)
    assert (probes.started, probes.ready, probes.failed, probes.next_time) == (True, True, None, None)
    assert probes.due(START + 999) == ()


def test_readiness_waits_for_its_delay_and_first_success() -> None:
    probes = ContainerProbes(container(readinessProbe=probe(initialDelaySeconds=5, periodSeconds=2)), START)
    assert (probes.started, probes.ready, probes.next_time) == (True, False, START + 5)
    assert probes.due(START + 4.9) == ()
    assert run(probes, "Readiness", BAD, START + 5) == Note("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")
    assert not probes.ready
    assert probes.next_time == START + 7
    assert run(probes, "Readiness", GOOD, START + 7) is None
    assert probes.ready


def test_thresholds_count_runs_of_one_result() -> None:
    probes = ContainerProbes(container(readinessProbe=probe(periodSeconds=1, failureThreshold=3, successThreshold=2)), START)
    ready = []
    for second, outcome in enumerate([GOOD, BAD, GOOD, GOOD, BAD, BAD, GOOD, BAD, BAD, BAD, GOOD, GOOD]):
        run(probes, "Readiness", outcome, START + second)
        ready.append(probes.ready)
    assert ready == [False, False, False, True, True, True, True, True, True, False, False, True]


def test_liveness_is_fine_until_it_failed_often_enough() -> None:
    probes = ContainerProbes(container(livenessProbe=probe(periodSeconds=3, failureThreshold=2, terminationGracePeriodSeconds=7)), START)
    assert probes.ready
    assert run(probes, "Liveness", BAD, START) == Note("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
    assert probes.failed is None
    run(probes, "Liveness", BAD, START + 3)
    assert probes.failed == "Liveness"
    assert probes.next_time is None  # on hold until the container runs anew
    assert probes.grace_period("Liveness") == 7
    assert render_killing("web", "Liveness", restart=True) == "Container web failed liveness probe, will be restarted"
    assert render_killing("web", "Startup", restart=False) == "Container web failed startup probe"


def test_startup_holds_the_others_back() -> None:
    probes = ContainerProbes(
        container(startupProbe=probe(periodSeconds=1, failureThreshold=30), livenessProbe=probe(), readinessProbe=probe(initialDelaySeconds=5)), START
    )
    assert (probes.started, probes.ready) == (False, False)
    assert [kind for kind, _ in probes.due(START)] == ["Startup"]
    probes.observe("Startup", BAD, START, START)
    run(probes, "Startup", GOOD, START + 1)
    assert (probes.started, probes.ready) == (True, False)
    assert [kind for kind, _ in probes.due(START + 1)] == ["Liveness"]
    assert probes.next_time == START + 5
    run(probes, "Readiness", GOOD, START + 5)
    assert probes.ready


def test_readiness_is_probed_at_once_after_startup() -> None:
    probes = ContainerProbes(container(startupProbe=probe(initialDelaySeconds=20), readinessProbe=probe(initialDelaySeconds=5)), START)
    run(probes, "Startup", GOOD, START + 20)
    assert probes.next_time == START + 20


def test_startup_that_never_succeeds_kills() -> None:
    probes = ContainerProbes(container(startupProbe=probe(periodSeconds=1, failureThreshold=2), readinessProbe=probe()), START)
    run(probes, "Startup", BAD, START)
    run(probes, "Startup", BAD, START + 1)
    assert (probes.failed, probes.started, probes.next_time) == ("Startup", False, None)


def test_a_probe_under_way_is_not_due_and_a_late_one_is_due_at_once() -> None:
    probes = ContainerProbes(container(readinessProbe=probe(periodSeconds=2)), START)
    assert probes.due(START)
    assert probes.due(START + 2) == ()
    assert probes.next_time is None
    probes.observe("Readiness", BAD, START, START + 5)
    assert probes.next_time == START + 5


def test_an_error_of_the_prober_is_told_and_thrown_away() -> None:
    probes = ContainerProbes(container(livenessProbe={"tcpSocket": {"port": "nope"}, "failureThreshold": 1}), START)
    ((kind, found),) = probes.due(START)
    note = probes.observe(kind, judge_fault(found), START, START)
    text = 'Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing "nope": invalid syntax'
    assert note == Note("Unhealthy", text)
    assert probes.failed is None
    assert probes.next_time == START + 10


def test_a_redirect_elsewhere_is_a_success_with_a_warning() -> None:
    probes = ContainerProbes(container(readinessProbe=probe()), START)
    note = run(probes, "Readiness", judge_http(302, "moved"), START)
    assert note == Note("ProbeWarning", "Readiness probe warning: Probe terminated redirects, Response body: moved")
    assert probes.ready


def test_a_pod_being_deleted_is_asked_for_readiness_alone() -> None:
    probes = ContainerProbes(container(livenessProbe=probe(failureThreshold=1), readinessProbe=probe()), START)
    assert len(probes.due(START)) == 2
    probes.stop_liveness_and_startup()
    assert probes.observe("Liveness", BAD, START, START + 1) is None
    probes.observe("Readiness", GOOD, START, START + 1)
    assert (probes.failed, probes.ready) == (None, True)
    assert [kind for kind, _ in probes.due(START + 999)] == ["Readiness"]


def test_a_container_that_ran_before_keeps_its_state_until_probed() -> None:
    raws = {"startupProbe": probe(), "readinessProbe": probe(failureThreshold=1), "livenessProbe": probe()}
    probes = ContainerProbes(container(**raws), START, started=True, ready=True)
    assert (probes.started, probes.ready) == (True, True)
    assert {kind for kind, _ in probes.due(START + 100)} == {"Liveness", "Readiness"}
    probes.observe("Readiness", BAD, START + 100, START + 100)
    assert not probes.ready
