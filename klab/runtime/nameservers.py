"""The cluster's DNS servers: containers that answer from one zone, which the control plane feeds."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from klab.errors import KlabError
from klab.kernel.sandbox import run_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from klab.dns.server import Server
    from klab.dns.zone import Zone

_DNS = 53


@dataclass(slots=True)
class _Place:
    """A container's sockets and the namespace that they are in; `server` answers on them once the zone is known."""

    netns: str
    sockets: Sequence[socket.socket]
    server: Server | None = None


class NameServers:
    """The zone and who answers from it. Until the first feed questions wait in the sockets, as CoreDNS waits for its caches at the start."""

    def __init__(self) -> None:
        """Know no zone."""
        self._zone: Zone | None = None
        self._upstreams: tuple[str, ...] = ()
        self._places: dict[str, _Place] = {}
        self._turn = asyncio.Lock()

    async def feed(self, domain: str, upstreams: Sequence[str], delta: Mapping[str, Any]) -> None:
        """Take a delta (klab.dns.delta), the first one whole; KlabError where it is not."""
        from klab.dns.zone import Zone  # noqa: PLC0415 (most runtimes start before there is a zone)

        if delta["reset"]:
            if self._zone is None:
                self._zone, self._upstreams = Zone(domain), tuple(upstreams)
        elif self._zone is None:
            raise KlabError("the container runtime knows no zone yet, and a change makes none; feed the whole zone first")
        self._zone.apply(delta)
        await self._serve()

    async def open(self, container: str, netns: str, sockets: Sequence[socket.socket]) -> None:
        """Answer on a container's bound sockets from now on, or from the first feed on; upstreams are asked from its namespace."""
        self._places[container] = _Place(netns, sockets)
        await self._serve()

    async def close(self, container: str) -> None:
        """Answer no more for a container; one that has no DNS server is fine."""
        async with self._turn:
            place = self._places.pop(container, None)
        if place is None:
            return
        if place.server:
            await place.server.close()
        else:
            for opened in place.sockets:
                opened.close()

    async def _serve(self) -> None:
        """Start the servers of those containers that have none, where the zone is known."""
        if self._zone is None:
            return
        async with self._turn:
            for place in self._places.values():
                if place.server is None:
                    place.server = await _start(place, self._zone, self._upstreams)


async def _start(place: _Place, zone: Zone, upstreams: Sequence[str]) -> Server:
    from klab.dns.server import serve  # noqa: PLC0415 (the DNS library takes a while to import)

    udp = [opened for opened in place.sockets if opened.type == socket.SOCK_DGRAM]
    tcp = [opened for opened in place.sockets if opened.type == socket.SOCK_STREAM]

    def open_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        return run_in(place.netns, lambda: socket.socket(family, kind))

    return await serve(udp, tcp, zone, [(address, _DNS) for address in upstreams], open_socket=open_socket)
