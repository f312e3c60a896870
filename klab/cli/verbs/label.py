"""Set and take away labels."""

from __future__ import annotations

from typing import Annotated

import typer

from klab.api.pairs import calc_label_message, check_labels_kept, parse_labels, split_words
from klab.cli import options
from klab.cli.marking import Marking, check_words, find_marked, list_marks
from klab.cli.render import out_line
from klab.cli.results import finish, make_report
from klab.cli.selection import Choice, is_single
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.errors import KlabError, UsageError

SECTION = "Objects"


def command(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    field_selector: options.FieldSelector = None,
    every: options.All = False,
    overwrite: options.Overwrite = False,
    listing: Annotated[bool, typer.Option("--list", help="Show the labels.")] = False,
    resource_version: options.ResourceVersion = "",
    dry_run: options.DryRun = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Set labels (KEY=VALUE) and take them away (KEY-).

    For example:
      klab label pod web tier=front
      klab label --overwrite pod web tier=back
      klab label node node2 disk-
      klab label pods --all env=test
      klab label pod web --list
    """
    resources, changes = split_words(words or (), "label")
    marking = Marking("labels", parse_labels(changes), resource_version, dry_run)
    check_words(resources, filenames, marking.pairs, listing, "label")
    if listing and output_format:
        raise UsageError("--list and --output may not be specified together")
    report = make_report(output_format, dry_run)
    api = api_of(ctx, lab)
    targets = choose_targets(api, resources, filenames, namespace_given(ctx, namespace))
    home = None if all_namespaces else namespace_of(ctx, namespace)
    found, errors = find_marked(api, targets, home, Choice(every, selector or "", field_selector or ""), marking)
    for one in found:
        old = marking.old(one)
        new = marking.pairs.merged_into(old)
        try:
            if not overwrite:
                check_labels_kept(old, marking.pairs)
            if listing:
                list_marks(one, new, "labels", single=is_single(targets))
                continue
            for key in marking.pairs.removed:
                if key not in old and dry_run != "client":
                    out_line(f'label "{key}" not found.')
            report(marking.apply(api, one), calc_label_message(old, new, overwrite=overwrite))
        except KlabError as error:
            errors.append(error)
    return finish(errors)
