"""`KLAB_OWNER=ID python -m klab.runtime RUN_DIR`: become the container runtime of the lab in that directory.

It returns once the socket listens; the runtime itself goes on in the background, with RUN_DIR/runtime.log as its output.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path

from klab.runtime.names import LOG_NAME, PID_NAME, SOCKET_NAME


def main() -> int:
    """Make sure of being the only one, listen, and fork; heavy imports come after that."""
    if len(sys.argv) != 2 or not os.environ.get("KLAB_OWNER"):  # noqa: PLR2004 (the program and its argument)
        sys.stderr.write("usage: KLAB_OWNER=ID python -m klab.runtime RUN_DIR\n")
        return 2
    run_dir = Path(sys.argv[1]).resolve()
    lock = os.open(run_dir / PID_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another one serves this lab
    listening = _listen(run_dir / SOCKET_NAME)
    if os.fork():
        return 0
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    log = os.open(run_dir / LOG_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    nothing = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    _serve(run_dir, listening)
    return 0


def _listen(path: Path) -> socket.socket:
    """Listen on the socket, for root alone; the one that a killed runtime left goes."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(mask)
    listening.listen(64)
    return listening


def _serve(run_dir: Path, listening: socket.socket) -> None:
    import asyncio  # noqa: PLC0415 (the caller waits for the fork, not for this)
    import logging  # noqa: PLC0415
    import resource  # noqa: PLC0415

    from klab.runtime.server import Server  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def serve() -> None:
        await Server(run_dir, os.environ["KLAB_OWNER"]).serve(listening)

    asyncio.run(serve())
    (run_dir / SOCKET_NAME).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
