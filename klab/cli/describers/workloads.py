"""`describe` of what makes pods: deployments, replica sets, daemon sets, stateful sets, jobs, cron jobs."""

from __future__ import annotations

from collections.abc import Sequence

from klab.cli.describers.containers import describe_pod_template
from klab.cli.describers.lookup import Lookup
from klab.cli.describers.text import Description, Object, bool_text, controlled_by, time_text
from klab.cli.printers.values import NONE, UNSET, dig, duration_text, labels_text, parse_time, selector_text

_PHASES = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
_INDEXES_WIDTH = 50


def describe_deployment(deployment: Object, lookup: Lookup) -> str:
    """Describe a deployment and its replica sets."""
    text = Description()
    spec, status = dig(deployment, "spec", default={}), dig(deployment, "status", default={})
    text.field("Name", deployment["metadata"]["name"])
    text.field("Namespace", deployment["metadata"].get("namespace", ""))
    text.field("CreationTimestamp", time_text(deployment["metadata"].get("creationTimestamp")))
    text.marks(deployment)
    text.field("Selector", selector_text(spec.get("selector")))
    counts = [("updated", "updatedReplicas"), ("total", "replicas"), ("available", "availableReplicas"), ("unavailable", "unavailableReplicas")]
    text.field("Replicas", " | ".join([f"{spec.get('replicas', 1)} desired", *(f"{status.get(field, 0)} {name}" for name, field in counts)]))
    text.field("StrategyType", dig(spec, "strategy", "type", default=""))
    text.field("MinReadySeconds", spec.get("minReadySeconds", 0))
    if rolling := dig(spec, "strategy", "rollingUpdate"):
        text.field("RollingUpdateStrategy", f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge")
    describe_pod_template(text, spec.get("template") or {})
    text.reasons(deployment)
    owned = sorted(
        lookup.owned("replicasets", deployment, selector_text(spec.get("selector"))),
        key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"]),
    )
    if owned:
        new = next((one for one in owned if _template(one) == _template(deployment)), None)
        text.field("OldReplicaSets", _replica_sets([one for one in owned if one is not new]))
        text.field("NewReplicaSet", _replica_sets([new] if new else []))
    text.events(lookup.events(deployment), lookup.now)
    return text.text()


def _template(obj: Object) -> Object:
    """Give the pod template without the label that a deployment adds to tell its replica sets' pods apart."""
    template = dig(obj, "spec", "template", default={})
    labels = {key: value for key, value in dig(template, "metadata", "labels", default={}).items() if key != "pod-template-hash"}
    return {"labels": labels, "annotations": dig(template, "metadata", "annotations", default={}), "spec": template.get("spec")}


def _replica_sets(found: Sequence[Object]) -> str:
    texts = [
        f"{one['metadata']['name']} ({dig(one, 'status', 'replicas', default=0)}/{dig(one, 'spec', 'replicas', default=1)} replicas created)"
        for one in found
    ]
    return ", ".join(texts) or NONE


def describe_replica_set(replica_set: Object, lookup: Lookup) -> str:
    """Describe a replica set."""
    text = Description()
    selector = dig(replica_set, "spec", "selector")
    _begin(text, replica_set, selector_text(selector) or NONE)
    text.optional("Controlled By", controlled_by(replica_set))
    _replicas(text, replica_set)
    _pods_status(text, replica_set, selector_text(selector), lookup)
    return _end(text, replica_set, lookup)


def describe_replication_controller(controller: Object, lookup: Lookup) -> str:
    """Describe a replication controller."""
    text = Description()
    selector = labels_text(dig(controller, "spec", "selector"))
    _begin(text, controller, selector)
    _replicas(text, controller)
    _pods_status(text, controller, selector, lookup)
    return _end(text, controller, lookup)


def _begin(text: Description, obj: Object, selector: str) -> None:
    text.field("Name", obj["metadata"]["name"])
    text.field("Namespace", obj["metadata"].get("namespace", ""))
    text.field("Selector", selector)
    text.marks(obj)


def _replicas(text: Description, obj: Object) -> None:
    text.field("Replicas", f"{dig(obj, 'status', 'replicas', default=0)} current / {dig(obj, 'spec', 'replicas', default=1)} desired")


def _end(text: Description, obj: Object, lookup: Lookup) -> str:
    describe_pod_template(text, dig(obj, "spec", "template", default={}))
    text.reasons(obj)
    text.events(lookup.events(obj), lookup.now)
    return text.text()


def _pods_status(text: Description, owner: Object, selector: str, lookup: Lookup) -> None:
    """Add how many of the owner's pods are in which phase."""
    phases = [dig(pod, "status", "phase") for pod in lookup.owned("pods", owner, selector)]
    text.field("Pods Status", " / ".join(f"{phases.count(phase)} {name}" for phase, name in _PHASES))


def describe_daemon_set(daemon_set: Object, lookup: Lookup) -> str:
    """Describe a daemon set."""
    text = Description()
    selector = selector_text(dig(daemon_set, "spec", "selector"))
    text.field("Name", daemon_set["metadata"]["name"])
    text.field("Namespace", daemon_set["metadata"].get("namespace", ""))
    text.field("Selector", selector)
    text.field("Node-Selector", labels_text(dig(daemon_set, "spec", "template", "spec", "nodeSelector")))
    text.marks(daemon_set)
    for title, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        text.line(f"{title}: {dig(daemon_set, 'status', field, default=0)}")
    _pods_status(text, daemon_set, selector, lookup)
    describe_pod_template(text, dig(daemon_set, "spec", "template", default={}))
    text.events(lookup.events(daemon_set), lookup.now)
    return text.text()


def describe_stateful_set(stateful_set: Object, lookup: Lookup) -> str:
    """Describe a stateful set."""
    text = Description()
    spec = dig(stateful_set, "spec", default={})
    selector = selector_text(spec.get("selector"))
    text.field("Name", stateful_set["metadata"]["name"])
    text.field("Namespace", stateful_set["metadata"].get("namespace", ""))
    text.field("CreationTimestamp", time_text(stateful_set["metadata"].get("creationTimestamp")))
    text.field("Selector", selector)
    text.marks(stateful_set)
    text.field("Replicas", f"{spec.get('replicas', 1)} desired | {dig(stateful_set, 'status', 'replicas', default=0)} total")
    text.field("Update Strategy", dig(spec, "updateStrategy", "type", default=""))
    partition = dig(spec, "updateStrategy", "rollingUpdate", "partition")
    if partition is not None:
        text.field("Partition", partition, 1)
    _pods_status(text, stateful_set, selector, lookup)
    describe_pod_template(text, spec.get("template") or {})
    _describe_claims(text, spec.get("volumeClaimTemplates") or ())
    text.events(lookup.events(stateful_set), lookup.now)
    return text.text()


def _describe_claims(text: Description, templates: Sequence[Object]) -> None:
    if not templates:
        text.field("Volume Claims", NONE)
        return
    text.line("Volume Claims:")
    for template in templates:
        text.field("Name", template["metadata"]["name"], 1)
        text.field("StorageClass", dig(template, "spec", "storageClassName", default=""), 1)
        text.labels("  Labels", template["metadata"].get("labels"))
        text.labels("  Annotations", template["metadata"].get("annotations"))
        text.field("Capacity", dig(template, "spec", "resources", "requests", "storage", default="<default>"), 1)
        text.field("Access Modes", f"[{' '.join(dig(template, 'spec', 'accessModes', default=()))}]", 1)


def describe_job(job: Object, lookup: Lookup) -> str:
    """Describe a job."""
    text = Description()
    spec, status = dig(job, "spec", default={}), dig(job, "status", default={})
    _begin(text, job, selector_text(spec.get("selector")))
    text.optional("Controlled By", controlled_by(job))
    text.optional("Parallelism", spec.get("parallelism"))
    text.field("Completions", spec.get("completions", UNSET))
    text.optional("Completion Mode", spec.get("completionMode"))
    if "suspend" in spec:
        text.field("Suspend", str(spec["suspend"]).lower())
    text.optional("Backoff Limit", spec.get("backoffLimit"))
    text.optional("TTL Seconds After Finished", spec.get("ttlSecondsAfterFinished"))
    started, completed = status.get("startTime"), status.get("completionTime")
    if started:
        text.field("Start Time", time_text(started))
    if completed:
        text.field("Completed At", time_text(completed))
    if started and completed:
        text.field("Duration", duration_text((parse_time(completed) - parse_time(started)).total_seconds()))
    if "activeDeadlineSeconds" in spec:
        text.field("Active Deadline Seconds", f"{spec['activeDeadlineSeconds']}s")
    ready = f" ({status['ready']} Ready)" if "ready" in status else ""
    text.field(
        "Pods Statuses", f"{status.get('active', 0)} Active{ready} / {status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    )
    if spec.get("completionMode") == "Indexed":
        text.field("Completed Indexes", _indexes(status.get("completedIndexes", "")))
    describe_pod_template(text, spec.get("template") or {})
    text.events(lookup.events(job), lookup.now)
    return text.text()


def _indexes(indexes: str) -> str:
    comma = indexes.find(",", _INDEXES_WIDTH)
    return f"{indexes[: comma + 1]}..." if comma >= 0 else indexes or NONE


def describe_cron_job(cron_job: Object, lookup: Lookup) -> str:
    """Describe a cron job."""
    text = Description()
    spec, job = dig(cron_job, "spec", default={}), dig(cron_job, "spec", "jobTemplate", "spec", default={})
    text.heading(cron_job)
    text.field("Schedule", spec.get("schedule", ""))
    text.field("Concurrency Policy", spec.get("concurrencyPolicy", ""))
    text.field("Suspend", bool_text(spec.get("suspend")))
    text.field("Successful Job History Limit", spec.get("successfulJobsHistoryLimit", UNSET))
    text.field("Failed Job History Limit", spec.get("failedJobsHistoryLimit", UNSET))
    text.field("Starting Deadline Seconds", f"{spec['startingDeadlineSeconds']}s" if "startingDeadlineSeconds" in spec else UNSET)
    text.field("Selector", selector_text(job["selector"]) if "selector" in job else UNSET)
    text.field("Parallelism", job.get("parallelism", UNSET))
    text.field("Completions", job.get("completions", UNSET))
    if "activeDeadlineSeconds" in job:
        text.field("Active Deadline Seconds", f"{job['activeDeadlineSeconds']}s")
    describe_pod_template(text, job.get("template") or {})
    last = dig(cron_job, "status", "lastScheduleTime")
    text.field("Last Schedule Time", time_text(last) if last else UNSET)
    text.field("Active Jobs", ", ".join(one["name"] for one in dig(cron_job, "status", "active", default=())) or NONE)
    text.events(lookup.events(cron_job), lookup.now)
    return text.text()
