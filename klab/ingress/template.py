"""What the two controllers have in common: how each is described, and the rendering of their templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

CERTIFICATES = "certs"
"""The folder of PEM files in a controller's directory."""


@dataclass(frozen=True, slots=True)
class Controller:
    """A program that serves Ingresses.

    `name` is also its IngressClass, `class_controller` that class' spec.controller; `directory` is where it finds its files; `command` runs it in the
    foreground.
    """

    name: str
    class_controller: str
    directory: str
    command: tuple[str, ...]
    health_port: int
    image: str


def render(template: str, **values: Any) -> str:
    """Render a template of this package; a name that it uses and nobody gave is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Load Jinja2 when the first text is rendered: a lab without Ingresses needs none."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("klab.ingress"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (the text is no HTML)
    )
