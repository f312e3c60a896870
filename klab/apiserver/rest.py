"""Kubernetes' verbs over the store: what a request does, apart from HTTP (apiserver/pkg/registry/generic/registry/store.go).

Every function runs inside one transaction of the store, which the caller opens; a failure leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from klab.api.check import check_object
from klab.api.resources import BUILTIN, Registry
from klab.apiserver.admission import Admit, Review, make_chain, raise_problems, run_chain
from klab.apiserver.decode import check_schema, fill_in
from klab.apiserver.options import DeleteOptions, LogOptions, WriteOptions
from klab.apiserver.patch import apply_patch
from klab.apiserver.serverside import apply_fields
from klab.apiserver.status import forbid, make_success, refuse
from klab.apiserver.subresources import apply_binding, apply_scale, render_scale
from klab.apiserver.target import PODS, ListOptions, Target, render_continue
from klab.controlplane.controllers.garbagecollector import calc_finalizers
from klab.controlplane.objectmeta import check_preconditions
from klab.controlplane.store import Store
from klab.errors import Fault, InvalidManifestError, NotFoundError

NAMESPACES = BUILTIN.of("v1", "Namespace")

IMMORTAL = ("default", "kube-system", "kube-public")
"""Namespaces that may not be deleted."""

CREATED_BY_UPDATE = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease", "LimitRange", "Event", "Service", "Endpoints"})
"""Kinds that a PUT creates where they are missing (AllowCreateOnUpdate)."""

RETURNED_AFTER_DELETE = frozenset(
    {"Pod", "Service", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "ServiceAccount", "StorageClass"}
)
"""Kinds whose deletion is answered with the object itself, not with a Status (ReturnDeletedObject)."""


Logs = Callable[[dict[str, Any], LogOptions], AsyncIterator[bytes]]
"""Gives the log of a pod's container, piece by piece."""


Extension = Callable[[], Awaitable[Mapping[str, Any]]]
"""Answers one of klab's own calls."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the composition root hands in: the known resources, the admission chain, and the kubelet's logs (None: there are none to read)."""

    registry: Registry = BUILTIN
    admit: tuple[Admit, ...] = field(default_factory=make_chain)
    logs: Logs | None = None
    extensions: Mapping[tuple[str, str], Extension] = field(default_factory=dict)
    """klab's own calls by method and path: ("POST", "/klab/v1/repair")."""


class Rest:
    """The verbs, bound to one store."""

    def __init__(self, store: Store, hooks: Hooks) -> None:
        """Keep the store and what the composition root handed in."""
        self.store = store
        self.hooks = hooks

    # reading

    def get(self, target: Target) -> dict[str, Any]:
        """Give one object, or its Scale."""
        obj = self._stored(target)
        return render_scale(obj) if target.subresource == "scale" else obj

    def list(self, target: Target, options: ListOptions) -> dict[str, Any]:
        """Give a collection as a List, page by page if a limit is set."""
        self.check_revision(options.revision, exact=options.match == "Exact")
        found = self.store.list(target.resource, target.namespace, options.selector, options.fields)
        revision = self.store.revision if options.start is None else options.revision or self.store.revision
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if options.start is not None:
            found = [obj for obj in found if _key(obj) > options.start]
        if 0 < options.limit < len(found):
            metadata["continue"] = render_continue(revision, *_key(found[options.limit - 1]))
            if options.selector is None and options.fields is None:
                metadata["remainingItemCount"] = len(found) - options.limit
            found = found[: options.limit]
        return {"kind": f"{target.resource.kind}List", "apiVersion": target.resource.api_version, "metadata": metadata, "items": found}

    def check_revision(self, revision: int | None, *, exact: bool = False) -> None:
        """Refuse a resourceVersion that is still to come, or (exact) that is past: the store only has the present."""
        current = self.store.revision
        if revision is not None and revision > current:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            words = f"Timeout: Too large resource version: {revision}, current: {current}"
            raise refuse("Timeout", words, {"causes": causes, "retryAfterSeconds": 1})
        if exact and revision is not None and revision != current:
            raise refuse(
                "Expired", f"The provided resourceVersion {revision} is too old: the lab keeps the present state only; list again without it"
            )

    # writing

    def create(self, target: Target, obj: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
        """Create an object in a namespace that is there and stays."""
        resource = target.resource
        if resource.namespaced:
            self._check_namespace(target, obj["metadata"].get("name", ""))
        name = obj["metadata"].get("name") or self.store.generate_name(resource, obj["metadata"])
        obj = {**obj, "metadata": {**obj["metadata"], "name": name}}
        return self.store.create(resource, self._admit(Review("CREATE", resource, None, None, self.store), obj, options))

    def update(self, target: Target, obj: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
        """Put an object, its status, its finalizers or its scale in the place of the stored ones."""
        try:
            old = self._stored(target)
        except NotFoundError:
            if target.subresource is None and target.resource.kind in CREATED_BY_UPDATE:
                return self.create(target, obj, options)
            raise
        if target.subresource == "scale":
            return render_scale(self.replace(target, apply_scale(old, obj), old, options))
        return self.replace(target, obj, old, options)

    def patch(self, target: Target, content_type: str, patch: Any, options: WriteOptions) -> dict[str, Any]:
        """Change an object, its status or its scale as a patch says."""
        old = self._stored(target)
        if target.subresource == "scale":
            scale = apply_patch(content_type, render_scale(old), patch)
            return render_scale(self.replace(target, apply_scale(old, scale), old, options))
        return self.replace(target, fill_in(apply_patch(content_type, old, patch), target), old, options)

    def apply(self, target: Target, applied: dict[str, Any], options: WriteOptions) -> tuple[dict[str, Any], bool]:
        """Apply on the server's side what one field manager wishes; give the object, and whether it is new."""
        if not options.field_manager:
            raise InvalidManifestError([Fault("", "fieldManager", "Required value: is required for apply patch")])
        try:
            old = self._stored(target)
        except NotFoundError:
            if target.subresource is not None:
                raise
            new = apply_fields({}, applied, options.field_manager, self.store.now(), force=True)
            return self.create(target, new, options), True
        new = apply_fields(old, applied, options.field_manager, self.store.now(), force=options.force)
        return self.replace(target, new, old, options), False

    def delete(self, target: Target, options: DeleteOptions) -> dict[str, Any]:
        """Delete an object; give it, or a Status with Success."""
        resource = target.resource
        if resource == NAMESPACES and target.name in IMMORTAL:
            raise forbid("namespaces", target.name, "this namespace may not be deleted")
        stored = self.store.get(resource, target.namespace, target.name or "")
        finalizers = calc_finalizers(resource, stored, options.propagation_policy)
        if finalizers != (stored["metadata"].get("finalizers") or []):
            check_preconditions(resource, stored, options.uid, options.resource_version)
            self.store.update(resource, {**stored, "metadata": {**stored["metadata"], "finalizers": finalizers}})
            options = replace(options, resource_version=None)
        gone = self.store.delete(
            resource,
            target.namespace,
            target.name or "",
            options.grace_period_seconds,
            uid=options.uid,
            resource_version=options.resource_version,
        )
        stays = gone["metadata"].get("deletionTimestamp")
        if stays or resource.kind in RETURNED_AFTER_DELETE:
            return gone
        details = {"name": target.name, "group": resource.group, "kind": resource.plural, "uid": gone["metadata"]["uid"]}
        return make_success({key: value for key, value in details.items() if value})

    def delete_collection(self, target: Target, listing: ListOptions, options: DeleteOptions) -> dict[str, Any]:
        """Delete what a list would show; give that list."""
        found = self.list(target, listing)
        for obj in found["items"]:
            metadata = obj["metadata"]
            self.delete(Target(target.resource, metadata.get("namespace"), metadata["name"], None), options)
        return found

    def bind(self, target: Target, binding: Mapping[str, Any]) -> dict[str, Any]:
        """Put a pod on a node (the `binding` subresource): once and for all."""
        pod = self._stored(target)
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        words = f'Operation cannot be fulfilled on pods/binding "{metadata["name"]}"'
        if metadata.get("deletionTimestamp"):
            raise refuse("Conflict", f"{words}: pod {metadata['name']} is being deleted, cannot be assigned to a host")
        if spec.get("nodeName"):
            raise refuse("Conflict", f'{words}: pod {metadata["name"]} is already assigned to node "{spec["nodeName"]}"')
        spec, status = apply_binding(pod, binding, self.store.now())
        bound = self.store.update(PODS, {**pod, "spec": spec})
        self.store.update(PODS, {**bound, "status": status}, "status")
        return {**make_success({}), "code": 201}

    # inside

    def _stored(self, target: Target) -> dict[str, Any]:
        return self.store.get(target.resource, target.namespace, target.name or "")

    def replace(self, target: Target, new: dict[str, Any], old: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
        """Check the optimistic lock first, as kube-apiserver does, then the object itself; store it."""
        given = new["metadata"]
        check_preconditions(target.resource, old, given.get("uid"), given.get("resourceVersion"))
        subresource = None if target.subresource == "scale" else target.subresource
        new = self._admit(Review("UPDATE", target.resource, old, subresource, self.store), new, options)
        return self.store.update(target.resource, new, "status" if subresource == "status" else None)

    def _admit(self, review: Review, obj: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
        """Check an object against its schema, and send it through the admission chain."""
        obj, warnings, problems = check_schema(obj, options.field_validation)
        options.warnings.extend(warnings)
        if problems:  # what admission would add to an object that lacks something is no use: tell all that is wrong with it as it is
            raise_problems(list(dict.fromkeys([*problems, *check_object(obj)])))
        return run_chain(self.hooks.admit, review, obj)

    def _check_namespace(self, target: Target, name: str) -> None:
        """Refuse a new object in a namespace that is missing or on its way out (admission NamespaceLifecycle)."""
        namespace = self.store.get(NAMESPACES, None, target.namespace or "")
        if namespace["metadata"].get("deletionTimestamp"):
            causes = [
                {"reason": "NamespaceTerminating", "message": f"namespace {target.namespace} is being terminated", "field": "metadata.namespace"}
            ]
            words = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            raise forbid(target.resource.qualified, name, words, causes)


def _key(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Give what lists are sorted by."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
