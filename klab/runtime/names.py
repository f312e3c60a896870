"""The runtime's files in a lab's run directory."""

from __future__ import annotations

SOCKET_NAME = "runtime.sock"
PID_NAME = "runtime.pid"
LOG_NAME = "runtime.log"
JOURNAL_NAME = "runtime.journal"
