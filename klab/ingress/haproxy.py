"""haproxy.cfg: a routing model as HAProxy reads it (2.4 and later), in the shape of jcmoraisjr/haproxy-ingress' template of 2018."""

from __future__ import annotations

import re

from klab.ingress.rules import ANY, Host, Route, Routing
from klab.ingress.template import CERTIFICATES, Controller, render

MASTER_SOCKET = "haproxy-master.sock"
"""The master process' socket in the container's /run."""

CONTROLLER = Controller(
    name="haproxy",
    class_controller="haproxy-ingress.github.io/controller",
    directory="/etc/haproxy",
    command=("haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg", "-S", f"/run/{MASTER_SOCKET}"),
    health_port=10253,
    image="haproxy:2.6",
)

_PLAIN = re.compile(r"[A-Za-z0-9/._~%:@+-]*")


def render_files(routing: Routing, *, ipv6: bool = False) -> dict[str, str]:
    """Give the files of the directory by name: haproxy.cfg and, with certificates, their list and themselves."""
    hosts = [{"name": host.name, "acl": _acl(host.name), "pattern": _pattern(host.name), "routes": _routes(host)} for host in routing.hosts]
    default_first = sorted(routing.certificates, key=lambda one: bool(one.hosts))
    text = render(
        "haproxy.cfg.j2",
        backends=routing.backends,
        hosts=hosts,
        certificates=routing.certificates,
        strict=" strict-sni" if default_first and default_first[0].hosts else "",
        directory=CONTROLLER.directory,
        health_port=CONTROLLER.health_port,
        ipv6=ipv6,
    )
    files = {"haproxy.cfg": text}
    if routing.certificates:
        lines = [" ".join((f"{CONTROLLER.directory}/{CERTIFICATES}/{one.name}.pem", *one.hosts)) for one in default_first]
        files |= {"crt-list": "".join(f"{line}\n" for line in lines)}
        files |= {f"{CERTIFICATES}/{one.name}.pem": one.pem for one in routing.certificates}
    return files


def _acl(host: str) -> str:
    return f"wildcard-{host.removeprefix('*.')}" if host.startswith("*.") else f"host-{host}"


def _pattern(host: str) -> str:
    if host.startswith("*."):
        suffix = host[1:].replace(".", "[.]")
        return f"-m reg -i ^[^.]+{suffix}$"
    return f"-m str -i {host}"


def _routes(host: Host) -> list[dict[str, str]]:
    return [{"backend": route.backend, "condition": _condition(host.name, route)} for route in host.routes]


def _condition(host: str, route: Route) -> str:
    conditions = [] if host == ANY else [_acl(host)]
    if route.exact:
        conditions.append(f"{{ var(txn.path) -m str {_quote(route.path)} }}")
    elif route.path:
        conditions.append(f"{{ var(txn.elements) -m beg {_quote(route.path + '/')} }}")
    return f" if {' '.join(conditions)}" if conditions else ""


def _quote(path: str) -> str:
    """Quote what is special to HAProxy's line parser, only where there is something."""
    return path if _PLAIN.fullmatch(path) else "'" + path.replace("'", r"'\''") + "'"
