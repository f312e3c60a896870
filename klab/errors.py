"""Every failure klab reports, on one screen; each class carries the exit code of the command that meets it.

    KlabError                 1   the operation failed
    ├── NotFoundError         1   a named object, lab or container does not exist
    ├── AlreadyExistsError    1   the name is taken
    ├── ConflictError         1   resourceVersion moved on, or an immutable field would change
    ├── CommandFailedError    1   a program that klab ran ended badly; its line and stderr are kept
    ├── KernelError           1   the kernel refused an operation; the equivalent `ip` line is kept
    ├── UsageError            2   the command line asks for something that makes no sense
    ├── InvalidManifestError  3   the files are wrong; every fault is listed
    └── MissingError          4   this machine lacks something; the text names the command that mends it

A message says subject, wish, finding and next step. No traceback ever reaches a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class KlabError(Exception):
    """Something klab was asked for did not work."""

    exit_code = 1


class NotFoundError(KlabError):
    """A named object, lab or container does not exist."""


class AlreadyExistsError(KlabError):
    """The name is taken by another object."""


class ConflictError(KlabError):
    """The object changed meanwhile, or an immutable field would change."""


class CommandFailedError(KlabError):
    """A program that klab ran ended badly."""

    def __init__(self, command: Sequence[str], code: int, stderr: str) -> None:
        """Keep the command as typed, its exit code and what it printed."""
        super().__init__(f"`{' '.join(command)}` ended with {code}: {stderr.strip() or '(no message)'}")
        self.command = tuple(command)
        self.code = code
        self.stderr = stderr


class KernelError(KlabError):
    """The kernel refused an operation."""

    def __init__(self, operation: str, errno: int, reason: str) -> None:
        """Keep the equivalent command line, the errno and the kernel's words."""
        super().__init__(f"the kernel refused `{operation}`: {reason}")
        self.operation = operation
        self.errno = errno


class UsageError(KlabError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a manifest.

    `where` is the file and document ("web.yaml, document 2 (Pod default/web)"), `path` the field ("spec.containers[0].image", "" for the whole
    document), `message` what is wrong and what would be right.
    """

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        """Give the fault as the line a person reads."""
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class InvalidManifestError(KlabError):
    """The given files are wrong; nothing was built."""

    exit_code = 3

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep all faults, in the order of the files."""
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class MissingError(KlabError):
    """The machine lacks a privilege, program or kernel feature."""

    exit_code = 4
