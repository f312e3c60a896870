"""Checks of what makes pods: Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs, CronJobs, and of autoscalers and disruption budgets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from klab.api.checks.meta import check_annotations, check_label_selector, check_labels
from klab.api.checks.pod import check_fixed_addresses, check_pod_spec
from klab.api.names import check_dns_label
from klab.api.reader import Reader
from klab.api.selectors import Selector

_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = frozenset("jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat".split())  # noqa: SIM905  reads best as words
_PERCENT = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
_CRON_WORDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


def check_template(spec: Reader, claims: frozenset[str] = frozenset()) -> None:
    """Check spec.template: labels, annotations and pod spec."""
    template = spec.mapping("template")
    check_labels(template.mapping("metadata"), "labels")
    check_annotations(template.mapping("metadata"))
    check_fixed_addresses(template.mapping("metadata"))
    check_pod_spec(template.mapping("spec"), claims)


def check_deployment(obj: Reader) -> None:
    """Check a Deployment."""
    spec = obj.mapping("spec")
    _check_replicas(spec, "deployment")
    strategy = spec.mapping("strategy")
    if strategy.text("type") == "Recreate" and strategy.has("rollingUpdate"):
        strategy.forbidden("rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    rolling = strategy.mapping("rollingUpdate")
    unavailable, surge = _share(rolling, "maxUnavailable"), _share(rolling, "maxSurge")
    if unavailable == 0 and surge == 0:
        rolling.invalid("maxUnavailable", rolling.raw["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    _check_percentage(rolling, "maxUnavailable")
    spec.not_negative("revisionHistoryLimit", "progressDeadlineSeconds")
    deadline, ready = spec.integer("progressDeadlineSeconds"), spec.integer("minReadySeconds") or 0
    if deadline is not None and 0 <= deadline <= ready:
        spec.invalid("progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def check_replica_set(obj: Reader) -> None:
    """Check a ReplicaSet."""
    _check_replicas(obj.mapping("spec"), "deployment")  # Kubernetes says deployment here too


def check_replication_controller(obj: Reader) -> None:
    """Check a ReplicationController, whose selector is a mapping and defaults to the template's labels."""
    spec = obj.mapping("spec")
    spec.not_negative("replicas", "minReadySeconds")
    check_labels(spec, "selector")
    labels = spec.mapping("template").mapping("metadata").text_map("labels")
    selector = spec.text_map("selector")
    if not selector and not labels:
        spec.required("selector")
    elif selector and not Selector.of_labels(selector).matches(labels):
        spec.invalid("template.metadata.labels", labels, "`selector` does not match template `labels`")
    if spec.has("template"):
        check_template(spec)
        _check_restart_policy(spec)
    else:
        spec.required("template")


def check_daemon_set(obj: Reader) -> None:
    """Check a DaemonSet."""
    spec = obj.mapping("spec")
    _check_selector(spec, "daemonset")
    check_template(spec)
    _check_restart_policy(spec)
    spec.not_negative("minReadySeconds", "revisionHistoryLimit")
    rolling = spec.mapping("updateStrategy").mapping("rollingUpdate")
    unavailable, surge = _share(rolling, "maxUnavailable"), _share(rolling, "maxSurge")
    _check_percentage(rolling, "maxUnavailable")
    _check_percentage(rolling, "maxSurge")
    if surge and (unavailable is None or unavailable > 0):
        rolling.invalid("maxSurge", rolling.raw["maxSurge"], "may not be set when maxUnavailable is non-zero")
    elif unavailable == 0 and not surge:
        rolling.required("maxUnavailable", "cannot be 0 when maxSurge is 0")


def check_stateful_set(obj: Reader) -> None:
    """Check a StatefulSet."""
    spec = obj.mapping("spec")
    claims = frozenset(claim.mapping("metadata").text("name") for claim in spec.items("volumeClaimTemplates"))
    _check_replicas(spec, "statefulset", claims)
    spec.not_negative("revisionHistoryLimit")
    spec.mapping("ordinals").not_negative("start")
    strategy = spec.mapping("updateStrategy")
    if strategy.text("type") == "OnDelete" and strategy.has("rollingUpdate"):
        strategy.invalid("rollingUpdate", strategy.raw["rollingUpdate"], "only allowed for updateStrategy 'RollingUpdate'")
    strategy.mapping("rollingUpdate").not_negative("partition")
    if name := spec.text("serviceName"):
        spec.invalid("serviceName", name, *check_dns_label(name))


def check_job(obj: Reader) -> None:
    """Check a Job."""
    check_job_spec(obj.mapping("spec"))


def check_job_spec(spec: Reader) -> None:
    """Check the spec of a Job or of a CronJob's template."""
    spec.not_negative("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "maxFailedIndexes")
    if spec.text("completionMode") == "Indexed" and not spec.has("completions"):
        spec.required("completions", "when completion mode is Indexed")
    check_template(spec)
    pod = spec.mapping("template").mapping("spec")
    if spec.has("template") and pod.text("restartPolicy", "Always") == "Always":
        pod.required("restartPolicy", 'valid values: "OnFailure", "Never"')


def check_cron_job(obj: Reader) -> None:
    """Check a CronJob."""
    spec = obj.mapping("spec")
    schedule = spec.text("schedule")
    if schedule and not is_schedule(schedule):
        spec.invalid(
            "schedule", schedule, 'must be five fields "minute hour day-of-month month day-of-week", or one of @hourly, @daily, @weekly, @monthly'
        )
    spec.not_negative("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    check_job_spec(spec.mapping("jobTemplate").mapping("spec"))


def is_schedule(text: str) -> bool:
    """Tell whether `text` is a schedule in cron's format, as robfig/cron reads it."""
    if text in _CRON_WORDS or re.fullmatch(r"@every (\d+(\.\d+)?(h|m|s|ms|us|ns))+", text):
        return True
    fields = text.split()
    return len(fields) == len(_CRON_RANGES) and all(_is_cron_field(field, *limits) for field, limits in zip(fields, _CRON_RANGES, strict=True))


def check_autoscaler(obj: Reader) -> None:
    """Check a HorizontalPodAutoscaler."""
    spec = obj.mapping("spec")
    least, most = spec.integer("minReplicas"), spec.integer("maxReplicas")
    if least is not None and least < 1:
        spec.invalid("minReplicas", least, "must be greater than or equal to 1")
    if most is not None and most < 1:
        spec.invalid("maxReplicas", most, "must be greater than 0")
    elif most is not None and least is not None and most < least:
        spec.invalid("maxReplicas", most, "must be greater than or equal to `minReplicas`")


def check_disruption_budget(obj: Reader) -> None:
    """Check a PodDisruptionBudget."""
    spec = obj.mapping("spec")
    if spec.has("minAvailable") and spec.has("maxUnavailable"):
        spec.invalid("", spec.raw, "minAvailable and maxUnavailable cannot be both set")
    for key in ("minAvailable", "maxUnavailable"):
        _share(spec, key)
        _check_percentage(spec, key)
    check_label_selector(spec.mapping("selector"))


def _check_replicas(spec: Reader, kind: str, claims: frozenset[str] = frozenset()) -> None:
    spec.not_negative("replicas", "minReadySeconds")
    _check_selector(spec, kind)
    check_template(spec, claims)
    _check_restart_policy(spec)


def _check_selector(spec: Reader, kind: str) -> None:
    """Check that the selector selects something, and the pods of its own template."""
    if not spec.has("selector"):
        return
    selector = spec.mapping("selector")
    faults = len(selector.faults)
    check_label_selector(selector)
    if not selector.raw.get("matchLabels") and not selector.raw.get("matchExpressions"):
        spec.invalid("selector", {}, f"empty selector is invalid for {kind}")
    elif len(selector.faults) == faults and _is_readable(selector.raw):
        labels = spec.mapping("template").mapping("metadata").text_map("labels")
        if not Selector.of(selector.raw).matches(labels):
            spec.invalid("template.metadata.labels", labels, "`selector` does not match template `labels`")


def _is_readable(selector: Mapping[str, object]) -> bool:
    """Tell whether the schema would pass a selector, so that it can be evaluated."""
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    return (
        isinstance(labels, dict)
        and all(isinstance(value, str) for value in labels.values())
        and isinstance(expressions, list)
        and all(isinstance(item, dict) and {"key", "operator"} <= item.keys() for item in expressions)
    )


def _check_restart_policy(spec: Reader) -> None:
    pod = spec.mapping("template").mapping("spec")
    if pod.text("restartPolicy", "Always") != "Always":
        pod.unsupported("restartPolicy", pod.text("restartPolicy"), ["Always"])
    if pod.has("activeDeadlineSeconds"):
        pod.forbidden("activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported")


def _share(reader: Reader, key: str) -> int | None:
    """Check a number or percentage of pods that is not negative, and give its number; None for an absent or broken one."""
    reader.not_negative(key)
    text = reader.value(key, str)
    if text is None:
        return reader.integer(key)
    if not re.fullmatch(r"\d+%", text):
        reader.invalid(key, text, _PERCENT)
        return None
    return int(text[:-1])


def _check_percentage(reader: Reader, key: str) -> None:
    text = reader.value(key, str) or ""
    if re.fullmatch(r"\d+%", text) and int(text[:-1]) > 100:  # noqa: PLR2004
        reader.invalid(key, text, "must not be greater than 100%")


def _is_cron_field(field: str, least: int, most: int) -> bool:
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step) > 0):
            return False
        ends = span.split("-")
        if span not in {"*", "?"} and (len(ends) > 2 or not all(_is_cron_value(end, least, most) for end in ends)):  # noqa: PLR2004
            return False
    return True


def _is_cron_value(text: str, least: int, most: int) -> bool:
    return text.lower() in _CRON_NAMES or (text.isdecimal() and least <= int(text) <= most)
