"""Which kinds there are: group, version, kind, plural, short names, as the API server's discovery tells them.

`of("v1", "Pod")` and `by_word("po")` search the kinds that klab knows from the start (`BUILTIN`). A lab that accepts
CustomResourceDefinitions holds a registry of its own: `BUILTIN.including(...)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from klab.api.nearest import did_you_mean
from klab.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in one version; `group` is "" for core, `categories` names the collections ("all") that it is listed in."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Hash the plural alone: resources are keys of every look-up in the store, and a string remembers its hash."""
        return hash(self.plural)

    @property
    def api_version(self) -> str:
        """Give apiVersion as manifests write it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Give the plural with its group, as error messages and `kubectl get -o name` have it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None) -> str:
        """Give the REST path of the collection: `/api/v1/namespaces/default/pods`, or that over all namespaces without one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced and namespace else f"{root}/{self.plural}"


class Registry:
    """An immutable set of resources, found by apiVersion and kind, by path, or by the words that people type."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Index `resources`; of several versions of one kind the first is the preferred one."""
        self._resources = tuple(resources)
        self._by_kind = {(resource.api_version, resource.kind): resource for resource in self._resources}
        self._by_plural = {(resource.api_version, resource.plural): resource for resource in self._resources}
        self._by_word: dict[str, Resource] = {}
        for resource in self._resources:
            for word in (resource.plural, resource.singular, resource.kind.lower(), *resource.short_names):
                self._by_word.setdefault(word, resource)

    def __iter__(self) -> Iterator[Resource]:
        """Walk over all resources."""
        return iter(self._resources)

    def including(self, resources: Iterable[Resource]) -> Registry:
        """Give a registry with `resources` too; those of the same apiVersion and kind are replaced."""
        added = tuple(resources)
        replaced = {(resource.api_version, resource.kind) for resource in added}
        return Registry((*(resource for resource in self._resources if (resource.api_version, resource.kind) not in replaced), *added))

    def find(self, api_version: str, kind: str) -> Resource | None:
        """Find the resource of `apiVersion` and `kind` as a manifest has them."""
        return self._by_kind.get((api_version, kind))

    def of(self, api_version: str, kind: str) -> Resource:
        """Find the resource of `apiVersion` and `kind`; NotFoundError in kubectl's words, with what was probably meant."""
        resource = self.find(api_version, kind)
        if resource is None:
            raise NotFoundError(f'no matches for kind "{kind}" in version "{api_version}"{self._meant(kind)}')
        return resource

    def by_path(self, api_version: str, plural: str) -> Resource | None:
        """Find the resource that a REST path names."""
        return self._by_plural.get((api_version, plural))

    def by_word(self, word: str) -> Resource:
        """Find the resource that a person names: `po`, `pods`, `Pod`, `deployments.apps`, `deploy.v1.apps`; NotFoundError with the nearest one."""
        name, _, group = word.lower().partition(".")
        resource = self._by_word.get(name) if not group else self._in_group(name, group)
        if resource is None:
            raise NotFoundError(f'the server doesn\'t have a resource type "{word}"{did_you_mean(word, self._by_word)}')
        return resource

    def in_category(self, category: str) -> tuple[Resource, ...]:
        """Give the resources of a category, as `get all` lists them."""
        return tuple(resource for resource in self._resources if category in resource.categories)

    def _in_group(self, word: str, group: str) -> Resource | None:
        for resource in self._resources:
            if word in (resource.plural, resource.singular, *resource.short_names) and (
                (resource.group and resource.group.startswith(group)) or f"{resource.version}.{resource.group}".rstrip(".") == group.rstrip(".")
            ):
                return resource
        return None

    def _meant(self, kind: str) -> str:
        elsewhere = [resource.api_version for resource in self._resources if resource.kind == kind]
        if elsewhere:
            return f"; {kind} is in {' and '.join(elsewhere)}"
        return did_you_mean(kind, (resource.kind for resource in self._resources))


_ALL = ("all",)

BUILTIN = Registry(
    (
        Resource("", "v1", "Pod", "pods", "pod", ("po",), categories=_ALL),
        Resource("", "v1", "ReplicationController", "replicationcontrollers", "replicationcontroller", ("rc",), categories=_ALL),
        Resource("", "v1", "Service", "services", "service", ("svc",), categories=_ALL),
        Resource("apps", "v1", "DaemonSet", "daemonsets", "daemonset", ("ds",), categories=_ALL),
        Resource("apps", "v1", "Deployment", "deployments", "deployment", ("deploy",), categories=_ALL),
        Resource("apps", "v1", "ReplicaSet", "replicasets", "replicaset", ("rs",), categories=_ALL),
        Resource("apps", "v1", "StatefulSet", "statefulsets", "statefulset", ("sts",), categories=_ALL),
        Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", ("hpa",), categories=_ALL),
        Resource("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", ("hpa",), categories=_ALL),
        Resource("batch", "v1", "CronJob", "cronjobs", "cronjob", ("cj",), categories=_ALL),
        Resource("batch", "v1", "Job", "jobs", "job", categories=_ALL),
        Resource("", "v1", "ConfigMap", "configmaps", "configmap", ("cm",)),
        Resource("", "v1", "Endpoints", "endpoints", "endpoints", ("ep",)),
        Resource("", "v1", "Event", "events", "event", ("ev",)),
        Resource("", "v1", "LimitRange", "limitranges", "limitrange", ("limits",)),
        Resource("", "v1", "Namespace", "namespaces", "namespace", ("ns",), namespaced=False),
        Resource("", "v1", "Node", "nodes", "node", ("no",), namespaced=False),
        Resource("", "v1", "PersistentVolume", "persistentvolumes", "persistentvolume", ("pv",), namespaced=False),
        Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim", ("pvc",)),
        Resource("", "v1", "ResourceQuota", "resourcequotas", "resourcequota", ("quota",)),
        Resource("", "v1", "Secret", "secrets", "secret"),
        Resource("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", ("sa",)),
        Resource("apps", "v1", "ControllerRevision", "controllerrevisions", "controllerrevision"),
        Resource("networking.k8s.io", "v1", "Ingress", "ingresses", "ingress", ("ing",)),
        Resource("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "ingressclass", namespaced=False),
        Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "networkpolicy", ("netpol",)),
        Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice"),
        Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget", ("pdb",)),
        Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "clusterrole", namespaced=False),
        Resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", namespaced=False),
        Resource("rbac.authorization.k8s.io", "v1", "Role", "roles", "role"),
        Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "rolebinding"),
        Resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", "storageclass", ("sc",), namespaced=False),
        Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "priorityclass", ("pc",), namespaced=False),
        Resource("coordination.k8s.io", "v1", "Lease", "leases", "lease"),
        Resource(
            "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition",
            ("crd", "crds"), namespaced=False, categories=("api-extensions",),
        ),
        Resource("events.k8s.io", "v1", "Event", "events", "event", ("ev",)),
        Resource("klab.dev", "v1", "Lab", "labs", "lab", namespaced=False),
    )
)  # fmt: skip

of = BUILTIN.of
by_word = BUILTIN.by_word
