from collections.abc import Callable
from typing import Any

from klab.kubelet.images.behaviour import Port

Start = Callable[..., Any]

IMAGE = "gcr.io/google_containers/echoserver:1.4"


def test_the_answer_is_echoserver_1_4s_to_the_letter(container: Start) -> None:
    answer = container(IMAGE).text("/", headers={"Host": "192.168.104.3:8080", "User-Agent": "curl/7.88.1", "Accept": "*/*"})
    assert answer == (
        "CLIENT VALUES:\nclient_address=10.0.1.7\ncommand=GET\nreal path=/\nquery=nil\nrequest_version=1.1\nrequest_uri=http://192.168.104.3:8080/\n"
        "\nSERVER VALUES:\nserver_version=nginx: 1.10.0 - lua: 10001\n"
        "\nHEADERS RECEIVED:\naccept=*/*\nhost=192.168.104.3:8080\nuser-agent=curl/7.88.1\nBODY:\n-no body in request-"
    )


def test_the_uri_has_the_host_header_without_its_port_and_the_servers_own_port(container: Start) -> None:
    assert "request_uri=http://echoserver.test:8080/a?b=c\n" in container(IMAGE).text("/a?b=c", headers={"Host": "EchoServer.test"})
    assert "request_uri=http://[fd00::1]:8080/\n" in container(IMAGE).text("/", headers={"Host": "[fd00::1]:80"})


def test_query_and_body_are_told(container: Start) -> None:
    answer = container(IMAGE).text("/a?b=c", method="POST", body=b"hello")
    assert "real path=/a?b=c\nquery=b=c\n" in answer
    assert answer.endswith("BODY:\nhello")


def test_it_listens_on_8080_or_on_what_is_declared(container: Start) -> None:
    assert [listener.port for listener in container(IMAGE).behaviour.listeners] == [Port(8080)]
    declared = (Port(80), Port(53, "UDP"))
    assert [listener.port for listener in container(IMAGE, ports=declared).behaviour.listeners] == [Port(80), Port(53, "UDP")]
