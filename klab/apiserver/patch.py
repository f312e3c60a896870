"""The four kinds of patch, by the content type of the request (apiserver/pkg/endpoints/handlers/patch.go). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from klab.api.merge import json_merge_patch, json_patch, strategic_merge_patch
from klab.api.schema import builtin
from klab.apiserver.status import refuse
from klab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from klab.api.resources import Resource
    from klab.apiserver.target import Target

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY)


def types_of(resource: Resource) -> Sequence[str]:
    """Give the content types of patches that a resource takes."""
    return TYPES if builtin().kind(resource.api_version, resource.kind) is not None else (JSON_PATCH, MERGE_PATCH, APPLY)


def check_type(content_type: str, target: Target) -> None:
    """Refuse (415) a content type that is no patch, or that the resource does not know: custom resources have no strategic merge."""
    known = types_of(target.resource)
    if content_type not in known:
        words = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
        raise refuse("UnsupportedMediaType", words)


def apply_patch(content_type: str, live: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Give `live` (an object or a Scale) changed as the patch says; UsageError (400) or Invalid (422) where it cannot be."""
    if content_type == JSON_PATCH:
        if not isinstance(patch, list):
            raise refuse("BadRequest", "a JSON patch is a list of operations")
        try:
            return cast("dict[str, Any]", json_patch(live, patch))
        except UsageError as error:
            raise refuse("Invalid", str(error)) from error
    if not isinstance(patch, dict):
        raise refuse("BadRequest", "a merge patch is an object")
    if content_type == MERGE_PATCH:
        return cast("dict[str, Any]", json_merge_patch(live, patch))
    return strategic_merge_patch(live, patch)
