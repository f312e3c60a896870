"""Runs inside pods, on nodes and in the client: asks web servers who they are and whom they see, many at once.

Its argument is a JSON mapping of questions: name -> [host, port, the answers that are expected, how often to ask at least]. It prints what came, by
name. An answer is "pod address" of an echo server, what another one gives at /hostname, or REFUSED, TIMEOUT, or the kernel's word for another fault.
A question is repeated until all expected answers have come, or another.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

TRIES = 200
PATIENCE, PATIENCE_FOR_SILENCE = 5, 1.5  # seconds; the second lets one repetition of a SYN pass


def ask(host: str, port: int, patience: float) -> str:
    """Ask once."""
    try:
        with socket.create_connection((host, port), patience) as connection:
            connection.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    except TimeoutError:
        return "TIMEOUT"
    except ConnectionRefusedError:
        return "REFUSED"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    found = re.search(r"X-Served-By: (\S+).*^client_address=(\S+)", text, re.DOTALL | re.MULTILINE)
    return f"{found[1]} {found[2]}" if found else text.partition("\r\n\r\n")[2].strip()


def answers(question: tuple[str, int, list[str], int]) -> list[str]:
    """Ask until all is said."""
    host, port, expected, least = question
    patience = PATIENCE_FOR_SILENCE if expected == ["TIMEOUT"] else PATIENCE
    seen: set[str] = set()
    for number in range(1, TRIES + 1):
        seen.add(ask(host, port, patience))
        if number >= least and not seen < set(expected):
            break
    return sorted(seen)


if __name__ == "__main__":
    questions = json.loads(sys.argv[1])
    with ThreadPoolExecutor(32) as pool:
        json.dump(dict(zip(questions, pool.map(answers, questions.values()), strict=True)), sys.stdout)
