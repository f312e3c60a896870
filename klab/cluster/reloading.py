"""How the programs of ingress are made to read their files again, without a lost connection: the new one is there when these return."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import closing
from pathlib import Path

from klab.errors import KlabError
from klab.ingress.haproxy import MASTER_SOCKET
from klab.ingress.nginx import RELOAD
from klab.runtime.client import RuntimeClient

_SECONDS = 10.0
_PAUSE = 0.01  # seconds between two questions while the socket is made anew


async def reload_haproxy(run: Path) -> None:
    """Tell the master process whose socket is in `run` to start a new worker; KlabError where that refuses its files or nobody answers.

    The new worker takes over the listening sockets, the old one finishes what it has. A signal would do too, but one that comes while the master
    is still busy with the last reload is lost. HAProxy before 2.7 answers `reload` by hanging up, and makes its socket anew meanwhile.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            before, failed = await _count_reloads(run)
            reloads = before
            while reloads == before:
                await _ask(run, "reload")
                reloads, failed = await _count_reloads(run)
    except TimeoutError as error:
        raise KlabError(f"HAProxy did not answer on {run / MASTER_SOCKET} within {_SECONDS:.0f} seconds; its old configuration is in use") from error
    if failed:
        raise KlabError("HAProxy refused its configuration and uses the old one; its log says why")


async def reload_nginx(runtime: RuntimeClient, container: str) -> None:
    """Have nginx check its files and start new workers; KlabError where it refuses them."""
    result = await runtime.exec(container, RELOAD, _SECONDS)
    if result.code:
        raise KlabError(f"nginx refused its configuration and uses the old one: {result.output.strip()}")


async def _count_reloads(run: Path) -> tuple[int, int]:
    """Give how often the master process was reloaded, and how often in vain since the last time that it worked."""
    while True:
        if found := re.search(r"^\d+\s+master\s+(\d+) \[failed: (\d+)\]", await _ask(run, "show proc"), re.MULTILINE):
            return int(found[1]), int(found[2])
        await asyncio.sleep(_PAUSE)


async def _ask(run: Path, command: str) -> str:
    """Give the answer to a command of the master CLI (management.txt, 9.4), "" where the socket is just made anew."""
    directory = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{directory}/{MASTER_SOCKET}")  # sun_path has but 108 bytes
        with closing(writer):
            writer.write(f"{command}\n".encode())
            writer.write_eof()
            return (await reader.read()).decode()
    except (ConnectionError, FileNotFoundError):
        return ""
    finally:
        os.close(directory)
