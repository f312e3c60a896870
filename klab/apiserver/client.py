"""The CLI's way to a lab: a small synchronous client of the Kubernetes API over the lab's unix socket.

It imports the standard library only and opens one connection for each request, so a command starts at once. What the server refuses comes back as
the error of klab.errors that it was there.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from klab.apiserver.status import to_error
from klab.errors import KlabError

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from pathlib import Path

    from klab.api.resources import Resource

PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
"""kubectl's words for the content types of patches."""

REQUEST_SECONDS = 60.0
"""An answer that takes longer than this will not come; watches and logs that are followed wait for ever."""


class Manifest(Protocol):
    """What is applied: a klab.api.load.Document."""

    @property
    def where(self) -> str:
        """File and document, for the faults."""

    @property
    def obj(self) -> Mapping[str, Any]:
        """The object."""


class Client:
    """A lab's API. Every method raises what klab.apiserver.status.to_error makes of a refusal, and KlabError where nobody answers."""

    def __init__(self, path: Path) -> None:
        """Take the path of the lab's api.sock."""
        self._path = path

    def get(self, resource: Resource, namespace: str | None, name: str, subresource: str = "") -> dict[str, Any]:
        """Give one object (namespace None: cluster-scoped), or a subresource of it."""
        return self._json("GET", _object_path(resource, namespace, name, subresource))

    def list(self, resource: Resource, namespace: str | None = None, selector: str = "", fields: str = "") -> dict[str, Any]:
        """Give the List (`items`, `metadata.resourceVersion`) of a namespace, or of all; `selector` and `fields` as -l and --field-selector."""
        return self._json("GET", resource.path(namespace), {"labelSelector": selector, "fieldSelector": fields})

    def create(self, resource: Resource, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object in the namespace that it names."""
        return self._json("POST", resource.path(_namespace_of(resource, obj)), _strict(dry_run), obj)

    def update(self, resource: Resource, obj: Mapping[str, Any], subresource: str = "") -> dict[str, Any]:
        """Put an object in the place of the stored one; its resourceVersion must be the stored one's, if it has one."""
        path = _object_path(resource, _namespace_of(resource, obj), obj["metadata"]["name"], subresource)
        return self._json("PUT", path, _strict(dry_run=False), obj)

    def patch(  # noqa: PLR0913  # the parts of the path
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        kind: str = "strategic",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Change an object; `kind` is strategic, merge or json as kubectl patch's --type."""
        path = _object_path(resource, namespace, name, subresource)
        return self._json("PATCH", path, _strict(dry_run), patch, PATCH_TYPES[kind])

    def delete(
        self, resource: Resource, namespace: str | None, name: str, grace: int | None = None, propagation: str = "Background"
    ) -> dict[str, Any]:
        """Delete an object, leaving it `grace` seconds (None: its own); gives its last state, or a Status."""
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        return self._json("DELETE", _object_path(resource, namespace, name), {}, options)

    def apply(self, manifests: Sequence[Manifest], dry_run: bool = False) -> Sequence[tuple[str, dict[str, Any]]]:
        """Do `kubectl apply` of all manifests, or of none if one is invalid (InvalidManifestError has the faults of all).

        Gives for each what became of it (created, configured, unchanged) and the object.
        """
        found = self._apply([(manifest.where, manifest.obj) for manifest in manifests], "full", dry_run=dry_run)
        return [(item["result"], item["object"]) for item in found]

    def apply_all(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[dict[str, Any]]:
        """Do the same for (where, object) pairs, and give for each just result, apiVersion, kind, namespace, name, uid and resourceVersion."""
        return self._apply(entries, "summary", dry_run=False)

    def watch(  # noqa: PLR0913, PLR0917  # ListOptions
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout: int | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give (ADDED | MODIFIED | DELETED, object) as it happens, first what is there unless resource_version says from where on.

        It ends after `timeout` seconds, or when the lab goes down; KlabError where the past is forgotten (`too old resource version`), or where
        the control plane is killed.
        """
        options = {"watch": "true", "labelSelector": selector, "fieldSelector": fields, "resourceVersion": resource_version}
        if timeout is not None:
            options["timeoutSeconds"] = str(timeout)
        with self._ask("GET", resource.path(namespace), options, wait=None) as response:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise to_error(event["object"])
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]

    def logs(self, namespace: str, pod: str, options: Mapping[str, str | int | bool]) -> Iterator[bytes]:
        """Give a container's log piece by piece; options are those of PodLogOptions: container, follow, previous, tailLines, timestamps ..."""
        query = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        with self._ask("GET", path, query, wait=None) as response:
            while piece := response.read1(1 << 16):
                yield piece

    def raw(self, path: str) -> bytes:
        """Give the body of a GET, as `kubectl get --raw` shows it."""
        with self._ask("GET", path, {}) as response:
            return response.read()

    def call(self, method: str, path: str) -> dict[str, Any]:
        """Call one of klab's own paths (`/klab/v1/…`) and give the answer."""
        return self._json(method, path)

    def repair(self) -> Sequence[str]:
        """Have the control plane bring back what has gone from the kernel; give what it did, as commands."""
        lines: Sequence[str] = self.call("POST", "/klab/v1/repair")["lines"]
        return lines

    def version(self) -> dict[str, str]:
        """Give the version of the lab's API."""
        return self._json("GET", "/version")

    # inside

    def _apply(self, entries: Sequence[tuple[str, Mapping[str, Any]]], view: str, *, dry_run: bool) -> Sequence[dict[str, Any]]:
        items = [{"where": where, "object": obj} for where, obj in entries]
        found: Sequence[dict[str, Any]] = self._json("POST", "/klab/v1/apply", {**_dry(dry_run), "view": view}, {"items": items})["items"]
        return found

    def _json(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        with self._ask(method, path, query or {}, body, content_type) as response:
            found: dict[str, Any] = json.loads(response.read())
        return found

    @contextmanager
    def _ask(  # noqa: PLR0913  # the parts of a request
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        content_type: str = "application/json",
        *,
        wait: float | None = REQUEST_SECONDS,
    ) -> Iterator[HTTPResponse]:
        """Send a request; give the answer, whose body is still to be read, or raise what the server says."""
        from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  # 20 ms that `klab --help` does without

        chosen = urlencode({name: value for name, value in query.items() if value})
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Connection": "close", **({"Content-Type": content_type} if data else {})}
        try:
            with closing(HTTPConnection("localhost")) as connection:
                connection.sock = _connect(self._path, wait)
                connection.request(method, f"{path}?{chosen}" if chosen else path, data, headers)
                with connection.getresponse() as response:
                    if response.status >= 400:  # noqa: PLR2004  # HTTP
                        raise to_error(_parse_status(response.read(), response.status))
                    yield response
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise KlabError(f"the lab's control plane does not answer on {self._path} ({reason}); `klab up FILE` starts it again") from error


def _connect(path: Path, wait: float | None) -> socket.socket:
    """Open the unix socket; `wait` is the seconds that each read may take, None: for ever."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(wait)
    try:
        connected.connect(str(path))
    except BaseException:
        connected.close()
        raise
    return connected


def _parse_status(text: bytes, code: int) -> Mapping[str, Any]:
    """Read a Status; an answer that is none (a proxy's) becomes one."""
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    return {"message": f"the lab answered {code}: {text.decode(errors='replace').strip() or '(nothing)'}"}


def _object_path(resource: Resource, namespace: str | None, name: str, subresource: str = "") -> str:
    path = f"{resource.path(namespace)}/{quote(name, safe='')}"
    return f"{path}/{subresource}" if subresource else path


def _namespace_of(resource: Resource, obj: Mapping[str, Any]) -> str | None:
    return (obj.get("metadata", {}).get("namespace") or "default") if resource.namespaced else None


def _strict(dry_run: bool) -> dict[str, str]:
    return {"fieldValidation": "Strict", **_dry(dry_run)}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
