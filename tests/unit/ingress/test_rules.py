"""Routes as the Ingress API defines them: requests are walked through the routing model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from klab.api.defaults import default
from klab.api.endpointslice import EndpointSlice
from klab.api.service import Service
from klab.errors import KlabError
from klab.ingress.objects import Ingress, IngressClass
from klab.ingress.rules import ANY, Lookup, Route, Routing, calc_routing, select

Object = dict[str, Any]


def backend(name: str, port: int | str = 80) -> Object:
    return {"service": {"name": name, "port": {"name": port} if isinstance(port, str) else {"number": port}}}


def make_ingress(name: str = "web", created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Ingress:
    return Ingress.of({"metadata": {"name": name, "namespace": "default", "creationTimestamp": created}, "spec": spec})


def rule(host: str = "", **paths: str | tuple[str, str]) -> Object:
    """A rule; each keyword is a Service, its value a path, or a path and its type."""
    listed = []
    for name, value in paths.items():
        path, kind = (value, "Prefix") if isinstance(value, str) else value
        listed.append({"path": path, "pathType": kind, "backend": backend(name)})
    return {**({"host": host} if host else {}), "http": {"paths": listed}}


def service(name: str, *ports: Object, **spec: Any) -> Service:
    listed = ports or ({"port": 80, "targetPort": 8080},)
    return Service.of(
        default({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"ports": list(listed), **spec}})
    )


def endpoint_slice(name: str, *addresses: str, port: str = "", number: int = 8080, ready: bool = True) -> EndpointSlice:
    endpoints = [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses]
    ports = [{"name": port, "port": number, "protocol": "TCP"}]
    return EndpointSlice.of({"metadata": {"name": name, "namespace": "default"}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports})


class Everything(dict[str, Service]):
    """Any Service, with a port 80."""

    def get(self, name: str, _: Any = None) -> Service:  # type: ignore[override]
        return service(name)


def calc(
    *ingresses: Ingress,
    services: Mapping[str, Service] | None = None,
    slices: Mapping[str, Sequence[EndpointSlice]] | None = None,
    certificates: Mapping[str, str] | None = None,
) -> Routing:
    known = Everything() if services is None else services

    def certificate(namespace: str, name: str) -> str:
        if name in (certificates or {}):
            return (certificates or {})[name]
        raise KlabError(f'secret "{namespace}/{name}" not found')

    return calc_routing(ingresses, Lookup(lambda _, name: known.get(name), lambda _, name: (slices or {}).get(name, ()), certificate))


def walk(routing: Routing, host: str, path: str) -> str:
    """Give the backend that a request reaches, "404" for none."""
    for one in routing.hosts:
        if matches_host(one.name, host):
            return next((route.backend for route in one.routes if matches(route, path)), "404")
    raise AssertionError("there is always a host for everybody")


def matches_host(name: str, host: str) -> bool:
    if name.startswith("*."):
        return re.fullmatch(rf"[^.]+{re.escape(name[1:])}", host, re.IGNORECASE) is not None
    return name in {ANY, host.lower()}


def matches(route: Route, path: str) -> bool:
    return path == route.path if route.exact else f"{path}/".startswith(f"{route.path}/")


@pytest.mark.parametrize(
    ("paths", "request_path", "reached"),
    [
        ({"a": ("/", "Prefix")}, "/any/path", "a"),
        ({"a": ("/foo", "Exact")}, "/foo", "a"),
        ({"a": ("/foo", "Exact")}, "/bar", "404"),
        ({"a": ("/foo", "Exact")}, "/foo/", "404"),
        ({"a": ("/foo/", "Exact")}, "/foo", "404"),
        ({"a": ("/foo/", "Exact")}, "/foo/", "a"),
        ({"a": ("/foo", "Exact")}, "/FOO", "404"),
        ({"a": ("/foo", "Prefix")}, "/foo", "a"),
        ({"a": ("/foo", "Prefix")}, "/foo/", "a"),
        ({"a": ("/foo/", "Prefix")}, "/foo", "a"),
        ({"a": ("/foo/", "Prefix")}, "/foo/", "a"),
        ({"a": ("/aaa/bb", "Prefix")}, "/aaa/bbb", "404"),
        ({"a": ("/aaa/bbb", "Prefix")}, "/aaa/bbb", "a"),
        ({"a": ("/aaa/bbb/", "Prefix")}, "/aaa/bbb", "a"),
        ({"a": ("/aaa/bbb", "Prefix")}, "/aaa/bbb/", "a"),
        ({"a": ("/aaa/bbb", "Prefix")}, "/aaa/bbb/ccc", "a"),
        ({"a": ("/aaa/bbb", "Prefix")}, "/aaa/bbbxyz", "404"),
        ({"a": ("/", "Prefix"), "b": ("/aaa", "Prefix")}, "/aaa/ccc", "b"),
        ({"a": ("/", "Prefix"), "b": ("/aaa", "Prefix"), "c": ("/aaa/bbb", "Prefix")}, "/aaa/bbb", "c"),
        ({"a": ("/", "Prefix"), "b": ("/aaa", "Prefix"), "c": ("/aaa/bbb", "Prefix")}, "/ccc", "a"),
        ({"a": ("/aaa", "Prefix")}, "/ccc", "404"),
        ({"a": ("/foo", "Prefix"), "b": ("/foo", "Exact")}, "/foo", "b"),
        ({"a": ("/foo", "Prefix"), "b": ("/foo", "Exact")}, "/foo/bar", "a"),
        ({"a": ("/foo/bar", "Prefix"), "b": ("/foo", "Exact")}, "/foo/bar", "a"),
        ({"a": ("", "ImplementationSpecific")}, "/x", "a"),
        ({"a": ("/foo", "ImplementationSpecific")}, "/foo/x", "a"),
        ({"a": ("/foo", "ImplementationSpecific")}, "/foox", "404"),
    ],
)
def test_paths_are_matched_as_the_table_of_the_documentation_says(paths: dict[str, tuple[str, str]], request_path: str, reached: str) -> None:
    routing = calc(make_ingress(rules=[rule(**paths)]))
    assert walk(routing, "any.test", request_path).removeprefix("default-").removesuffix("-80") == reached
    assert routing.problems == ()


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("bar.foo.com", "wild"),
        ("BAR.foo.com", "wild"),
        ("baz.bar.foo.com", "none"),
        ("foo.com", "none"),
        ("exact.foo.com", "exact"),
        ("other.com", "none"),
    ],
)
def test_wildcards_stand_for_one_label_and_exact_hosts_come_first(host: str, reached: str) -> None:
    routing = calc(make_ingress(rules=[rule("*.foo.com", wild="/"), rule("Exact.foo.com".lower(), exact="/"), rule(none="/")]))
    assert walk(routing, host, "/") == f"default-{reached}-80"


def test_what_a_host_does_not_take_goes_to_wider_rules_and_then_to_the_default_backend() -> None:
    routing = calc(
        make_ingress(rules=[rule("a.foo.com", exact="/a"), rule("*.foo.com", wild="/b"), rule(anybody="/c", shadowed="/a/deep")]),
        make_ingress("rest", defaultBackend=backend("rest")),
    )
    found = {path: walk(routing, "a.foo.com", path) for path in ("/a", "/a/deep", "/b", "/c", "/d")}
    names = {"/a": "exact", "/a/deep": "exact", "/b": "wild", "/c": "anybody", "/d": "rest"}
    assert found == {path: f"default-{name}-80" for path, name in names.items()}
    assert walk(routing, "x.org", "/a/deep") == "default-shadowed-80"
    assert walk(routing, "x.org", "/a") == "default-rest-80"


def test_each_ingress_has_its_own_default_backend() -> None:
    routing = calc(
        make_ingress("a", rules=[rule("a.test", app="/app")], defaultBackend=backend("a")),
        make_ingress("b", created="2026-01-02T00:00:00Z", rules=[rule("b.test", app="/app")], defaultBackend=backend("b")),
    )
    assert [walk(routing, host, "/") for host in ("a.test", "b.test", "c.test")] == ["default-a-80", "default-b-80", "default-a-80"]
    assert walk(routing, "b.test", "/app") == "default-app-80"


def test_a_rule_without_paths_leaves_its_host_to_the_default_backend() -> None:
    routing = calc(make_ingress(rules=[{"host": "a.test"}], defaultBackend=backend("rest")))
    assert walk(routing, "a.test", "/") == "default-rest-80"


def test_the_older_ingress_keeps_a_path() -> None:
    young = make_ingress("young", created="2026-01-02T00:00:00Z", rules=[rule("a.test", young="/x"), rule("a.test", more="/y")])
    old = make_ingress("old", rules=[rule("a.test", old="/x")])
    routing = calc(young, old)
    assert (walk(routing, "a.test", "/x"), walk(routing, "a.test", "/y")) == ("default-old-80", "default-more-80")
    (problem,) = routing.problems
    assert (problem.name, problem.reason) == ("young", "Conflict")
    assert "a.test/x is default/old's already" in problem.message


def test_ports_by_number_and_name_lead_to_the_ready_endpoints() -> None:
    ports = (
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "admin", "port": 81, "targetPort": "web"},
        {"name": "d", "port": 53, "protocol": "UDP"},
    )
    pieces = [
        endpoint_slice("s1", "10.0.0.2", "10.0.0.1", port="http"),
        endpoint_slice("s2", "10.0.0.3", port="http", ready=False),
        endpoint_slice("s3", "10.0.0.1", port="admin", number=9000),
    ]
    paths = [("/a", 80), ("/b", "http"), ("/c", 81), ("/d", 53), ("/e", "nowhere")]
    listed = [{"path": path, "pathType": "Prefix", "backend": backend("web", port)} for path, port in paths]
    routing = calc(make_ingress(rules=[{"http": {"paths": listed}}]), services={"web": service("web", *ports)}, slices={"web": pieces})
    servers = {one.name: one.servers for one in routing.backends}
    both = ("10.0.0.1:8080", "10.0.0.2:8080")
    empty: tuple[str, ...] = ()
    assert servers == {
        "default-web-80": both,
        "default-web-http": both,
        "default-web-81": ("10.0.0.1:9000",),
        "default-web-53": empty,
        "default-web-nowhere": empty,
    }
    assert [problem.message.split("; ")[0] for problem in routing.problems] == [
        'spec.rules[0].http.paths[3]: service "default/web" has no TCP port 53',
        "spec.rules[0].http.paths[4]: service \"default/web\" has no TCP port 'nowhere'",
    ]


def test_what_cannot_be_served_is_told_and_the_rest_goes_on() -> None:
    bucket = {"path": "/icons", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "icons"}}}
    broken = make_ingress(
        "broken",
        rules=[rule("a.test", web="/ok", missing="/missing", outside="/outside", odd=("/café x", "Exact")), {"http": {"paths": [bucket]}}],
        tls=[{"hosts": ["a.test"], "secretName": "absent"}, {"hosts": ["b.test"]}],
    )
    services = {"web": service("web"), "outside": service("outside", type="ExternalName", externalName="example.com")}
    routing = calc(broken, services=services, slices={"web": [endpoint_slice("s", "10.0.0.1")]})
    assert walk(routing, "a.test", "/ok") == "default-web-80"
    assert [(problem.reason, problem.message.split(":")[0]) for problem in routing.problems] == [
        ("InvalidBackend", "spec.rules[0].http.paths[1]"),
        ("InvalidBackend", "spec.rules[0].http.paths[2]"),
        ("InvalidPath", "spec.rules[0].http.paths[3]"),
        ("InvalidBackend", "spec.rules[1].http.paths[0]"),
        ("InvalidTLS", "spec.tls[0]"),
        ("InvalidTLS", "spec.tls[1]"),
    ]
    assert walk(routing, "a.test", "/missing") == "default-missing-80"
    assert walk(routing, "a.test", "/icons") == "404"
    assert routing.certificates == ()


def test_backends_of_the_same_name_are_told_apart() -> None:
    one = make_ingress("one", rules=[rule(b_c="/")])
    names = {"a": ("b-c", "default"), "b": ("c", "default-b")}
    objects = [
        Ingress.of({"metadata": {"name": name, "namespace": namespace}, "spec": {"defaultBackend": backend(target)}})
        for name, (target, namespace) in names.items()
    ]
    assert {one.name for one in calc(*objects).backends} == {"default_b-c_80", "default-b_c_80"}
    assert [one.name for one in calc(one).backends] == ["default-b_c-80"]


def test_certificates_are_for_the_hosts_of_their_entries() -> None:
    routing = calc(
        make_ingress(
            rules=[rule("a.test", web="/")],
            tls=[{"hosts": ["A.test", "*.b.test"], "secretName": "ab"}, {"secretName": "rest"}, {"hosts": ["a.test"], "secretName": "rest"}],
        ),
        certificates={"ab": "AB", "rest": "REST"},
    )
    assert [(one.name, one.hosts, one.pem) for one in routing.certificates] == [
        ("default_ab", ("a.test", "*.b.test"), "AB"),
        ("default_rest", (), "REST"),
    ]
    assert [host.name for host in routing.hosts] == ["a.test", "*.b.test", ANY]
    assert [problem.reason for problem in routing.problems] == ["Conflict"]


def test_a_controller_serves_the_ingresses_of_its_classes() -> None:
    classes = [
        IngressClass.of({"metadata": {"name": name}, "spec": {"controller": controller}})
        for name, controller in (("haproxy", "ours"), ("second", "ours"), ("nginx", "theirs"))
    ]
    named = [Ingress.of({"metadata": {"name": name}, "spec": {"ingressClassName": name}}) for name in ("haproxy", "second", "nginx", "unknown")]
    old = Ingress.of({"metadata": {"name": "old", "annotations": {"kubernetes.io/ingress.class": "haproxy"}}, "spec": {}})
    without = Ingress.of({"metadata": {"name": "without"}, "spec": {}})
    assert [one.meta.name for one in select([*named, old, without], classes, "ours")] == ["haproxy", "second", "old"]
