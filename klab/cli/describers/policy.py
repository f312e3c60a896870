"""`describe` of what governs workloads: autoscalers and disruption budgets."""

from __future__ import annotations

from klab.cli.describers.lookup import Lookup
from klab.cli.describers.text import Description, Object, time_text
from klab.cli.printers.values import NONE, UNSET, dig, selector_text


def describe_autoscaler(autoscaler: Object, lookup: Lookup) -> str:
    """Describe a HorizontalPodAutoscaler of autoscaling/v2."""
    text = Description()
    spec, status = dig(autoscaler, "spec", default={}), dig(autoscaler, "status", default={})
    target = spec.get("scaleTargetRef") or {}
    text.heading(autoscaler)
    text.field("CreationTimestamp", time_text(autoscaler["metadata"].get("creationTimestamp")))
    text.field("Reference", f"{target.get('kind', '')}/{target.get('name', '')}")
    text.field("Metrics", "( current / target )")
    current = status.get("currentMetrics") or ()
    for at, metric in enumerate(spec.get("metrics") or ()):
        _describe_metric(text, metric, current[at] if at < len(current) else {})
    text.field("Min replicas", spec.get("minReplicas", UNSET))
    text.field("Max replicas", spec.get("maxReplicas", 0))
    if behavior := spec.get("behavior"):
        text.line("Behavior:")
        for title, field in (("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")):
            _describe_behavior(text, title, behavior.get(field))
    text.field(f"{target.get('kind', '')} pods", f"{status.get('currentReplicas', 0)} current / {status.get('desiredReplicas', 0)} desired")
    if found := status.get("conditions"):
        text.line("Conditions:")
        rows = [[one.get(field, "") for field in ("type", "status", "reason", "message")] for one in found]
        text.table(("Type", "Status", "Reason", "Message"), rows)
    text.events(lookup.events(autoscaler), lookup.now)
    return text.text()


def _describe_metric(text: Description, metric: Object, current: Object) -> None:
    kind = metric.get("type", "")
    field = kind[:1].lower() + kind[1:]
    source, now = metric.get(field) or {}, dig(current, field, "current", default={})
    target = source.get("target") or {}
    average = "averageValue" in target
    match kind:
        case "Resource" | "ContainerResource":
            of = f' of container "{source.get("container", "")}"' if kind == "ContainerResource" else ""
            title = f"resource {source.get('name', '')}{of} on pods"
            if not average:
                _describe_utilization(text, title, now, target)
                return
        case "Pods":
            title = f'"{dig(source, "metric", "name", default="")}" on pods'
        case "Object" | "External":
            described = source.get("describedObject") or {}
            on = f" on {described.get('kind', '')}/{described.get('name', '')}" if kind == "Object" else ""
            title = f'"{dig(source, "metric", "name", default="")}"{on} (target {"average " if average else ""}value)'
        case _:
            text.line(f'<unknown metric type "{kind}">', 1)
            return
    value = "averageValue" if average or kind == "Pods" else "value"
    text.field(title, f"{now.get(value, '<unknown>')} / {target.get(value, '')}", 1)


def _describe_utilization(text: Description, title: str, now: Object, target: Object) -> None:
    current = "<unknown>"
    if "averageUtilization" in now:
        current = f"{now['averageUtilization']}% ({now.get('averageValue', '')})"
    wanted = f"{target['averageUtilization']}%" if "averageUtilization" in target else "<auto>"
    text.field(f"{title}  (as a percentage of request)", f"{current} / {wanted}", 1)


def _describe_behavior(text: Description, title: str, rules: Object | None) -> None:
    if rules is None:
        return
    text.line(f"{title}:", 1)
    if "stabilizationWindowSeconds" in rules:
        text.line(f"Stabilization Window: {rules['stabilizationWindowSeconds']} seconds", 2)
    if rules.get("policies"):
        text.line(f"Select Policy: {rules.get('selectPolicy', 'Max')}", 2)
        text.line("Policies:", 2)
        for policy in rules["policies"]:
            text.line(f"- Type: {policy.get('type')}\tValue: {policy.get('value')}\tPeriod: {policy.get('periodSeconds')} seconds", 3)


def describe_budget(budget: Object, lookup: Lookup) -> str:
    """Describe a PodDisruptionBudget."""
    text = Description()
    spec, status = dig(budget, "spec", default={}), dig(budget, "status", default={})
    text.field("Name", budget["metadata"]["name"])
    text.field("Namespace", budget["metadata"].get("namespace", ""))
    if "minAvailable" in spec:
        text.field("Min available", spec["minAvailable"])
    elif "maxUnavailable" in spec:
        text.field("Max unavailable", spec["maxUnavailable"])
    text.field("Selector", (selector_text(spec["selector"]) or NONE) if "selector" in spec else UNSET)
    text.line("Status:")
    for title, field in (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ):
        text.field(title, status.get(field, 0), 2)
    text.events(lookup.events(budget), lookup.now)
    return text.text()
