"""Show what stands in the kernel for an object, as the commands that would build it.

`--script` gives a shell script that builds the same without klab.
"""

from __future__ import annotations

from typing import Annotated

import typer

from klab.cli import options, output
from klab.cli.backend import Operation
from klab.cli.operations import as_data, as_script, as_text
from klab.cli.render import out
from klab.cli.session import backend_of, lab_of, namespace_of
from klab.cli.targets import parse_targets
from klab.errors import UsageError

SECTION = "Insight"


def command(  # noqa: PLR0913 - one for each wish
    ctx: typer.Context,
    *,
    words: options.Words = None,
    namespace: options.Namespace = None,
    script: Annotated[bool, typer.Option("--script", help="Print a runnable shell script.")] = False,
    output_format: options.DataOutput = "",
    lab: options.Lab = None,
) -> None:
    """Show what stands in the kernel for an object: namespaces, links, addresses, routes, rules.

    For example:
      klab explain pod/web-1
      klab explain svc web
      klab explain node/node1 --script
    """
    render = output.data_printer(output_format)
    if render and script:
        raise UsageError("--script and -o exclude each other")
    backend = backend_of(ctx)
    found = lab_of(ctx, lab)
    operations: list[Operation] = []
    for target in parse_targets(backend.api(found), words or ()):
        if target.name is None:
            raise UsageError(f"explain needs the name of one object: klab explain {target.resource.singular}/NAME")
        home = namespace_of(ctx, namespace) if target.resource.namespaced else None
        operations += backend.explain(found, target.resource, home, target.name)
    if render:
        out(render(as_data(operations)))
    else:
        out(as_script(operations) if script else as_text(operations))
