"""Change the images of containers."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from klab.api.pairs import parse_pairs, plan_images, split_words
from klab.cli import options
from klab.cli.results import finish, make_report
from klab.cli.selection import Choice, find_objects
from klab.cli.session import api_of, namespace_given, namespace_of
from klab.cli.sources import choose_targets
from klab.errors import KlabError, UsageError

SECTION = "Objects"


def image(  # noqa: PLR0913 - kubectl's options
    ctx: typer.Context,
    *,
    words: options.Words = None,
    filenames: options.Filenames = None,
    namespace: options.Namespace = None,
    selector: options.Selector = None,
    every: options.All = False,
    dry_run: options.DryRun = "none",
    output_format: options.Output = "",
    lab: options.Lab = None,
) -> int:
    """Set the images of containers: CONTAINER=IMAGE, or *=IMAGE for all of them.

    For example:
      klab set image deployment/billing app=billing:v2
      klab set image deployment web nginx=nginx:1.27 sidecar=busybox
      klab set image daemonsets --all '*=nginx:1.27'
    """
    resources, changes = split_words(words or (), "image")
    images = parse_pairs(changes, "image").new
    _check(resources, filenames, images, Choice(every, selector or ""))
    report = make_report(output_format, dry_run)
    api = api_of(ctx, lab)
    targets = choose_targets(api, resources, filenames, namespace_given(ctx, namespace))
    found, errors = find_objects(api, targets, namespace_of(ctx, namespace), Choice(every, selector or ""))
    for one in found:
        try:
            patch, missing = plan_images(one.obj, images)
            errors += [KlabError(f'unable to find container named "{name}"') for name in missing]
            if patch and dry_run == "client":
                report(one.obj, "image updated")
            elif patch:
                report(api.patch(one.resource, one.namespace, one.name, patch, dry_run=dry_run == "server"), "image updated")
        except KlabError as error:
            errors.append(error)
    return finish(errors)


commands = (image,)


def _check(resources: list[str], filenames: list[str] | None, images: Mapping[str, str], choice: Choice) -> None:
    """Refuse a command line that names no object or no image, or a container beside all of them."""
    choice.check()
    if not resources and not filenames:
        raise UsageError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not images:
        raise UsageError("at least one image update is required")
    if len(images) > 1 and "*" in images:
        raise UsageError("all containers are already specified by *, but saw more than one container_name=container_image pairs")
