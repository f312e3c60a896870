"""Take all pods off a node, and keep new ones away from it."""

from __future__ import annotations

from typing import Annotated

import typer

from klab.api.drain import DrainOptions
from klab.api.selectors import parse_selector
from klab.cli import nodes, options
from klab.cli.durations import parse_duration
from klab.cli.following import Deadline
from klab.cli.results import finish, make_report
from klab.cli.session import api_of

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Nodes = None,
    selector: options.Selector = None,
    force: Annotated[bool, typer.Option("--force", help="Take away pods that no controller makes anew, too.")] = False,
    ignore_daemonsets: Annotated[bool, typer.Option("--ignore-daemonsets", help="Leave the pods of daemon sets where they are.")] = False,
    delete_emptydir_data: Annotated[bool, typer.Option("--delete-emptydir-data", help="Take away pods with emptyDir volumes, too.")] = False,
    grace_period: Annotated[int, typer.Option("--grace-period", metavar="SECONDS", help="Time to end well; default: the pod's own.")] = -1,
    timeout: options.Timeout = "0",
    pod_selector: Annotated[str, typer.Option("--pod-selector", metavar="QUERY", help="Take away only pods with these labels.")] = "",
    disable_eviction: Annotated[bool, typer.Option("--disable-eviction", help="Delete pods, whatever PodDisruptionBudgets say.")] = False,
    dry_run: options.DryRun = "none",
    lab: options.Lab = None,
) -> int:
    """Cordon nodes and evict their pods; it waits until they are gone.

    For example:
      klab drain node2
      klab drain node2 --ignore-daemonsets --delete-emptydir-data
      klab drain node2 --force --grace-period=0
    """
    parse_selector(pod_selector)
    report, seconds = make_report("", dry_run), parse_duration(timeout, "--timeout")
    manner = nodes.Manner(
        DrainOptions(force, ignore_daemonsets, delete_emptydir_data),
        grace_period if grace_period >= 0 else None,
        not disable_eviction,
        pod_selector,
        dry_run,
    )
    api = api_of(ctx, lab)
    found = nodes.find_nodes(api, words, selector, "drain")
    errors = nodes.cordon(api, found, report, dry_run, desired=True)
    return finish([*errors, *nodes.drain(api, found, report, manner, Deadline(seconds or None))])
