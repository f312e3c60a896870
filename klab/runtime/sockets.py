"""Listening sockets in the network namespaces of many pods, made in one go: a socket stays where it was made, whoever accepts from it."""

from __future__ import annotations

import errno
import os
import socket
from collections import defaultdict
from typing import TYPE_CHECKING

from klab.kernel import netns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from klab.kubelet.images.behaviour import Listener

BACKLOG = 4096
_SCTP = 132  # IPPROTO_SCTP; the name is missing in builds of Python without its header


class BindError(Exception):
    """A port could not be served; the message is the program's: `bind 0.0.0.0:8080: Address already in use`."""


def open_sockets(wishes: Sequence[tuple[str, Sequence[Listener]]]) -> list[list[socket.socket | None] | BindError]:
    """Bind each container's listeners in its namespace (a path), all from one thread; None for an optional one that the kernel has no protocol for.

    A container gets all of its sockets or the error of the first that failed.
    """
    order: dict[str, list[int]] = defaultdict(list)
    for number, (path, _) in enumerate(wishes):
        order[path].append(number)
    found: list[list[socket.socket | None] | BindError] = [[] for _ in wishes]

    def body() -> None:
        for path, numbers in order.items():
            try:
                netns.enter(path)
            except OSError as error:
                for number in numbers:
                    found[number] = BindError(f"the network namespace {path}: {error.strerror}")
                continue
            for number in numbers:
                found[number] = _open_all(wishes[number][1])

    netns.in_thread(body)
    return found


def _open_all(listeners: Sequence[Listener]) -> list[socket.socket | None] | BindError:
    made: list[socket.socket | None] = []
    for listener in listeners:
        try:
            made.append(_open(listener))
        except OSError as error:
            if listener.optional and error.errno in {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}:
                made.append(None)
                continue
            for opened in made:
                if opened is not None:
                    opened.close()
            return BindError(f"bind {listener.host or '0.0.0.0'}:{listener.port.number}: {os.strerror(error.errno or 0)}")  # noqa: S104 (words of a program)
    return made


def _open(listener: Listener) -> socket.socket:
    """Bind one; for all addresses of both families where the namespace has IPv6."""
    if listener.host:
        return _bind(socket.AF_INET6 if ":" in listener.host else socket.AF_INET, listener.host, listener)
    try:
        return _bind(socket.AF_INET6, "::", listener)
    except OSError as error:
        if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
        return _bind(socket.AF_INET, "0.0.0.0", listener)  # noqa: S104 (a pod listens on all of its addresses)


def _bind(family: socket.AddressFamily, host: str, listener: Listener) -> socket.socket:
    number, protocol = listener.port
    if protocol == "UDP":
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    else:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, _SCTP if protocol == "SCTP" else 0)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if protocol != "UDP":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a former container may still be in TIME_WAIT
        made.bind((host, number))
        if protocol != "UDP":
            made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
