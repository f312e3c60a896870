"""What every verb begins with: which lab, which namespace, which API."""

from __future__ import annotations

from typing import Any

from klab.cli.backend import Api, Backend, LabStatus
from klab.cli.layers import Layers

DEFAULT_NAMESPACE = "default"


def backend_of(ctx: Any) -> Backend:
    """Give the layers below; a test hands in its own as the context's object."""
    backend: Backend = ctx.find_root().obj or Layers()
    return backend


def lab_name(ctx: Any, lab: str | None) -> str | None:
    """Give the lab that was asked for, after or before the verb or by KLAB_LAB; None if none was."""
    return lab or ctx.find_root().params.get("lab")


def lab_of(ctx: Any, lab: str | None) -> LabStatus:
    """Find the lab that was asked for, or the only one."""
    return backend_of(ctx).find_lab(lab_name(ctx, lab))


def api_of(ctx: Any, lab: str | None) -> Api:
    """Give the API of the lab that was asked for, or of the only one."""
    return backend_of(ctx).api(lab_of(ctx, lab))


def namespace_of(ctx: Any, namespace: str | None) -> str:
    """Give the namespace that was asked for, after or before the verb, or `default`."""
    return namespace_given(ctx, namespace) or DEFAULT_NAMESPACE


def namespace_given(ctx: Any, namespace: str | None) -> str | None:
    """Give the namespace that was asked for, None if none was."""
    return namespace or ctx.find_root().params.get("namespace")
