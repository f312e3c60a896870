"""nginx.conf: a routing model as nginx reads it (1.19.4 and later), in the shape of kubernetes/ingress-nginx' template."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

from klab.ingress.rules import ANY, Host, Route, Routing
from klab.ingress.template import CERTIFICATES, Controller, render

CONTROLLER = Controller(
    name="nginx",
    class_controller="k8s.io/ingress-nginx",
    directory="/etc/nginx",
    command=("nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"),
    health_port=10254,
    image="registry.k8s.io/ingress-nginx/controller:v1.12.0",
)
RELOAD = ("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")

_NOT_FOUND = 'return 404 "default backend - 404"'
_UNAVAILABLE = "return 503"


def render_files(routing: Routing, *, ipv6: bool = False) -> dict[str, str]:
    """Give the files of the directory by name: nginx.conf and the certificates."""
    served = [backend for backend in routing.backends if backend.servers]  # nginx takes no upstream without a server
    ready = frozenset(backend.name for backend in served)
    shown = {host: one.name for one in routing.certificates for host in one.hosts or (ANY,)}
    text = render(
        "nginx.conf.j2",
        backends=served,
        hosts=[_server(host, ready, shown) for host in routing.hosts],
        certificates=routing.certificates,
        health_port=CONTROLLER.health_port,
        ipv6=ipv6,
    )
    return {"nginx.conf": text} | {f"{CERTIFICATES}/{one.name}.pem": one.pem for one in routing.certificates}


def _server(host: Host, ready: Collection[str], shown: Mapping[str, str]) -> dict[str, object]:
    certificate = shown.get(host.name) or shown.get(f"*.{host.name.partition('.')[2]}") or shown.get(ANY)
    return {
        "server_name": _server_name(host.name),
        "default": " default_server" if host.name == ANY else "",
        "certificate": f"{CONTROLLER.directory}/{CERTIFICATES}/{certificate}.pem" if certificate else "",
        "locations": list(_locations(host.routes, ready)),
    }


def _server_name(host: str) -> str:
    if host == ANY:
        return "_"
    if host.startswith("*."):
        suffix = host[1:].replace(".", "[.]")
        return f'"~^[^.]+{suffix}$"'
    return host


def _locations(routes: Collection[Route], ready: Collection[str]) -> Iterator[dict[str, str]]:
    """Give the locations of a server. A prefix takes two: the path itself, and what is below it; an exact one for the same path comes first."""
    given: set[str] = set()
    for route in (*routes, *_bare(routes)):
        matches = [f"= {_quote(route.path)}"] if route.exact else [f"= {_quote(route.path)}", _quote(f"{route.path}/")] if route.path else ["/"]
        action = f"proxy_pass http://{route.backend}" if route.backend in ready else _UNAVAILABLE if route.backend else _NOT_FOUND
        for match in matches:
            if match not in given:
                given.add(match)
                yield {"match": match, "backend": route.backend, "action": action}
    if "/" not in given:
        yield {"match": "/", "backend": "", "action": _NOT_FOUND}


def _bare(routes: Collection[Route]) -> Iterator[Route]:
    """Give routes for the paths that nginx would by itself redirect to an exact route with a slash at the end."""
    for path in (route.path[:-1] for route in routes if route.exact and len(route.path) > 1 and route.path.endswith("/")):
        bare = Route(path, exact=True, backend="")
        yield replace(bare, backend=next((route.backend for route in routes if route.covers(bare)), ""))


def _quote(path: str) -> str:
    """Quote a path as nginx compares it: percent-decoded."""
    decoded = unquote(path)
    plain = decoded if decoded.isprintable() else path
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
