"""DNS servers of containers, on sockets of the loopback; the namespace matters only to upstreams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from klab.dns.delta import make_delta
from klab.errors import KlabError
from klab.runtime.nameservers import NameServers

NAME = "web.default.svc.cluster.local."


def service(address: str) -> dict[str, Any]:
    spec = {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def open_pair() -> list[socket.socket]:
    """Open UDP and TCP at one port of 127.0.0.1."""
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    return [udp, tcp]


async def ask(sockets: Sequence[socket.socket], *, tcp: bool = False) -> list[str]:
    query, port = dns.message.make_query(NAME, "A"), sockets[0].getsockname()[1]
    by = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    response = await by(query, "127.0.0.1", timeout=5, port=port)
    return [str(rdata) for rrset in response.answer for rdata in rrset]


def test_questions_wait_for_the_first_feed() -> None:
    async def body() -> None:
        servers, early, late = NameServers(), open_pair(), open_pair()
        await servers.open("early", "", early)
        asked = asyncio.create_task(ask(early))
        asked_too = asyncio.create_task(ask(early, tcp=True))
        await servers.feed("cluster.local", [], make_delta([service("10.96.0.2")], reset=True))
        assert (await asked, await asked_too) == (["10.96.0.2"], ["10.96.0.2"])
        await servers.open("late", "", late)
        assert await ask(late, tcp=True) == ["10.96.0.2"]
        for name in ("early", "late", "never"):
            await servers.close(name)
        assert {opened.fileno() for opened in (*early, *late)} == {-1}

    asyncio.run(body())


def test_all_servers_answer_from_one_zone_that_changes() -> None:
    async def body() -> None:
        servers, sockets = NameServers(), [open_pair(), open_pair()]
        await servers.feed("cluster.local", [], make_delta([service("10.96.0.2")], reset=True))
        for number, pair in enumerate(sockets):
            await servers.open(str(number), "", pair)
        await servers.feed("cluster.local", [], make_delta([service("10.96.0.3")]))
        assert [await ask(pair) for pair in sockets] == [["10.96.0.3"]] * 2
        await servers.feed("cluster.local", [], make_delta([], reset=True))
        assert [await ask(pair) for pair in sockets] == [[], []]
        for number in range(2):
            await servers.close(str(number))

    asyncio.run(body())


def test_a_change_without_a_whole_before_it_is_refused() -> None:
    async def body() -> None:
        servers, sockets = NameServers(), open_pair()
        await servers.open("web", "", sockets)
        with pytest.raises(KlabError, match="feed the whole zone first"):
            await servers.feed("cluster.local", [], make_delta([service("10.96.0.2")]))
        await servers.close("web")
        assert [opened.fileno() for opened in sockets] == [-1, -1]

    asyncio.run(body())
