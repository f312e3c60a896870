"""The files that a command line names, and the objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from klab.api.load import Document, collect
from klab.api.resources import BUILTIN
from klab.cli.backend import Api
from klab.cli.targets import registry_of
from klab.errors import InvalidManifestError, UsageError


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
    documents, faults = collect(sources, stdin, registry_of(api))
    if faults:
        raise InvalidManifestError(faults)
    return [_placed(document, namespace) for document in documents if document.resource != BUILTIN.by_word("labs")]


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
