"""HTTP in, verbs out: the aiohttp application, and how it is served.

Every request is one transaction of the store, made between two awaits; nobody sees half of it. TLS, tokens and upgraded connections (exec) come in
here: `serve` takes any listening sockets, also such as were opened in a node's network namespace.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from klab.apiserver import bulk, openapi, patch, watch
from klab.apiserver.decode import fill_in, parse_body, parse_json
from klab.apiserver.discovery import make_document
from klab.apiserver.options import merge_delete_options, parse_delete_options, parse_log_options, parse_write_options
from klab.apiserver.rest import Hooks, Rest
from klab.apiserver.status import Status, StatusError, make_status, make_success, refuse, to_status
from klab.apiserver.subresources import subresources_of, view_of
from klab.apiserver.target import Target, parse_dry_run, parse_list_options, parse_path, parse_revision
from klab.errors import KlabError

if TYPE_CHECKING:
    from pathlib import Path

    from klab.controlplane.store import Store

logger = logging.getLogger(__name__)

MAX_BODY = 256 << 20
"""Bytes of a request at most: ten thousand manifests in bulk."""

WATCH_SECONDS = (1800, 3600)
"""A watch without timeoutSeconds ends after a random time between these (--min-request-timeout)."""

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")

APPLY_PATH = "/klab/v1/apply"

NO_RESOURCE = "the server could not find the requested resource"
NO_METHOD = "the server does not allow this method on the requested resource"

SHUTDOWN_SECONDS = 2.0
"""So long a request may still run when the server ends."""


def make_app(store: Store, hooks: Hooks | None = None) -> web.Application:
    """Give the application that serves a store."""
    server = _Server(store, hooks or Hooks())
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", server.handle)
    app.on_shutdown.append(server.shut_down)
    return app


async def serve(app: web.Application, sockets: Sequence[socket.socket]) -> web.AppRunner:
    """Serve an application on listening sockets; `await runner.cleanup()` ends it, watches first."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    for listening in sockets:
        await web.SockSite(runner, listening).start()
    return runner


def bind_unix(path: Path) -> socket.socket:
    """Give a listening unix socket of mode 0600 at a path; a dead one there is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listening.fileno(), 0o600)  # before bind: there is no moment in which others may connect
    listening.bind(str(path))
    listening.listen(128)
    return listening


class _Server:
    """The handlers of one store."""

    def __init__(self, store: Store, hooks: Hooks) -> None:
        self._rest = Rest(store, hooks)
        self._store = store
        self._hooks = hooks
        self._notifier = watch.Notifier(store)

    async def shut_down(self, _app: web.Application) -> None:
        """Let all watches end."""
        self._notifier.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; what goes wrong becomes a Status."""
        target = parse_path(request.rel_url.raw_path, self._hooks.registry)
        try:
            return await self._route(request, target)
        except KlabError as error:
            status = _about(error, target)
        except web.HTTPRequestEntityTooLarge:
            status = make_status("RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
        except Exception as error:
            if request.transport is None or isinstance(error, ConnectionError):
                raise  # the client is gone: there is no one to answer
            logger.exception("%s %s failed", request.method, request.path_qs)
            status = make_status("InternalError", f"Internal error occurred: {type(error).__name__}; the log of the lab's control plane says more")
        return _answer(status, status["code"])

    async def _route(self, request: web.Request, target: Target | None) -> web.StreamResponse:
        path, method = request.path, request.method
        if path in HEALTH_PATHS:
            return web.Response(text="ok")
        if path == APPLY_PATH and method == "POST":
            return await self._apply_all(request)
        if (extension := self._hooks.extensions.get((method, path))) is not None:
            return _answer(await extension())
        if target is None:
            return self._describe(request)
        if target.subresource and target.subresource not in subresources_of(target.resource):
            raise refuse("NotFound", NO_RESOURCE)
        if method == "GET":
            return await self._read(request, target)
        body = await request.read()
        with self._store.batch(dry_run=parse_dry_run(request.query.getall("dryRun", []))):
            return self._write(request, target, body)

    def _describe(self, request: web.Request) -> web.Response:
        """Answer what is asked about the server itself: discovery and OpenAPI."""
        path, registry = request.path.rstrip("/"), self._hooks.registry
        if path == "/openapi/v2" and "protobuf" in request.headers.get("Accept", ""):
            return web.Response(body=openapi.V2_EMPTY, content_type=openapi.V2_PROTOBUF)
        if path == "/openapi/v3":
            document: Mapping[str, Any] | None = openapi.make_index(registry)
        elif path.startswith("/openapi/v3/"):
            document = openapi.make_document(path.removeprefix("/openapi/v3/"), registry)
        else:
            document = make_document(path, registry)
        if document is None:
            raise refuse("NotFound", NO_RESOURCE)
        if request.method != "GET":
            raise refuse("MethodNotAllowed", NO_METHOD)
        return _answer(document)

    def _write(self, request: web.Request, target: Target, body: bytes) -> web.Response:
        match request.method:
            case "POST" if target.subresource in {"binding", "eviction"}:
                return self._act(target, parse_body(body, request.content_type))
            case "POST" if target.name is None and (target.namespace is not None) == target.resource.namespaced:
                return self._create(request, target, body)
            case "PUT" if target.name is not None and "update" in _verbs(target):
                return self._update(request, target, body)
            case "PATCH" if target.name is not None and "patch" in _verbs(target):
                return self._patch(request, target, body)
            case "DELETE" if target.subresource is None:
                return self._delete(request, target, body)
        raise refuse("MethodNotAllowed", NO_METHOD)

    # reading

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.subresource == "log":
            return await self._log(request, target)
        if "get" not in _verbs(target):
            raise refuse("MethodNotAllowed", NO_METHOD)
        if target.name is not None:
            self._rest.check_revision(parse_revision(request.query.get("resourceVersion", "")))
            return _answer(self._rest.get(target))
        options = parse_list_options(request.query, target)
        if not options.watch:
            return _answer(self._rest.list(target, options))
        seconds = options.timeout_seconds or random.uniform(*WATCH_SECONDS)  # noqa: S311  # spreads reconnections
        response = await _start(request, "application/json")
        lines = watch.watch(self._store, self._notifier, target, options, seconds)
        async with aclosing(lines):
            async for some in lines:
                await response.write(watch.render_lines(some))
        await response.write_eof()
        return response

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self._rest.get(target)
        options = parse_log_options(request.query, pod)
        if self._hooks.logs is None:
            raise refuse("ServiceUnavailable", "no kubelet serves logs; start the lab's kubelets")
        pieces = self._hooks.logs(pod, options)
        first = await anext(pieces, b"")  # before the answer starts: a failure is still a Status
        response = await _start(request, "text/plain")
        if first:
            await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
        return response

    # writing

    def _create(self, request: web.Request, target: Target, body: bytes) -> web.Response:
        options = parse_write_options(request.query)
        obj = fill_in(parse_body(body, request.content_type), target)
        try:
            made = self._rest.create(target, obj, options)
        except KlabError as error:
            raise StatusError(_about(error, replace(target, name=obj["metadata"].get("name")))) from error
        return _answer(made, 201, options.warnings)

    def _update(self, request: web.Request, target: Target, body: bytes) -> web.Response:
        options = parse_write_options(request.query)
        found = self._rest.update(target, fill_in(parse_body(body, request.content_type), view_of(target)), options)
        return _answer(found, warnings=options.warnings)

    def _patch(self, request: web.Request, target: Target, body: bytes) -> web.Response:
        options = parse_write_options(request.query)
        content_type = request.content_type
        patch.check_type(content_type, target)
        if content_type == patch.APPLY:
            found, created = self._rest.apply(target, fill_in(parse_body(body, content_type), target), options)
            return _answer(found, 201 if created else 200, options.warnings)
        found = self._rest.patch(target, content_type, parse_json(body), options)
        return _answer(found, warnings=options.warnings)

    def _delete(self, request: web.Request, target: Target, body: bytes) -> web.Response:
        options = merge_delete_options(parse_body(body, request.content_type) if body else {}, request.query)
        if target.name is not None:
            return _answer(self._rest.delete(target, options))
        return _answer(self._rest.delete_collection(target, parse_list_options(request.query, target), options))

    def _act(self, target: Target, obj: dict[str, Any]) -> web.Response:
        if target.name is None:
            target = replace(target, name=str((obj.get("metadata") or {}).get("name", "")))
        if target.subresource == "binding":
            return _answer(self._rest.bind(target, obj), 201)
        options = parse_delete_options(obj.get("deleteOptions") or {})
        self._rest.delete(replace(target, subresource=None), options)
        return _answer({**make_success({}), "code": 201}, 201)

    async def _apply_all(self, request: web.Request) -> web.Response:
        entries = bulk.parse_entries(parse_json(await request.read()))
        with self._store.batch(dry_run=parse_dry_run(request.query.getall("dryRun", []))):
            results = bulk.apply_all(self._rest, entries)
        return _answer(bulk.render_results(results, full=request.query.get("view") == "full"))


def _verbs(target: Target) -> tuple[str, ...]:
    """Give the verbs that a subresource takes; an object itself takes all."""
    return subresources_of(target.resource)[target.subresource] if target.subresource else ("get", "update", "patch")


def _about(error: KlabError, target: Target | None) -> Status:
    if target is None:
        return to_status(error)
    resource = target.resource
    return to_status(error, group=resource.group, kind=resource.kind, plural=resource.plural, name=target.name or "")


async def _start(request: web.Request, content_type: str) -> web.StreamResponse:
    """Send the head of an answer that comes in pieces."""
    response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _answer(body: Mapping[str, Any], code: int = 200, warnings: Sequence[str] = ()) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    response = web.Response(body=text.encode(), status=code, content_type="application/json")
    for warning in warnings:
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response
