"""The words KEY=VALUE and KEY- of `label`, `annotate` and `set image`, and what they make of an object (kubectl pkg/cmd/{label,annotate,set})."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klab.api.history import CHANGE_CAUSE
from klab.api.names import check_label_value
from klab.errors import KlabError, UsageError


@dataclass(frozen=True, slots=True)
class Pairs:
    """Keys to set, and keys to take away."""

    new: Mapping[str, str]
    removed: tuple[str, ...] = ()

    def merged_into(self, old: Mapping[str, str]) -> dict[str, str]:
        """Give a map of labels or annotations after the change."""
        return {key: value for key, value in {**old, **self.new}.items() if key not in self.removed}

    def patch(self, field: str) -> dict[str, Any]:
        """Give the JSON merge patch of metadata.`field`."""
        return {"metadata": {field: {**self.new, **dict.fromkeys(self.removed)}}}


def split_words(words: Sequence[str], pair_type: str) -> tuple[list[str], list[str]]:
    """Split a command line into the words that name objects and the pairs after them."""
    resources: list[str] = []
    pairs: list[str] = []
    for word in words:
        if ("=" in word and not word.startswith("=")) or (word.endswith("-") and word != "-"):
            pairs.append(word)
        elif pairs:
            raise UsageError(f"all resources must be specified before {pair_type} changes: {word}")
        else:
            resources.append(word)
    return resources, pairs


def parse_labels(words: Sequence[str]) -> Pairs:
    """Read labels to set (`app=web`) and to take away (`app-`); UsageError for what is no label."""
    new: dict[str, str] = {}
    removed: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if "=" in value:
            raise UsageError(f"invalid label spec: {word}")
        if not equals:
            removed.append(word.removesuffix("-"))
        elif faults := check_label_value(value):
            raise UsageError(f'invalid label value: "{word}": {";".join(faults)}')
        else:
            new[key] = value
    if any(key in new for key in removed):
        raise UsageError("can not both modify and remove a label in the same command")
    return Pairs(new, tuple(removed))


def parse_annotations(words: Sequence[str]) -> Pairs:
    """Read annotations to set (`note=a=b` has the value `a=b`) and to take away (`note-`)."""
    pairs = parse_pairs(words, "annotation", removable=True)
    both = [key for key in pairs.removed if key in pairs.new]
    if both:
        raise UsageError(f"can not both modify and remove the following annotation(s) in the same command: {', '.join(both)}")
    return pairs


def parse_pairs(words: Sequence[str], pair_type: str, *, removable: bool = False) -> Pairs:
    """Read KEY=VALUE, and KEY- where keys can be taken away; UsageError names all words that are neither."""
    new: dict[str, str] = {}
    removed: list[str] = []
    invalid: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key:
            new[key] = value
        elif removable and word.endswith("-") and word != "-":
            removed.append(word[:-1])
        else:
            invalid.append(word)
    if invalid:
        raise UsageError(f"invalid {pair_type} format: {', '.join(invalid)}")
    return Pairs(new, tuple(removed))


def check_labels_kept(old: Mapping[str, str], pairs: Pairs) -> None:
    """Refuse to change the value of a label without --overwrite."""
    differing = [key for key, value in pairs.new.items() if old.get(key, value) != value]
    taken = [f"'{key}' already has a value ({old[key]}), and --overwrite is false" for key in differing]
    if taken:
        raise KlabError(taken[0] if len(taken) == 1 else f"[{', '.join(taken)}]")


def check_annotations_kept(old: Mapping[str, str], pairs: Pairs) -> None:
    """Refuse to change the value of an annotation without --overwrite; the change-cause may always change."""
    differing = [key for key, value in pairs.new.items() if key != CHANGE_CAUSE and old.get(key, value) != value]
    taken = [f"'{key}' already has a value ({old[key]})" for key in differing]
    if taken:
        raise KlabError(f"--overwrite is false but found the following declared annotation(s): {'; '.join(taken)}")


def calc_label_message(old: Mapping[str, str], new: Mapping[str, str], *, overwrite: bool) -> str:
    """Give kubectl's word for a change of labels; it takes a change that makes the object shorter for an `unlabeled`."""
    if old == new:
        return "not labeled"
    return "unlabeled" if not overwrite and len(json.dumps(new)) < len(json.dumps(old)) else "labeled"


def plan_images(obj: Mapping[str, Any], images: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Give the strategic merge patch that sets images by container name (`*`: all), {} if all have them, and the names of no container.

    KlabError for an object that has no containers.
    """
    path = _pod_spec_path(obj)
    spec: Mapping[str, Any] = obj
    for field in path:
        spec = spec.get(field) or {}
    lists = {field: spec.get(field) or () for field in ("initContainers", "containers")}
    names = {one["name"] for containers in lists.values() for one in containers}
    patch: dict[str, Any] = {}
    for field, containers in lists.items():
        changed = [
            {"name": one["name"], "image": image}
            for one in containers
            if (image := images.get(one["name"], images.get("*"))) is not None and image != one.get("image")
        ]
        if changed:
            patch[field] = changed
    missing = [name for name in images if name not in names and not (name == "*" and names)]
    for field in reversed(path if patch else ()):
        patch = {field: patch}
    return patch, missing


def _pod_spec_path(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Give where an object has its pod spec (polymorphichelpers/updatepodspec.go)."""
    match obj["kind"]:
        case "Pod":
            return ("spec",)
        case "CronJob":
            return ("spec", "jobTemplate", "spec", "template", "spec")
        case "ReplicationController" | "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job":
            return ("spec", "template", "spec")
    raise KlabError(f"the object is not a pod or does not have a pod template: {obj['kind']}")
