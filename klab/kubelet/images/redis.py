"""redis: strings, lists and counters in memory, over RESP 2 (redis.io/docs/reference/protocol-spec) and inline commands."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, TypeAlias

from klab.kubelet.images.behaviour import Behaviour, Context, Conversation, Launch, Listener, Port
from klab.kubelet.images.launch import Flags, tcp_ports

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PORT = 6379
Value: TypeAlias = bytes | list[bytes]
Reply: TypeAlias = "int | bytes | str | list[Reply] | None"
"""An integer, a bulk string, a status line, an array, or nil."""


class CommandError(Exception):
    """A command that cannot be carried out; the message begins with redis' own code."""


class Database:
    """The data of one container."""

    def __init__(self) -> None:
        """Begin empty."""
        self._data: dict[bytes, Value] = {}
        self._commands: dict[str, tuple[int, Callable[..., Reply]]] = {
            "APPEND": (2, self._append),
            "COMMAND": (0, lambda *_: []),
            "CONFIG": (1, lambda *_: []),
            "CLIENT": (1, lambda *_: "OK"),
            "DBSIZE": (0, lambda: len(self._data)),
            "DECR": (1, lambda key: self._add(key, -1)),
            "DECRBY": (2, lambda key, by: self._add(key, -_integer(by))),
            "DEL": (1, self._delete),
            "ECHO": (1, lambda message: message),
            "EXISTS": (1, lambda *keys: sum(key in self._data for key in keys)),
            "FLUSHALL": (0, self._flush),
            "FLUSHDB": (0, self._flush),
            "GET": (1, self._get),
            "INCR": (1, lambda key: self._add(key, 1)),
            "INCRBY": (2, lambda key, by: self._add(key, _integer(by))),
            "INFO": (
                0,
                lambda *_: b"# Server\r\nredis_version:7.4.0\r\nredis_mode:standalone\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n",
            ),
            "KEYS": (1, self._keys),
            "LLEN": (1, lambda key: len(self._list(key))),
            "LPUSH": (2, self._push_left),
            "LRANGE": (3, self._range),
            "MGET": (1, lambda *keys: [value if isinstance(value := self._data.get(key), bytes) else None for key in keys]),
            "MSET": (2, self._set_many),
            "PING": (0, lambda message=None: "PONG" if message is None else message),
            "QUIT": (0, lambda: "OK"),
            "RPUSH": (2, self._push_right),
            "SELECT": (1, lambda _: "OK"),
            "SET": (2, self._set),
            "STRLEN": (1, lambda key: len(self._string(key))),
            "TYPE": (1, self._type),
        }

    def execute(self, words: list[bytes]) -> Reply:
        """Carry out a command; CommandError where it cannot be."""
        name = words[0].decode(errors="replace").upper()
        if name not in self._commands:
            raise CommandError(
                f"ERR unknown command '{words[0].decode(errors='replace')}', the built-in redis has {' '.join(sorted(self._commands))}"
            )
        least, function = self._commands[name]
        if len(words) - 1 < least:
            raise CommandError(f"ERR wrong number of arguments for '{name.lower()}' command")
        try:
            return function(*words[1:])
        except TypeError as error:
            raise CommandError(f"ERR wrong number of arguments for '{name.lower()}' command") from error

    def _string(self, key: bytes) -> bytes:
        value = self._data.get(key, b"")
        if not isinstance(value, bytes):
            raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _list(self, key: bytes) -> list[bytes]:
        value = self._data.get(key, [])
        if not isinstance(value, list):
            raise CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _get(self, key: bytes) -> Reply:
        return self._string(key) if key in self._data else None

    def _set(self, key: bytes, value: bytes, *options: bytes) -> Reply:
        words = {option.upper() for option in options}
        if (b"NX" in words and key in self._data) or (b"XX" in words and key not in self._data):
            return None
        self._data[key] = value
        return "OK"

    def _set_many(self, *words: bytes) -> Reply:
        if len(words) % 2:
            raise CommandError("ERR wrong number of arguments for 'mset' command")
        self._data.update(zip(words[::2], words[1::2], strict=True))
        return "OK"

    def _append(self, key: bytes, value: bytes) -> Reply:
        self._data[key] = self._string(key) + value
        return len(self._string(key))

    def _add(self, key: bytes, by: int) -> Reply:
        total = _integer(self._string(key) or b"0") + by
        self._data[key] = str(total).encode()
        return total

    def _delete(self, *keys: bytes) -> Reply:
        return sum(self._data.pop(key, None) is not None for key in keys)

    def _flush(self, *_: bytes) -> Reply:
        self._data.clear()
        return "OK"

    def _keys(self, pattern: bytes) -> Reply:
        return [key for key in self._data if fnmatch.fnmatchcase(key.decode("latin-1"), pattern.decode("latin-1"))]

    def _push_left(self, key: bytes, *values: bytes) -> Reply:
        self._data[key] = [*reversed(values), *self._list(key)]
        return len(self._list(key))

    def _push_right(self, key: bytes, *values: bytes) -> Reply:
        self._data[key] = [*self._list(key), *values]
        return len(self._list(key))

    def _range(self, key: bytes, first: bytes, last: bytes) -> Reply:
        items = self._list(key)
        begin, end = (number + len(items) if number < 0 else number for number in (_integer(first), _integer(last)))
        return list(items[max(begin, 0) : end + 1])

    def _type(self, key: bytes) -> Reply:
        value = self._data.get(key)
        return "none" if value is None else "string" if isinstance(value, bytes) else "list"


class Client:
    """One connection to a database."""

    reset = False

    def __init__(self, database: Database) -> None:
        """Begin with nothing received."""
        self._database = database
        self._pending = b""
        self.done = False

    def open(self) -> bytes:
        """Say nothing first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Carry out the commands that are whole by now."""
        self._pending += data
        answers = b""
        while not self.done and (parsed := _parse(self._pending)) is not None:
            words, self._pending = parsed
            if not words:
                continue
            self.done = words[0].upper() == b"QUIT"
            try:
                answers += render(self._database.execute(words))
            except CommandError as error:
                answers += f"-{error}\r\n".encode()
        return answers


def behave(launch: Launch) -> Behaviour:
    """Serve a database of the container's own."""
    database = Database()
    port = Flags.of(launch.args).number("port", 0)
    ports = (Port(port),) if port else tcp_ports(launch, DEFAULT_PORT)

    def talk(_: Context) -> Conversation:
        return Client(database)

    return Behaviour(tuple(Listener(port, talk=talk) for port in ports), log=("* Ready to accept connections tcp",))


def render(reply: Reply) -> bytes:
    """Write a reply as RESP 2."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case str():
            return f"+{reply}\r\n".encode()
    return b"*%d\r\n" % len(reply) + b"".join(render(entry) for entry in reply)


def _parse(data: bytes) -> tuple[list[bytes], bytes] | None:
    """Split the first command off: its words and the rest; None while it is not whole."""
    line, newline, rest = data.partition(b"\n")
    if not newline:
        return None
    if not line.startswith(b"*"):
        return line.split(), rest
    words = []
    for _ in range(_length(line)):
        head, newline, rest = rest.partition(b"\n")
        size = _length(head) if newline else 0
        if not newline or len(rest) < size + 2:
            return None
        words.append(rest[:size])
        rest = rest[size + 2 :]
    return words, rest


def _length(line: bytes) -> int:
    digits = line[1:].strip()
    return int(digits) if digits.isdigit() else 0


def _integer(word: bytes) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise CommandError("ERR value is not an integer or out of range") from error
