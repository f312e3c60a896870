"""What a failure says, and which exit code it has."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import typer

from klab.cli.render import print_error
from klab.errors import InvalidManifestError, KlabError, MissingError


def report(error: BaseException, args: Sequence[str]) -> int:
    """Say on stderr what went wrong with the command line `args`; give the exit code."""
    match error:
        case InvalidManifestError():
            for fault in error.faults:
                print_error(str(fault))
            if len(error.faults) > 1:
                print_error(f"{len(error.faults)} faults found; nothing was changed")
            return error.exit_code
        case MissingError():
            for line in str(error).splitlines():
                print_error(line)
            return error.exit_code
        case KlabError():
            print_error(str(error))
            return error.exit_code
        case typer.TyperException():
            print_error(error.format_message())
            _print_usage(getattr(error, "ctx", None))
            return error.exit_code
        case PermissionError():
            print_error(f"{error.strerror}: {error.filename}; run it as root: sudo klab {shlex.join(args)}")
            return MissingError.exit_code
        case _:
            print_error(f"internal error: {type(error).__name__}: {error}; run it again with KLAB_DEBUG=1 for the traceback")
            return 1


def _print_usage(ctx: Any) -> None:
    if ctx is not None:
        print_error(f"{ctx.get_usage()}\nTry '{ctx.command_path} --help' for help.", prefix="")
