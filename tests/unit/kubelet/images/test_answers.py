import json
from collections.abc import Callable
from typing import Any

import pytest

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Port

Start = Callable[..., Any]


def test_whoami_tells_itself_and_the_request(container: Start) -> None:
    answer = container("traefik/whoami:v1.10", "--name=me").text("/a?b=c", headers={"Accept": "*/*", "User-Agent": "curl"})
    assert answer == (
        "Name: me\nHostname: web-1\nIP: 127.0.0.1\nIP: ::1\nIP: 10.0.0.5\nRemoteAddr: 10.0.1.7:40000\n"
        "GET /a?b=c HTTP/1.1\r\nHost: 10.0.0.5:8080\r\nUser-Agent: curl\r\nAccept: */*\r\n\r\n"
    )


def test_whoami_gives_json_and_data(container: Start) -> None:
    assert json.loads(container("whoami").text("/api"))["hostname"] == "web-1"
    assert len(container("whoami").text("/data?size=100&unit=KB")) == 100_000


def test_http_echo_says_its_text(container: Start) -> None:
    driver = container("hashicorp/http-echo", "-text=hello world", "-listen=:8080", "-status-code=202")
    response = driver.ask("/any")
    assert (driver.listener().port, response.status, response.body) == (Port(8080), 202, b"hello world\n")
    assert container("hashicorp/http-echo", "-text", "hi").listener().port == Port(5678)
    with pytest.raises(KlabError, match="Missing -text option!"):
        container("hashicorp/http-echo")


def test_echo_server_writes_the_request_back(container: Start) -> None:
    driver = container("jmalloc/echo-server")
    assert driver.text("/a", method="POST", headers={"b-c": "1"}, body=b"x") == (
        "Request served by web-1\n\nPOST /a HTTP/1.1\n\nHost: 10.0.0.5:8080\nB-C: 1\n\nx"
    )
    assert json.loads(container("ealen/echo-server").text("/a?b=c"))["request"]["query"] == {"b": "c"}


def test_samples(container: Start) -> None:
    hello = container("gcr.io/google-samples/hello-app:2.0", env={"PORT": "9000"})
    assert (hello.text("/"), hello.listener().port) == ("Hello, world!\nVersion: 2.0.0\nHostname: web-1\n", Port(9000))
    assert container("gcr.io/google-samples/kubernetes-bootcamp:v2").text("/") == "Hello Kubernetes bootcamp! | Running on: web-1 | v=2\n"
    assert container("nginxdemos/hello:plain-text").text("/x").splitlines()[:2] == ["Server address: 10.0.0.5:8080", "Server name: web-1"]


def test_httpbin(container: Start) -> None:
    driver = container("kennethreitz/httpbin")
    assert json.loads(driver.text("/get?a=b", headers={"x-one": "1"})) == {
        "args": {"a": "b"},
        "headers": {"Host": "10.0.0.5:8080", "X-One": "1"},
        "origin": "10.0.1.7",
        "url": "http://10.0.0.5:8080/get?a=b",
    }
    assert json.loads(driver.text("/post", method="POST", body=b'{"a": 1}'))["json"] == {"a": 1}
    assert driver.ask("/post").status == 405
    assert driver.ask("/status/418").status == 418
    assert sum(len(part) for part in driver.ask("/stream-bytes/200000").body) == 200_000
    assert dict(driver.ask("/redirect/2").headers)["Location"] == "/relative-redirect/1"
    assert driver.ask("/nope").status == 404


def test_httpbin_delays(container: Start) -> None:
    driver = container("httpbin")
    driver.ask("/delay/3")
    assert driver.effects[0].seconds == 3.0


def test_an_unknown_image_tells_who_it_is(container: Start) -> None:
    driver = container("acme.example/shop/cart:v7", ports=(Port(7000), Port(7001, "UDP")))
    assert driver.behaviour.unknown
    facts = dict(line.split("=", 1) for line in driver.text("/a").splitlines())
    assert (facts["hostname"], facts["pod_ip"], facts["node"], facts["image"], facts["client_address"], facts["request"]) == (
        "web-1",
        "10.0.0.5",
        "node1",
        "acme.example/shop/cart:v7",
        "10.0.1.7",
        "GET /a",
    )
    talk = driver.listener().talk(driver.context)
    assert talk.open() == b""
    assert talk.receive(b"hello\n").startswith(b"hostname=web-1 pod=web-1 namespace=default pod_ip=10.0.0.5 ")
    assert not talk.done
    assert driver.send(b"hello").startswith(b"hostname=web-1 ")


def test_an_unknown_image_without_ports_waits(container: Start) -> None:
    assert container("acme/worker").behaviour.listeners == ()
