"""Checks of ConfigMaps, Secrets, Nodes and CustomResourceDefinitions."""

from __future__ import annotations

from klab.api.names import check_config_key, check_label_key, check_label_value
from klab.api.reader import Reader

_DATA_LIMIT = 1 << 20
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def check_config_map(config: Reader) -> None:
    """Check keys and size of a ConfigMap."""
    data, binary = config.text_map("data"), config.text_map("binaryData")
    for part, values in (("data", data), ("binaryData", binary)):
        for key in values:
            config.invalid(f"{part}[{key}]", key, *check_config_key(key))
    for key in data.keys() & binary.keys():
        config.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    _check_size(config, data, binary)


def check_secret(secret: Reader) -> None:
    """Check keys, size and type of a Secret."""
    data, plain = secret.text_map("data"), secret.text_map("stringData")
    for part, values in (("data", data), ("stringData", plain)):
        for key in values:
            secret.invalid(f"{part}[{key}]", key, *check_config_key(key))
    for key in _SECRET_KEYS.get(secret.text("type"), ()):
        if key not in data and key not in plain:
            secret.required(f"data[{key}]")
    _check_size(secret, data, plain)


def check_node(node: Reader) -> None:
    """Check pod CIDRs and taints of a Node."""
    spec = node.mapping("spec")
    single, several = spec.text("podCIDR"), list(spec.texts("podCIDRs"))
    for key, text in several or ([("podCIDR", single)] if single else []):
        spec.network(key, text)
    seen: set[tuple[str, str]] = set()
    for taint in spec.items("taints"):
        key, effect = taint.text("key"), taint.text("effect")
        if key:
            taint.invalid("key", key, *check_label_key(key))
        taint.invalid("value", taint.text("value"), *check_label_value(taint.text("value")))
        if (key, effect) in seen:
            taint.duplicate("", {"key": key, "effect": effect})
        seen.add((key, effect))


def check_custom_resource_definition(definition: Reader) -> None:
    """Check the name and the versions of a CustomResourceDefinition."""
    spec = definition.mapping("spec")
    plural, group = spec.mapping("names").text("plural"), spec.text("group")
    name = definition.mapping("metadata").text("name")
    if name and plural and group and name != f"{plural}.{group}":
        definition.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    versions = spec.items("versions")
    if versions and sum(version.flag("storage") for version in versions) != 1:
        spec.invalid("versions", [version.text("name") for version in versions], "must have exactly one version marked as storage version")


def _check_size(reader: Reader, *parts: dict[str, str]) -> None:
    if sum(len(value.encode()) for part in parts for value in part.values()) > _DATA_LIMIT:
        reader.fault("", f"Too long: may not be more than {_DATA_LIMIT} bytes")
