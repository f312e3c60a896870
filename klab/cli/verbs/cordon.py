"""Keep new pods away from a node."""

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
    """Mark nodes as unschedulable: new pods are not put on them, those that are there stay.

    For example:
      klab cordon node1
      klab cordon -l disk=ssd
    """
    report = make_report("", dry_run)
    api = api_of(ctx, lab)
    return finish(nodes.cordon(api, nodes.find_nodes(api, words, selector, "cordon"), report, dry_run, desired=True))
