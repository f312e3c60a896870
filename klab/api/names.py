"""What a name, label or port name may look like: apimachinery's pkg/util/validation, with its messages.

Each function gives a list of messages, empty where the text is fine. The two spaces before "or" are Kubernetes' own.
"""

from __future__ import annotations

import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_PATH_NAME_BARRED = ("/", "%")

_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_qualified = re.compile(_QUALIFIED).fullmatch
_label_value = re.compile(f"({_QUALIFIED})?").fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch

_QUALIFIED_MESSAGE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)


def check_dns_label(text: str) -> list[str]:
    """Check an RFC 1123 label: names of namespaces, containers and, since Kubernetes 1.36, Services."""
    faults = _check_length(text, 63)
    if not _label(text):
        if _subdomain(text):
            return [*faults, "must not contain dots"]
        faults.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
            f"character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
        )
    return faults


def check_dns_subdomain(text: str) -> list[str]:
    """Check an RFC 1123 subdomain: names of most objects."""
    faults = _check_length(text, 253)
    if not _subdomain(text):
        faults.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
            f"alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
        )
    return faults


def check_path_segment(text: str) -> list[str]:
    """Check a name that only has to fit into a REST path: RBAC's."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{barred}'" for barred in _PATH_NAME_BARRED if barred in text]


def check_label_key(text: str) -> list[str]:
    """Check a key of a label or annotation: `app`, `example.com/app`."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [f"a valid label key {_QUALIFIED_MESSAGE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    faults: list[str] = []
    if slash:
        faults = [f"prefix part {fault}" for fault in check_dns_subdomain(prefix)] if prefix else ["prefix part must be non-empty"]
    if not name:
        faults.append("name part must be non-empty")
    faults.extend(f"name part {fault}" for fault in _check_length(name, 63))
    if not _qualified(name):
        faults.append(f"name part {_QUALIFIED_MESSAGE}")
    return faults


def check_label_value(text: str) -> list[str]:
    """Check the value of a label, which may be empty."""
    faults = _check_length(text, 63)
    if not _label_value(text):
        faults.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            f"alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_QUALIFIED})?')"
        )
    return faults


def check_port_name(text: str) -> list[str]:
    """Check the name of a port (an IANA service name, RFC 6335)."""
    faults = _check_length(text, 15)
    if not re.fullmatch(r"[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def check_env_name(text: str) -> list[str]:
    """Check the name of an environment variable: any printable ASCII except `=`."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not all(" " <= character <= "~" and character != "=" for character in text):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def check_config_key(text: str) -> list[str]:
    """Check a key of a ConfigMap or Secret."""
    faults = _check_length(text, 253)
    if not _config_key(text):
        faults.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
            f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
        )
    if text in {".", ".."}:
        faults.append(f"must not be '{text}'")
    elif text.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def _check_length(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []
