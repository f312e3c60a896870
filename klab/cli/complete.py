"""What a shell may complete: verbs' words asked of the lab itself; silent where it does not answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

_Completer = Callable[[Any, str], list[str]]


def _silent(complete: Callable[[Any, str], Iterable[str]]) -> _Completer:
    """Offer nothing where completing fails: a broken lab must not spoil the command line that mends it."""

    @functools.wraps(complete)
    def completer(ctx: Any, incomplete: str) -> list[str]:
        try:
            return sorted(word for word in complete(ctx, incomplete) if word.startswith(incomplete))
        except Exception:  # noqa: BLE001 - see above
            return []

    return completer


def _names(ctx: Any, word: str) -> list[str]:
    from klab.cli.session import api_of, namespace_of  # noqa: PLC0415 - only a TAB key needs it
    from klab.cli.targets import resource_of  # noqa: PLC0415

    api = api_of(ctx, ctx.params.get("lab"))
    resource = resource_of(api, word)
    namespace = namespace_of(ctx, ctx.params.get("namespace")) if resource.namespaced else None
    return [item["metadata"]["name"] for item in api.list(resource, namespace)["items"]]


@_silent
def lab(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the labs of this machine."""
    from klab.cli.session import backend_of  # noqa: PLC0415 - only a TAB key needs it

    del incomplete
    return [status.name for status in backend_of(ctx).labs()]


@_silent
def namespace(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the namespaces of the lab."""
    del incomplete
    return _names(ctx, "namespaces")


@_silent
def kind_or_name(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer kinds first, then the names of the kind that stands there; after `pod/` the names of pods."""
    from klab.api.resources import BUILTIN  # noqa: PLC0415 - only a TAB key needs it

    kind, slash, _ = incomplete.partition("/")
    if slash:
        return [f"{kind}/{name}" for name in _names(ctx, kind)]
    given = next((value for value in ctx.params.values() if isinstance(value, tuple | list) and value), ())
    if given:
        return _names(ctx, given[0].rpartition(",")[2])
    before, comma, _ = incomplete.rpartition(",")
    return [*(f"{before}{comma}{resource.plural}" for resource in BUILTIN), "all"]


@_silent
def exec_target(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer pods, `node/NAME` and `client`."""
    del incomplete
    return [*_names(ctx, "pods"), *(f"node/{name}" for name in _names(ctx, "nodes")), "client"]


@_silent
def pod(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the pods of the namespace."""
    del incomplete
    return _names(ctx, "pods")


@_silent
def node(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the nodes of the lab."""
    del incomplete
    return _names(ctx, "nodes")


@_silent
def output(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the forms of `-o`."""
    from klab.cli.output import FORMATS  # noqa: PLC0415 - only a TAB key needs it

    del ctx, incomplete
    return [f"{name}=" if name.startswith(("custom", "jsonpath")) else name for name in FORMATS]


@_silent
def data_output(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer the forms of `-o` of what is no object."""
    del ctx, incomplete
    return ["json", "yaml"]


@_silent
def path(ctx: Any, incomplete: str) -> Iterable[str]:
    """Offer manifests and folders."""
    from pathlib import Path  # noqa: PLC0415 - only a TAB key needs it

    del ctx
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = [one for one in folder.iterdir() if one.is_dir() or one.suffix in (".yaml", ".yml", ".json")]
    return [f"{one}/" if one.is_dir() else str(one) for one in found]
