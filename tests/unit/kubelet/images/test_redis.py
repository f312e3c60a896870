from collections.abc import Callable
from typing import Any

import pytest

from klab.kubelet.images.behaviour import Port

Start = Callable[..., Any]


@pytest.fixture
def client(container: Start) -> Any:
    driver = container("redis:7")
    return driver.listener().talk(driver.context)


def command(*words: str) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("PING",), b"+PONG\r\n"),
        (("ping", "hi"), b"$2\r\nhi\r\n"),
        (("GET", "nothing"), b"$-1\r\n"),
        (("INCR", "n"), b":1\r\n"),
        (("RPUSH", "l", "a", "b"), b":2\r\n"),
        (("EXISTS", "nothing"), b":0\r\n"),
        (("SET", "only-key"), b"-ERR wrong number of arguments for 'set' command\r\n"),
    ],
)
def test_commands(client: Any, words: tuple[str, ...], answer: Any) -> None:
    assert client.receive(command(*words)) == answer


def test_values_stay_and_are_shared_by_the_clients_of_a_container(container: Start) -> None:
    driver = container("redis")
    one, two = driver.listener().talk(driver.context), driver.listener().talk(driver.context)
    one.receive(command("SET", "a", "5"))
    assert two.receive(command("INCRBY", "a", "2")) == b":7\r\n"
    assert one.receive(command("GET", "a")) == b"$1\r\n7\r\n"


def test_a_command_in_pieces_and_several_in_one_piece(client: Any) -> None:
    whole = command("SET", "key", "a\r\nb") + command("GET", "key")
    answers = b"".join(client.receive(whole[index : index + 1]) for index in range(len(whole)))
    assert answers == b"+OK\r\n$4\r\na\r\nb\r\n"
    assert client.receive(whole) == answers


def test_inline_commands_and_quit(client: Any) -> None:
    assert client.receive(b"PING\r\nQUIT\r\nPING\r\n") == b"+PONG\r\n+OK\r\n"
    assert client.done


def test_wrong_types_are_told(client: Any) -> None:
    client.receive(command("LPUSH", "l", "a"))
    assert client.receive(command("GET", "l")).startswith(b"-WRONGTYPE")
    assert client.receive(command("NOSUCH")).startswith(b"-ERR unknown command 'NOSUCH'")


def test_lists(client: Any) -> None:
    client.receive(command("RPUSH", "l", "a", "b", "c"))
    assert client.receive(command("LRANGE", "l", "-2", "-1")) == b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n"


def test_the_port_follows_flag_and_declaration(container: Start) -> None:
    assert container("redis").listener().port == Port(6379)
    assert container("redis", "--port", "7000").listener().port == Port(7000)
    assert container("redis", ports=(Port(6380),)).listener().port == Port(6380)
