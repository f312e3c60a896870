"""Let new pods on a node again."""

from __future__ import annotations

import typer

from klab.cli import nodes, options
from klab.cli.results import finish, make_report
from klab.cli.session import api_of

SECTION = "Objects"


def command(
    ctx: typer.Context,
    *,
    words: options.Nodes = None,
    selector: options.Selector = None,
    dry_run: options.DryRun = "none",
    lab: options.Lab = None,
) -> int:
    """Mark nodes as schedulable.

    For example:
      klab uncordon node1
      klab uncordon -l disk=ssd
    """
    report = make_report("", dry_run)
    api = api_of(ctx, lab)
    return finish(nodes.cordon(api, nodes.find_nodes(api, words, selector, "uncordon"), report, dry_run, desired=False))
