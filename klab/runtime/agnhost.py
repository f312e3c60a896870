"""The subcommands of agnhost that print something and end, as the program /agnhost inside a container.

After kubernetes test/images/agnhost (connect, dns, entrypoint-tester, logs-generator, mounttest). It runs as a program of its
own in the container's namespaces.
"""

from __future__ import annotations

import os
import random
import socket
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from klab.errors import KlabError
from klab.kubelet.images.launch import Flags, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SCTP = 132


def main(argv: Sequence[str]) -> int:
    """Run a subcommand, after the program's own name, and give its exit code."""
    subcommand = argv[1] if len(argv) > 1 else "help"
    tool = _TOOLS.get(subcommand)
    if tool is None:
        sys.stderr.write(f'Error: unknown command "{subcommand}" for "app"; here are {", ".join(sorted(_TOOLS))}\n')
        return 1
    try:
        return tool(argv)
    except KlabError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1


def _connect(argv: Sequence[str]) -> int:
    """Try to connect; print UNKNOWN, TIMEOUT, DNS, REFUSED or OTHER where that fails."""
    flags = Flags.of(argv[2:])
    protocol = flags.text("protocol", "tcp")
    try:
        seconds = parse_duration(flags.text("timeout", "0")) or None
    except ValueError as error:
        raise KlabError(f'invalid argument "{flags.text("timeout")}" for "--timeout" flag: {error}') from error
    if len(flags.words) != 1 or protocol not in {"tcp", "udp", "sctp"}:
        raise KlabError("Unsupported protocol" if flags.words else f"accepts 1 arg(s), received {len(flags.words)}")
    question = b"" if protocol == "tcp" else f"{flags.text(f'{protocol}-data', 'hostname')}\n".encode()
    problem = _try(protocol, flags.words[0], question, seconds)
    sys.stderr.write(f"{problem}\n" if problem else "")
    return 1 if problem else 0


def _try(protocol: str, where: str, question: bytes, seconds: float | None) -> str:
    """Connect, and wait for an answer where there is a question; give what went wrong, "" for nothing."""
    host, colon, port = where.rpartition(":")
    if not colon or not port.isdecimal():
        return f"UNKNOWN: address {where}: missing port in address"
    try:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=kind)[0]
    except OSError as error:
        return f"DNS: lookup {host}: {error.strerror}"
    try:
        with socket.socket(family, kind, _SCTP if protocol == "sctp" else 0) as made:
            made.settimeout(seconds)
            made.connect(address)
            made.sendall(question)
            silent = bool(question) and not made.recv(1024)
            return "OTHER: No data received from the server. Cannot guarantee the server received the request." if silent else ""
    except TimeoutError:
        return "TIMEOUT"
    except ConnectionRefusedError:
        return "REFUSED"
    except OSError as error:
        return f"OTHER: dial {protocol} {where}: connect: {(error.strerror or str(error)).lower()}"


def _resolver(word: str) -> Callable[[Sequence[str]], int]:
    """Make the tool that prints the first resolv.conf line of that name, its values joined by commas."""

    def tool(_: Sequence[str]) -> int:
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            name, *values = line.split(" ")
            if name == word:
                sys.stdout.write(",".join(values) + "\n")
                return 0
        raise KlabError(f'/etc/resolv.conf has no line "{word}"')

    return tool


def _etc_hosts(_: Sequence[str]) -> int:
    sys.stdout.write(Path("/etc/hosts").read_text() + "\n")
    return 0


def _entrypoint_tester(argv: Sequence[str]) -> int:
    sys.stdout.write(f"[{' '.join(argv)}]\n")
    return 0


def _logs_generator(argv: Sequence[str]) -> int:
    """Print lines at an even pace."""
    flags = Flags.of(argv[2:])
    total = flags.number("log-lines-total", flags.number("t", 0))
    try:
        seconds = parse_duration(flags.text("run-duration", flags.text("d", "0")))
    except ValueError as error:
        raise KlabError(str(error)) from error
    if total <= 0 or seconds <= 0:
        raise KlabError(f"Invalid total number of lines or duration: {total}, {seconds}s")
    begin = time.monotonic()
    for number in range(total):
        method, namespace = random.choice(("GET", "POST", "PUT")), random.choice(("kube-system", "default", "ns"))  # noqa: S311 (noise)
        name, status = "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=4)), random.randint(200, 599)  # noqa: S311 (noise)
        stamp = f"{time.strftime('I%m%d %H:%M:%S.000000', time.gmtime())} {os.getpid():7d} logs_generator.go:76]"
        sys.stdout.write(f"{stamp} {number} {method} /api/v1/namespaces/{namespace}/pods/{name} {status}\n")
        sys.stdout.flush()
        time.sleep(max(0.0, begin + (number + 1) * seconds / total - time.monotonic()))
    return 0


def _mounttest(argv: Sequence[str]) -> int:
    """Print facts about files, and make some."""
    flags = Flags.of(argv[2:])
    for name, make_mode in (("new_file_0644", 0o644), ("new_file_0666", 0o666), ("new_file_0660", 0o660), ("new_file_0777", 0o777)):
        if path := flags.text(name):
            Path(path).write_text("mount-tester new file\n\n")
            Path(path).chmod(make_mode)
    if path := flags.text("fs_type"):
        sys.stdout.write(f'mount type of "{path}": {_file_system(path)}\n')
    if path := flags.text("file_mode"):
        sys.stdout.write(f'mode of file "{path}": {stat.filemode(Path(path).stat().st_mode)}\n')
    if path := flags.text("file_perm"):
        sys.stdout.write(f'perms of file "{path}": -{stat.filemode(Path(path).stat().st_mode)[1:]}\n')
    if path := flags.text("file_owner"):
        about = Path(path).stat()
        sys.stdout.write(f'owner UID of "{path}": {about.st_uid}\nowner GID of "{path}": {about.st_gid}\n')
    if path := flags.text("file_content"):
        sys.stdout.write(f'content of file "{path}": {Path(path).read_text()}\n')
    return 0


def _file_system(path: str) -> str:
    """Give the type of the file system that holds a path."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target, after = line.split(" ")[4], line.partition(" - ")[2]
        if path.startswith(target) and len(target) >= len(best):
            best, kind = target, after.split(" ")[0]
    return kind


_TOOLS: dict[str, Callable[[Sequence[str]], int]] = {
    "connect": _connect,
    "dns-server-list": _resolver("nameserver"),
    "dns-suffix": _resolver("search"),
    "entrypoint-tester": _entrypoint_tester,
    "etc-hosts": _etc_hosts,
    "logs-generator": _logs_generator,
    "mounttest": _mounttest,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
