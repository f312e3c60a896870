"""Lines and words as Go programs write them."""

from __future__ import annotations

import json
import time
from typing import Any

from klab.kubelet.images.behaviour import Context, Log


def logged(context: Context, message: str) -> Log:
    """Log a line as Go's log.Printf does."""
    return Log(f"{time.strftime('%Y/%m/%d %H:%M:%S', time.gmtime(context.now))} {message}")


def now(context: Context) -> str:
    """Write the time as Go's Time.String, the monotonic clock's part included."""
    fraction = f"{context.now % 1:.9f}"[2:].rstrip("0") or "0"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(context.now))}.{fraction} +0000 UTC m=+{context.now - context.started:.9f}"


def canonical(name: str) -> str:
    """Write a header's name as Go keeps it: Content-Type."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def marshal(value: Any) -> str:
    """Write JSON as Go's json.Marshal: sorted keys of maps, <, > and & escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def quote(text: str) -> str:
    """Write a string as %q."""
    return json.dumps(text, ensure_ascii=False)
