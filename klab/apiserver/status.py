"""metav1.Status: how a failure travels. Errors of klab become Status objects on the server, and the same errors again at the client.

Codes, reasons and words are those of apimachinery/pkg/api/errors. Pure, and light to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from klab.errors import AlreadyExistsError, ConflictError, Fault, InvalidManifestError, KlabError, NotFoundError, UsageError

Status = dict[str, Any]

CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}
"""HTTP status code of each reason."""

CAUSES = {
    "Required value": "FieldValueRequired",
    "Duplicate value": "FieldValueDuplicate",
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Not found": "FieldValueNotFound",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Internal error": "InternalError",
}
"""Cause type of a field error by the words its message starts with (apimachinery/pkg/util/validation/field); any other is FieldValueInvalid."""


REASONS: Mapping[type[KlabError], str] = {
    NotFoundError: "NotFound",
    AlreadyExistsError: "AlreadyExists",
    ConflictError: "Conflict",
    UsageError: "BadRequest",
}


UNCHANGEABLE = ("field is immutable", "may not change", "may not be changed", "cannot change", "fields other than")
"""Words of a 422 that blames the change and not the manifest: at the client that is a ConflictError."""


class StatusError(KlabError):
    """A refusal that only HTTP has a word for (405, 410, 415 ...); it is raised and caught in this room."""

    def __init__(self, status: Status) -> None:
        """Keep the Status object that the client gets."""
        super().__init__(status["message"])
        self.status = status


def make_status(reason: str, message: str, details: Mapping[str, Any] | None = None) -> Status:
    """Give a Failure with the code of its reason."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason}
    if details:
        status["details"] = dict(details)
    return {**status, "code": CODES[reason]}


def make_success(details: Mapping[str, Any]) -> Status:
    """Give the answer to a deletion that is done."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": dict(details)}


def refuse(reason: str, message: str, details: Mapping[str, Any] | None = None) -> StatusError:
    """Make the exception of a refusal, to be raised."""
    return StatusError(make_status(reason, message, details))


def forbid(resource: str, name: str, message: str, causes: Sequence[Mapping[str, str]] = ()) -> StatusError:
    """Give the exception for something that no one may do; `resource` is qualified (`deployments.apps`)."""
    plural, _, group = resource.partition(".")
    subject = f'{resource} "{name}"' if name else resource
    details = _drop_empty({"name": name, "group": group, "kind": plural, "causes": list(causes)})
    return refuse("Forbidden", f"{subject} is forbidden: {message}", details)


def to_status(error: KlabError, *, group: str = "", kind: str = "", plural: str = "", name: str = "") -> Status:
    """Turn an error into the Status that a client gets; group, kind, plural and name are of the object that the request is about."""
    about = _drop_empty({"name": name, "group": group, "kind": plural})
    match error:
        case StatusError():
            return error.status
        case InvalidManifestError():
            qualified = f"{kind}.{group}" if group else kind
            problems = render_problems([(fault.path, fault.message) for fault in error.faults])
            details = {**about, "kind": kind, "causes": [make_cause(fault) for fault in error.faults]}
            return make_status("Invalid", f'{qualified} "{name}" is invalid: {problems}', _drop_empty(details))
        case NotFoundError() | AlreadyExistsError() | ConflictError() | UsageError():
            return make_status(REASONS[type(error)], str(error), about)
    return make_status("InternalError", f"Internal error occurred: {error}", {"causes": [{"message": str(error)}]})


def to_error(status: Mapping[str, Any]) -> KlabError:
    """Turn a Status that came from the server into the error to raise."""
    message = str(status.get("message") or status.get("reason") or "the server refused, and did not say why")
    details, reason = status.get("details") or {}, status.get("reason")
    if reason == "Invalid" and any(words in message for words in UNCHANGEABLE):
        return ConflictError(message)
    if reason in ("Invalid", "BadRequest") and details.get("causes"):
        subject = message.partition(" is invalid")[0] if details.get("name") else ""
        return InvalidManifestError(
            [Fault(cause.get("where") or subject, cause.get("field", ""), cause.get("message", "")) for cause in details["causes"]]
        )
    return next((error for error, word in REASONS.items() if word == reason), KlabError)(message)


def make_cause(fault: Fault) -> dict[str, str]:
    """Give the StatusCause of a field error; `where` is klab's own: the file and document, known for manifests in bulk."""
    return _drop_empty({"reason": cause_type(fault.message), "message": fault.message, "field": fault.path, "where": fault.where})


def cause_type(message: str) -> str:
    """Give the type of a field error by its message."""
    return next((reason for words, reason in CAUSES.items() if message.startswith(words)), "FieldValueInvalid")


def render_problems(problems: Sequence[tuple[str, str]]) -> str:
    """Join field errors (path, message) as an aggregate error of apimachinery prints them: each once, in brackets if there are several."""
    lines = list(dict.fromkeys(f"{path}: {message}" if path else message for path, message in problems))
    return lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"


def _drop_empty(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if value}
