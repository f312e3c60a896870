"""The volumes of pods and pod templates."""

from __future__ import annotations

from collections.abc import Sequence

from klab.cli.describers.text import Description, Object
from klab.cli.printers.values import NONE, UNSET, dig

_VOLUMES: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "hostPath": ("HostPath (bare host directory volume)", (("Path", "path", ""), ("HostPathType", "type", NONE))),
    "emptyDir": ("EmptyDir (a temporary directory that shares a pod's lifetime)", (("Medium", "medium", ""), ("SizeLimit", "sizeLimit", UNSET))),
    "secret": ("Secret (a volume populated by a Secret)", (("SecretName", "secretName", ""), ("Optional", "optional", "false"))),
    "configMap": ("ConfigMap (a volume populated by a ConfigMap)", (("Name", "name", ""), ("Optional", "optional", "false"))),
    "nfs": (
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        (("Server", "server", ""), ("Path", "path", ""), ("ReadOnly", "readOnly", "false")),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName", ""), ("ReadOnly", "readOnly", "false")),
    ),
}


def describe_volumes(text: Description, title: str, volumes: Sequence[Object]) -> None:
    """Add the section of volumes."""
    if not volumes:
        text.field(title, NONE)
        return
    text.line(f"{title}:")
    indent = " " if title.startswith(" ") else ""
    for volume in volumes:
        text.line(f"{indent}{volume['name']}:", 1)
        kind = next((key for key in volume if key != "name"), "")
        if kind in _VOLUMES:
            type_text, fields = _VOLUMES[kind]
            text.field("Type", type_text, 2)
            for name, key, default in fields:
                value = (volume[kind] or {}).get(key)
                text.field(name, default if value is None else str(value).lower() if isinstance(value, bool) else value, 2)
        elif kind == "downwardAPI":
            _describe_downward(text, volume[kind])
        elif kind == "projected":
            _describe_projected(text, volume[kind])
        else:
            text.line("<unknown>", 1)


def _describe_downward(text: Description, source: Object) -> None:
    text.field("Type", "DownwardAPI (a volume populated by information about the pod)", 2)
    text.line("Items:", 2)
    for item in source.get("items") or ():
        field = dig(item, "fieldRef", "fieldPath") or dig(item, "resourceFieldRef", "resource", default="")
        text.line(f"{field} -> {item.get('path', '')}", 3)


def _describe_projected(text: Description, projected: Object) -> None:
    text.field("Type", "Projected (a volume that contains injected data from multiple sources)", 2)
    for source in projected.get("sources") or ():
        for key, title in (("secret", "SecretName"), ("configMap", "ConfigMapName")):
            if key in source:
                text.field(title, source[key].get("name", ""), 2)
                text.field("Optional", optional_text(source[key]), 2)
        if "downwardAPI" in source:
            text.field("DownwardAPI", "true", 2)
        if "serviceAccountToken" in source:
            text.field("TokenExpirationSeconds", source["serviceAccountToken"].get("expirationSeconds", ""), 2)


def optional_text(reference: Object) -> str:
    """Say whether what a reference names may be missing."""
    return "true" if reference.get("optional") else "false"
