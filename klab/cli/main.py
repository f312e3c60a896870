"""`klab`: the options before the verb, and the entry point of the program."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from klab import __version__
from klab.cli import complete
from klab.cli.group import VerbGroup
from klab.cli.render import out

app = typer.Typer(
    cls=VerbGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Begin with `sudo klab up FILE`; `klab VERB --help` tells more about a verb.",
)


def _version(wanted: bool) -> None:
    if wanted:
        out(f"klab {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def klab(
    ctx: typer.Context,
    lab: Annotated[
        str | None, typer.Option("--lab", metavar="NAME", envvar="KLAB_LAB", help="The lab to work with.", autocompletion=complete.lab)
    ] = None,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", metavar="NAME", help="The namespace to work in.")] = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")] = False,
) -> None:
    """Kubernetes manifests in, a real Linux network out: nodes, pods and Services as network namespaces."""
    del lab, namespace, version  # read from the context by klab.cli.session
    if ctx.invoked_subcommand is None:
        out(ctx.get_help() + "\n")


def run() -> Any:
    """Run the command line of this process."""
    app()
