import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Answer, Ask, Exit, Log, Port, Ran, Run, Wait, Write

Start = Callable[..., Any]

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.40"


@pytest.fixture
def netexec(container: Start) -> Start:
    return lambda *args, **more: container(IMAGE, "netexec", *args, **more)


def test_ports_are_upstreams_by_default_and_follow_the_flags(netexec: Start) -> None:
    assert [listener.port for listener in netexec().behaviour.listeners] == [Port(8080), Port(8081, "UDP")]
    flags = ("--http-port=80", "--udp-port", "-1", "--sctp-port=9000")
    assert [listener.port for listener in netexec(*flags).behaviour.listeners] == [Port(80), Port(9000, "SCTP")]


def test_a_flag_that_is_no_number_ends_the_container(netexec: Start) -> None:
    with pytest.raises(KlabError, match="http-port"):
        netexec("--http-port=many")


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/hostname", "web-1"),
        ("/hostName", "web-1"),
        ("/clientip", "10.0.1.7:40000"),
        ("/serverport", "8080"),
        ("/echo?msg=hello%20there", "hello there"),
        ("/healthz", ""),
        ("/readyz", "ok"),
        ("/header?key=x-one", "1"),
        ("/", "NOW: 2023-11-14 22:13:25.25 +0000 UTC m=+5.250000000"),
        ("/anything/else", "NOW: 2023-11-14 22:13:25.25 +0000 UTC m=+5.250000000"),
    ],
)
def test_endpoints(netexec: Start, target: str, answer: Any) -> None:
    assert netexec().text(target, headers={"X-One": "1"}) == answer


def test_echo_gives_the_status_that_is_asked_for(netexec: Start) -> None:
    assert netexec().ask("/echo?msg=a&code=404").status == 404
    assert "must be an integer" in netexec().text("/echo?msg=a&code=x")


def test_a_form_counts_as_a_query_does(netexec: Start) -> None:
    form = {"method": "POST", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": b"msg=posted"}
    assert netexec().text("/echo?msg=asked", **form) == "posted"


def test_header_without_a_key_is_all_of_them_but_host(netexec: Start) -> None:
    assert json.loads(netexec().text("/header", headers={"x-one": "1"})) == {"X-One": ["1"]}


def test_redirect(netexec: Start) -> None:
    response = netexec().ask("/redirect?location=/echo%3Fmsg=a&code=307")
    assert (response.status, dict(response.headers)["Location"]) == (307, "/echo?msg=a")


def test_shell_runs_in_the_container(netexec: Start) -> None:
    driver = netexec(do=lambda effect: Ran(3, b"out\n"))
    assert json.loads(driver.text("/shell?cmd=ls%20/")) == {"output": "out\n", "error": "exit status 3"}
    assert Run(("/bin/sh", "-c", "ls /")) in driver.effects


def test_exit_waits_and_ends_with_the_code(netexec: Start) -> None:
    driver = netexec()
    driver.ask("/exit?code=3&wait=2s")
    assert [effect for effect in driver.effects if not isinstance(effect, Log)] == [Wait(2.0), Exit(3)]


def test_dial_tells_answers_and_errors(netexec: Start) -> None:
    answers = iter([Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), Answer(error="dial tcp 10.0.0.9:80: connect: connection refused")])
    driver = netexec(do=lambda effect: next(answers))
    told = json.loads(driver.text("/dial?host=10.0.0.9&port=80&request=hostname&tries=2"))
    assert told == {"errors": ['Get "http://10.0.0.9:80/hostname": dial tcp 10.0.0.9:80: connect: connection refused']}
    asked = next(effect for effect in driver.effects if isinstance(effect, Ask))
    assert (asked.protocol, asked.host, asked.port) == ("tcp", "10.0.0.9", 80)
    assert asked.data.startswith(b"GET /hostname HTTP/1.1\r\nHost: 10.0.0.9:80\r\n")


def test_dial_by_udp(netexec: Start) -> None:
    driver = netexec(do=lambda effect: Answer(b"web-2"))
    assert json.loads(driver.text("/dial?host=10.0.0.9&port=81&request=hostname&protocol=udp&tries=2")) == {"responses": ["web-2", "web-2"]}


@pytest.mark.parametrize("target", ["/dial?host=a&port=80", "/dial?host=a&port=80&request=b&tries=x", "/dial?host=a&port=80&request=b&protocol=icmp"])
def test_dial_refuses_what_makes_no_sense(netexec: Start, target: str) -> None:
    assert netexec().ask(target).status == 400


def test_upload_writes_the_file(netexec: Start) -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\none\r\ntwo\r\n--XX--\r\n'
    driver = netexec()
    response = driver.ask("/upload", method="POST", headers={"Content-Type": "multipart/form-data; boundary=XX"}, body=body)
    written = next(effect for effect in driver.effects if isinstance(effect, Write))
    assert (response.status, written.content) == (201, b"one\r\ntwo")
    assert json.loads(response.body) == {"output": written.path}


@pytest.mark.parametrize(
    ("datagram", "answer"),
    [(b"hostname\n", b"web-1"), (b" ECHO Hello\n", b"hello"), (b"clientip", b"10.0.1.7:40000"), (b"nonsense", None), (b"", None)],
)
def test_datagrams(netexec: Start, datagram: bytes, answer: Any) -> None:
    assert netexec().send(datagram) == answer


def test_http_override_answers_every_path_alike(netexec: Start) -> None:
    assert netexec("--http-override=/echo?msg=same").text("/hostname", method="POST") == "same"


def test_it_goes_on_serving_after_sigterm_where_it_is_told_to(netexec: Start) -> None:
    driver = netexec("--delay-shutdown=5")
    assert driver.behaviour.stop_delay == 5.0
    driver.context = replace(driver.context, stopping=True)
    assert (driver.ask("/readyz").status, driver.ask("/healthz").status) == (503, 200)


def test_an_unknown_subcommand_ends_the_container(container: Start) -> None:
    with pytest.raises(KlabError, match='unknown command "nonsense"'):
        container(IMAGE, "nonsense")
