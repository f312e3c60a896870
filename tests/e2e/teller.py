"""Runs inside a pod: asks HOST PORT for its `hostname` over UDP without pause and always from one source port, and tells each new answer.

So its flow stays alive in every node's conntrack table. REFUSED stands for a refusal, SILENCE for two seconds without an answer.
"""

from __future__ import annotations

import socket
import sys
import time

SILENCE, PAUSE = 2.0, 0.05  # seconds


def ask(client: socket.socket) -> str:
    """Ask once."""
    try:
        client.send(b"hostname")
        return client.recv(256).decode()
    except ConnectionRefusedError:
        return "REFUSED"
    except TimeoutError:
        return ""


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind(("", 4000))
    client.settimeout(PAUSE)
    client.connect((sys.argv[1], int(sys.argv[2])))
    told, heard = "", time.monotonic()
    while True:
        answer = ask(client)
        if answer:
            heard = time.monotonic()
            time.sleep(PAUSE)
        elif time.monotonic() - heard > SILENCE:
            answer = "SILENCE"
        if answer and answer != told:
            told = answer
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
