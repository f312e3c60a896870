"""Checks of metadata: names by the rules of each kind, labels, annotations, and of label selectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klab.api.names import check_dns_label, check_dns_subdomain, check_label_key, check_label_value, check_path_segment
from klab.api.reader import Reader
from klab.api.resources import Resource

_ANNOTATIONS_LIMIT = 256 << 10
_CRON_JOB_LIMIT = 52  # a Job's name is the CronJob's and eleven characters more

NameCheck = Callable[[str], list[str]]
_NAME_CHECKS: Mapping[str, NameCheck] = {
    "Namespace": check_dns_label,
    "Service": check_dns_label,
    "StatefulSet": check_dns_label,
    "Lab": check_dns_label,
    "Role": check_path_segment,
    "RoleBinding": check_path_segment,
    "ClusterRole": check_path_segment,
    "ClusterRoleBinding": check_path_segment,
}


def check_meta(meta: Reader, resource: Resource) -> None:
    """Check metadata of an object of `resource` (ValidateObjectMeta)."""
    check_name = _NAME_CHECKS.get(resource.kind, check_dns_subdomain)
    name, prefix = meta.text("name"), meta.text("generateName")
    if name:
        meta.invalid("name", name, *check_name(name))
        if resource.kind == "CronJob" and len(name) > _CRON_JOB_LIMIT:
            meta.invalid("name", name, f"must be no more than {_CRON_JOB_LIMIT} characters")
    elif not prefix:
        meta.required("name", "name or generateName is required")
    if prefix:
        meta.invalid("generateName", prefix, *check_name(prefix.rstrip("-.") or prefix))
    namespace = meta.text("namespace")
    if namespace and not resource.namespaced:
        meta.forbidden("namespace", "not allowed on this type")
    elif namespace:
        meta.invalid("namespace", namespace, *check_dns_label(namespace))
    check_labels(meta, "labels")
    check_annotations(meta)


def check_labels(reader: Reader, key: str) -> None:
    """Check a mapping of labels: metadata.labels, nodeSelector, a Service's selector."""
    for label, value in reader.text_map(key).items():
        reader.invalid(key, label, *check_label_key(label))
        reader.invalid(key, value, *check_label_value(value))


def check_annotations(meta: Reader) -> None:
    """Check the keys and the total size of annotations."""
    annotations = meta.text_map("annotations")
    for key in annotations:
        meta.invalid("annotations", key, *check_label_key(key.lower()))
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        meta.fault("annotations", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes")


def check_label_selector(selector: Reader) -> None:
    """Check a metav1.LabelSelector."""
    check_labels(selector, "matchLabels")
    for expression in selector.items("matchExpressions"):
        key, operator = expression.text("key"), expression.text("operator")
        values = expression.value("values", list) or []
        if operator in {"In", "NotIn"}:
            if not values:
                expression.required("values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"}:
            if values:
                expression.forbidden("values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator:
            expression.invalid("operator", operator, "not a valid selector operator")
        if key:
            expression.invalid("key", key, *check_label_key(key))
        for at, value in expression.texts("values"):
            expression.invalid(at, value, *check_label_value(value))
