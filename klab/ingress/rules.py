"""From Ingress objects to a routing model: which host and path lead to which endpoints, and which certificates stand in front.

The rules are those of the Ingress API (https://kubernetes.io/docs/concepts/services-networking/ingress/): Exact before Prefix, the longest path
first, prefixes by whole elements, a wildcard for exactly one label. ImplementationSpecific is Prefix here. A rule's host counts before its path: an
exact host before a wildcard before none; what no rule of a host takes goes on to the next of these, in the end to a default backend. Where two
Ingresses want the same, the older one has it. A part of an Ingress that cannot be served becomes a problem, and the rest goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from klab.api.endpointslice import EndpointSlice, port_endpoints
from klab.api.service import EXTERNAL_NAME, Service, ServicePort
from klab.errors import KlabError
from klab.ingress.objects import EXACT, BackendRef, Ingress, IngressClass

ANY = ""
"""The host of rules without one."""

BackendKey = tuple[str, str, str]  # namespace, Service, port as it is written


@dataclass(frozen=True, slots=True)
class Backend:
    """One port of a Service; `servers` are its ready endpoints as "ip:port"."""

    name: str
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A path and the name of the backend behind it; a prefix has no slash at its end, so that of everything is ""."""

    path: str
    exact: bool
    backend: str

    def covers(self, other: Route) -> bool:
        """Tell whether nothing is left for `other` where this route comes first."""
        if self.exact:
            return other.exact and self.path == other.path
        return f"{other.path}/".startswith(f"{self.path}/")


@dataclass(frozen=True, slots=True)
class Host:
    """A host (exact, "*.domain" or ANY) and all of its routes, those of wider hosts too, in the order in which they are to be tried."""

    name: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key in PEM, shown to clients that ask (SNI) for one of `hosts`; () is for whoever asks for no other."""

    name: str
    hosts: tuple[str, ...]
    pem: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of an Ingress that is not served, and why: it becomes an event."""

    namespace: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Routing:
    """All that a controller serves. `hosts` has exact names first, then wildcards, ANY last; what no route takes is answered with 404."""

    backends: tuple[Backend, ...] = ()
    hosts: tuple[Host, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where the objects that an Ingress refers to are found, by namespace and name; `certificate` gives PEM text or raises KlabError."""

    service: Callable[[str, str], Service | None]
    slices: Callable[[str, str], Iterable[EndpointSlice]]
    certificate: Callable[[str, str], str]


def select(ingresses: Iterable[Ingress], classes: Iterable[IngressClass], controller: str) -> list[Ingress]:
    """Give the Ingresses whose class belongs to a controller."""
    names = {one.meta.name for one in classes if one.controller == controller}
    return [ingress for ingress in ingresses if ingress.class_name in names]


def calc_routing(ingresses: Iterable[Ingress], lookup: Lookup) -> Routing:
    """Work out what these Ingresses ask for."""
    builder = _Builder(lookup)
    ordered = sorted(ingresses, key=lambda one: (one.meta.creation_timestamp, one.meta.namespace, one.meta.name))
    for ingress in ordered:
        builder.add(ingress)
    return builder.build()


@dataclass(slots=True)
class _Builder:
    lookup: Lookup
    routes: dict[str, dict[tuple[str, bool], tuple[BackendKey, str]]] = field(default_factory=dict)  # host -> (path, exact) -> backend, owner
    defaults: dict[str, BackendKey] = field(default_factory=dict)  # host -> the default backend of the Ingress that it is in
    backends: dict[BackendKey, tuple[str, ...]] = field(default_factory=dict)
    certificates: dict[tuple[str, str], tuple[str, list[str]]] = field(default_factory=dict)  # Secret -> PEM, hosts
    secured: dict[str, tuple[str, str]] = field(default_factory=dict)  # host -> Secret
    problems: list[Problem] = field(default_factory=list)

    def add(self, ingress: Ingress) -> None:
        default = self._backend(ingress, ingress.default, "spec.defaultBackend") if ingress.default else None
        if default and not ingress.rules:
            self.defaults.setdefault(ANY, default)
        for number, rule in enumerate(ingress.rules):
            table = self.routes.setdefault(rule.host, {})
            for index, path in enumerate(rule.paths):
                where = f"spec.rules[{number}].http.paths[{index}]"
                if not _is_request_path(path.path):
                    self._tell(ingress, "InvalidPath", f"{where}: no request has the path {path.path!r}; percent-encode what is not printable ASCII")
                elif key := self._backend(ingress, path.backend, where):
                    exact = path.path_type == EXACT
                    place = (path.path if exact else path.path.rstrip("/"), exact)
                    owner = f"{ingress.meta.namespace}/{ingress.meta.name}"
                    if table.setdefault(place, (key, owner))[0] != key:
                        told = (
                            f"{where}: {rule.host or '*'}{path.path or '/'} is {table[place][1]}'s already, which is older; this path is not served"
                        )
                        self._tell(ingress, "Conflict", told)
            if default:
                self.defaults.setdefault(rule.host, default)
        for number, tls in enumerate(ingress.tls):
            self._secure(ingress, f"spec.tls[{number}]", tls.hosts, tls.secret)

    def build(self) -> Routing:
        names = _name_backends(self.backends)
        hosts = sorted({*self.routes, *self.secured, ANY}, key=_specificity)
        return Routing(
            backends=tuple(Backend(names[key], self.backends[key]) for key in sorted(self.backends)),
            hosts=tuple(Host(host, self._flatten(host, names)) for host in hosts),
            certificates=tuple(
                Certificate(f"{namespace}_{name}", () if ANY in listed else tuple(listed), pem)
                for (namespace, name), (pem, listed) in self.certificates.items()
            ),
            problems=tuple(self.problems),
        )

    def _flatten(self, host: str, names: dict[BackendKey, str]) -> tuple[Route, ...]:
        """Give a host's routes, then those of wider hosts, then the default backends', each as far as something is left for it."""
        wider = list(dict.fromkeys((host, _wildcard_of(host), ANY)))
        layers = [
            sorted((Route(path, exact, names[key]) for (path, exact), (key, _) in self.routes.get(one, {}).items()), key=_order) for one in wider
        ]
        fallbacks = [self.defaults[one] for one in wider if one in self.defaults] or list(self.defaults.values())[:1]
        found: list[Route] = []
        for route in (*(route for layer in layers for route in layer), *(Route("", exact=False, backend=names[key]) for key in fallbacks)):
            if not any(one.covers(route) for one in found):
                found.append(route)
        return tuple(found)

    def _backend(self, ingress: Ingress, ref: BackendRef, where: str) -> BackendKey | None:
        """Note the backend of a path; one without endpoints answers 503, a kind of backend that is none to HTTP proxies is left out."""
        namespace = ingress.meta.namespace
        if ref.resource:
            self._tell(ingress, "InvalidBackend", f"{where}: {ref.resource} is no Service, and others are not served; name a Service")
            return None
        key = (namespace, ref.service, str(ref.port))
        if key not in self.backends:
            self.backends[key] = ()
            service = self.lookup.service(namespace, ref.service)
            port = _find_port(service, ref.port) if service else None
            if service and port:
                self.backends[key] = self._endpoints(service, port)
        if fault := self._fault(namespace, ref):
            self._tell(ingress, "InvalidBackend", f"{where}: {fault}; requests get 503 until then")
        return key

    def _fault(self, namespace: str, ref: BackendRef) -> str:
        """Say what is missing for a Service to be served."""
        service = self.lookup.service(namespace, ref.service)
        if service is None:
            return f'service "{namespace}/{ref.service}" not found; create it'
        if service.type == EXTERNAL_NAME:
            return f'service "{namespace}/{ref.service}" is an ExternalName, which has no endpoints; name one that selects pods'
        if _find_port(service, ref.port) is None:
            known = ", ".join(f"{port.port}{f' ({port.name})' if port.name else ''}" for port in service.ports if port.protocol == "TCP")
            return f'service "{namespace}/{ref.service}" has no TCP port {ref.port!r}; it has {known or "none"}'
        return ""

    def _endpoints(self, service: Service, port: ServicePort) -> tuple[str, ...]:
        slices = list(self.lookup.slices(service.namespace, service.name))
        endpoints = port_endpoints(slices, (service.ip_families or ("IPv4",))[0]).get((port.name, "TCP"), ())
        return tuple(dict.fromkeys(str(endpoint) for endpoint in endpoints if endpoint.ready))

    def _secure(self, ingress: Ingress, where: str, hosts: Sequence[str], secret: str) -> None:
        if not secret:
            self._tell(ingress, "InvalidTLS", f"{where}: TLS is ended here, which takes a certificate; name its Secret in secretName")
            return
        key = (ingress.meta.namespace, secret)
        try:
            pem = self.lookup.certificate(*key)
        except KlabError as error:
            self._tell(ingress, "InvalidTLS", f"{where}: {error}")
            return
        for host in hosts or (ANY,):
            if self.secured.setdefault(host, key) != key:
                taken = "/".join(self.secured[host])
                self._tell(
                    ingress, "Conflict", f"{where}: {host or 'the default'} has the certificate of Secret {taken} already, of an older Ingress"
                )
            else:
                self.certificates.setdefault(key, (pem, []))[1].append(host)

    def _tell(self, ingress: Ingress, reason: str, message: str) -> None:
        self.problems.append(Problem(ingress.meta.namespace, ingress.meta.name, reason, message))


def _order(route: Route) -> tuple[bool, int, str]:
    return not route.exact, -len(route.path), route.path


def _specificity(host: str) -> tuple[bool, bool, str]:
    return host == ANY, host.startswith("*"), host


def _wildcard_of(host: str) -> str:
    """Give the wildcard that matches a host: "*.foo.com" for "bar.foo.com"."""
    return f"*.{host.partition('.')[2]}" if "." in host else ANY


def _is_request_path(path: str) -> bool:
    """Tell whether a request line can have such a path (RFC 9112, 3.2)."""
    return path.isascii() and path.isprintable() and " " not in path


def _find_port(service: Service, wanted: int | str) -> ServicePort | None:
    if service.type == EXTERNAL_NAME:
        return None
    return next((port for port in service.ports if port.protocol == "TCP" and wanted in {port.port, port.name}), None)


def _name_backends(keys: Iterable[BackendKey]) -> dict[BackendKey, str]:
    """Name backends `default-echoserver-8080`; where that means two of them, with underscores, which are in no name."""
    plain = {key: "-".join(key) for key in keys}
    uses = Counter(plain.values())
    return {key: name if uses[name] == 1 else "_".join(key) for key, name in plain.items()}
