"""The files that a command line names, and the objects in them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from klab.api.resources import BUILTIN
from klab.cli.backend import Api
from klab.cli.render import warn
from klab.cli.targets import Target, parse_targets, registry_of
from klab.errors import InvalidManifestError, UsageError

if TYPE_CHECKING:
    from klab.api.load import Document


def sources_of(files: Sequence[str] | None, filenames: Sequence[str] | None) -> list[str]:
    """Give the files named as words and with `-f a,b -f c`; UsageError if there are none."""
    sources = [*(files or ()), *(name for names in filenames or () for name in names.split(","))]
    if not sources:
        raise UsageError("no manifest is named; give a file, a folder, or - for stdin")
    return sources


def load_objects(api: Api, sources: Sequence[str], stdin: TextIO, namespace: str | None) -> list[Document]:
    """Load the objects of `sources`, custom kinds of the lab among them, without Lab documents; those without a namespace get `namespace`.

    InvalidManifestError with all faults; UsageError for an object of another namespace than the one asked for.
    """
    from klab.api.load import collect  # noqa: PLC0415 - YAML takes 25 ms, and most of `get` and `delete` name no file

    documents, faults = collect(sources, stdin, registry_of(api))
    if faults:
        raise InvalidManifestError(faults)
    warn_all(documents)
    return [_placed(document, namespace) for document in documents if document.resource != BUILTIN.by_word("labs")]


def choose_targets(api: Api, words: Sequence[str] | None, filenames: Sequence[str] | None, namespace: str | None) -> list[Target]:
    """Give what a command line names: by words, or by the manifests of `-f`."""
    if not filenames:
        return parse_targets(api, words or ())
    if words:
        raise UsageError("when paths or stdin are provided as resource input, you may not specify resource arguments as well")
    documents = load_objects(api, sources_of(None, filenames), sys.stdin, namespace)
    return [Target(one.resource, one.obj["metadata"]["name"], one.obj["metadata"].get("namespace", "default")) for one in documents]


def warn_all(documents: Iterable[Document]) -> None:
    """Print what the documents warn of, each thing once."""
    for warning in dict.fromkeys(document.warning for document in documents if document.warning):
        warn(warning)


def _placed(document: Document, namespace: str | None) -> Document:
    metadata = document.obj.get("metadata") or {}
    own = metadata.get("namespace")
    if not namespace or not document.resource.namespaced or own == namespace:
        return document
    if own:
        raise UsageError(
            f'{document.where}: the namespace from the provided object "{own}" does not match the namespace "{namespace}". '
            f"You must pass '--namespace={own}' to perform this operation."
        )
    return replace(document, obj={**document.obj, "metadata": {**metadata, "namespace": namespace}})
