"""Print the completion script of a shell: bash, zsh or fish."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # what --show-completion prints

from klab.cli.render import out
from klab.errors import UsageError

SECTION = "This machine"

SHELLS = ("bash", "zsh", "fish")


def command(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", autocompletion=lambda: list(SHELLS))],
) -> None:
    """Print a completion script; it completes labs, kinds and the names of objects by asking the lab.

    For example:
      source <(klab completion bash)
      source <(klab completion zsh)
      klab completion fish | source
    """
    if shell not in SHELLS:
        raise UsageError(f'unsupported shell type "{shell}"; use one of {", ".join(SHELLS)}')
    out(get_completion_script(prog_name="klab", complete_var="_KLAB_COMPLETE", shell=shell) + "\n")
