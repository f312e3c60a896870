import json
from collections.abc import Callable
from typing import Any

import pytest

from klab.errors import KlabError
from klab.kubelet.images.behaviour import Answer, Ask, Port

Start = Callable[..., Any]

IMAGE = "agnhost:2.40"


def test_without_a_subcommand_it_pauses(container: Start) -> None:
    behaviour = container(IMAGE).behaviour
    assert (behaviour.listeners, behaviour.exit_code) == ((), None)


def test_serve_hostname_speaks_http_on_9376(container: Start) -> None:
    driver = container(IMAGE, "serve-hostname")
    assert driver.listener().port == Port(9376)
    assert driver.text("/") == "web-1"


def test_serve_hostname_by_tcp_and_udp(container: Start) -> None:
    driver = container(IMAGE, "serve-hostname", "--tcp", "--udp", "--http=false", "--port=9000")
    talk = driver.listener().talk(driver.context)
    assert (talk.open(), talk.done) == (b"web-1", True)
    assert driver.send(b"x") == b"web-1"
    with pytest.raises(KlabError):
        container(IMAGE, "serve-hostname", "--tcp")


def test_porter_serves_what_the_environment_says(container: Start) -> None:
    driver = container(IMAGE, "porter", env={"SERVE_PORT_80": "eighty", "SERVE_UDP_PORT_53": "name", "SERVE_SCTP_PORT_9": "x", "OTHER": "y"})
    assert {listener.port for listener in driver.behaviour.listeners} == {Port(80), Port(53, "UDP"), Port(9, "SCTP")}
    assert driver.text("/any") == "eighty"
    assert driver.send(b"") == b"name"


def test_tcp_reset_resets_after_the_first_byte(container: Start) -> None:
    driver = container(IMAGE, "tcp-reset")
    talk = driver.listener().talk(driver.context)
    assert not talk.done
    talk.receive(b"1")
    assert (talk.done, talk.reset) == (True, True)


def test_liveness_is_well_for_ten_seconds(container: Start) -> None:
    driver = container(IMAGE, "liveness")
    assert driver.ask("/healthz").status == 200
    driver.context = driver.context.__class__(
        driver.context.identity, IMAGE, "web-1", driver.context.client, driver.context.server, now=1700000011.0, started=1700000000.0
    )
    assert driver.ask("/healthz").status == 500


def test_guestbook_passes_changes_on_to_its_replicas(container: Start) -> None:
    driver = container(IMAGE, "guestbook", "--backend-port=6379", do=lambda _: Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    driver.ask("/register?host=10.0.0.8")
    assert json.loads(driver.text("/set?key=messages&value=hi")) == {"message": "Updated"}
    assert json.loads(driver.text("/get?key=messages")) == {"data": "hi"}
    assert [(effect.host, effect.port) for effect in driver.effects if isinstance(effect, Ask)] == [("10.0.0.8", 6379)]


def test_a_replica_starts_with_what_its_primary_has(container: Start) -> None:
    reply = b'{"data":{"a":"b"}}'
    driver = container(
        IMAGE, "guestbook", "--replicaof=primary", do=lambda _: Answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(reply), reply))
    )
    driver.run(driver.behaviour.background(driver.context))
    assert json.loads(driver.text("/get?key=a")) == {"data": "b"}


def test_images_that_were_subcommands_once_are_known_too(container: Start) -> None:
    assert container("gcr.io/kubernetes-e2e-test-images/serve-hostname:1.1").text("/") == "web-1"
