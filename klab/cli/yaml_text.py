"""YAML as sigs.k8s.io/yaml (go-yaml v2) writes it, so that `get -o yaml` reads as kubectl's."""

from __future__ import annotations

import re
from typing import Any

import yaml

_STRING = "tag:yaml.org,2002:str"
_GO_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+")
_GO_BOOLEANS = frozenset("yYnN")
_RESOLVER: Any = yaml.SafeLoader("")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # a class that may be missing
    """YAML without anchors: an object that stands at two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text(dumper: Any, value: str) -> Any:
    plain = _RESOLVER.resolve(yaml.ScalarNode, value, (True, False)) == _STRING
    quoted = not plain or value in _GO_BOOLEANS or _GO_NUMBER.fullmatch(value)
    return dumper.represent_scalar(_STRING, value, style="|" if "\n" in value else '"' if quoted else None)


_Dumper.add_representer(str, _text)


def render_yaml(obj: Any) -> str:
    """Write `obj`: sorted keys, lists not indented, double quotes around what would else be no string."""
    return str(yaml.dump(obj, Dumper=_Dumper, sort_keys=True, default_flow_style=False, allow_unicode=True))
