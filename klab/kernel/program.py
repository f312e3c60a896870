"""Runs the programs that klab needs of the machine: found in the system's directories too, their failures with line and stderr."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

from klab.errors import CommandFailedError, MissingError

_SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"
_PACKAGES = {"ip": "iproute2", "nft": "nftables"}
"""Debian packages that are not called as their program."""
_BUILT = {"coredns": "sudo tools/coredns.sh"}
"""Programs that no package has, and what builds and installs them."""


@cache
def find(name: str) -> str:
    """Give the path of a program; MissingError with the command that installs it where there is none."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_DIRECTORIES}")
    if path is None:
        package = _PACKAGES.get(name, "iptables" if "tables" in name else name)
        command = _BUILT.get(name, f"apt-get install {package}")
        raise MissingError(f"klab needs the program {name}, which this machine does not have; install it with `{command}`")
    return path


def run(command: Sequence[str], stdin: str = "") -> str:
    """Run a program in the calling thread's namespaces and give its output; CommandFailedError where it ends badly."""
    done = subprocess.run([find(command[0]), *command[1:]], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailedError(command, done.returncode, done.stderr or done.stdout)
    return done.stdout
