"""KEY=VALUE and KEY-: labels, annotations, images."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.pairs import (
    Pairs,
    calc_label_message,
    check_annotations_kept,
    check_labels_kept,
    parse_annotations,
    parse_labels,
    parse_pairs,
    plan_images,
    split_words,
)
from klab.errors import KlabError, UsageError


def test_words_are_split_where_the_changes_begin() -> None:
    assert split_words(["pod", "web", "a=b", "c-"], "label") == (["pod", "web"], ["a=b", "c-"])
    with pytest.raises(UsageError, match="all resources must be specified before label changes: api"):
        split_words(["pod", "web", "a=b", "api"], "label")


def test_labels() -> None:
    assert parse_labels(["a=b", "empty=", "old-"]) == Pairs({"a": "b", "empty": ""}, ("old",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=b=c"], "invalid label spec: a=b=c"),
        (["a=-"], 'invalid label value: "a=-"'),
        (["a=b", "a-"], "can not both modify and remove a label in the same command"),
    ],
)
def test_what_is_no_label(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_labels(words)


def test_annotations_may_hold_equal_signs() -> None:
    assert parse_annotations(["note=a=b", "old-"]) == Pairs({"note": "a=b"}, ("old",))
    with pytest.raises(UsageError, match=r"the following annotation\(s\) in the same command: a, b$"):
        parse_annotations(["a=1", "b=2", "a-", "b-"])


def test_images_cannot_be_taken_away() -> None:
    with pytest.raises(UsageError, match="invalid image format: app-, =x"):
        parse_pairs(["a=b", "app-", "=x"], "image")


def test_the_merge_and_the_patch_say_the_same() -> None:
    pairs = Pairs({"a": "2", "c": "3"}, ("b",))
    assert pairs.merged_into({"a": "1", "b": "2", "d": "4"}) == {"a": "2", "c": "3", "d": "4"}
    assert pairs.patch("labels") == {"metadata": {"labels": {"a": "2", "c": "3", "b": None}}}


def test_values_are_kept_unless_told_otherwise() -> None:
    check_labels_kept({"a": "1"}, Pairs({"a": "1", "b": "2"}))
    with pytest.raises(KlabError, match=r"^'a' already has a value \(1\), and --overwrite is false$"):
        check_labels_kept({"a": "1"}, Pairs({"a": "2"}))
    check_annotations_kept({"kubernetes.io/change-cause": "1"}, Pairs({"kubernetes.io/change-cause": "2"}))
    with pytest.raises(KlabError, match=r"declared annotation\(s\): 'a' already has a value \(1\); 'b' already has a value \(2\)$"):
        check_annotations_kept({"a": "1", "b": "2"}, Pairs({"a": "2", "b": "3"}))


@pytest.mark.parametrize(
    ("old", "new", "overwrite", "message"),
    [
        ({"a": "1"}, {"a": "1"}, False, "not labeled"),
        ({"a": "1"}, {"a": "1", "b": "2"}, False, "labeled"),
        ({"a": "1"}, {}, False, "unlabeled"),
        ({"a": "1"}, {}, True, "labeled"),
    ],
)
def test_the_word_for_a_change(old: dict[str, str], new: dict[str, str], overwrite: bool, message: str) -> None:
    assert calc_label_message(old, new, overwrite=overwrite) == message


SPEC = {
    "initContainers": [{"name": "init", "image": "init:1"}],
    "containers": [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:1"}],
}


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ({"kind": "Pod", "spec": SPEC}, ("spec",)),
        ({"kind": "Deployment", "spec": {"template": {"spec": SPEC}}}, ("spec", "template", "spec")),
        (
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": SPEC}}}}},
            ("spec", "jobTemplate", "spec", "template", "spec"),
        ),
    ],
)
def test_an_image_is_set_where_the_kind_has_its_containers(obj: dict[str, Any], path: tuple[str, ...]) -> None:
    patch, missing = plan_images(obj, {"app": "app:2", "init": "init:1", "nope": "x"})
    for field in path:
        assert list(patch) == [field]
        patch = patch[field]
    assert patch == {"containers": [{"name": "app", "image": "app:2"}]}
    assert missing == ["nope"]


def test_all_containers_at_once() -> None:
    patch, missing = plan_images({"kind": "Pod", "spec": SPEC}, {"*": "side:1"})
    assert patch == {
        "spec": {"initContainers": [{"name": "init", "image": "side:1"}], "containers": [{"name": "app", "image": "side:1"}]},
    }
    assert missing == []


def test_what_has_no_containers() -> None:
    with pytest.raises(KlabError, match="the object is not a pod or does not have a pod template: Service"):
        plan_images({"kind": "Service"}, {"a": "b"})
