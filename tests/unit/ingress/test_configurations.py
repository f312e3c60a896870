"""The files of HAProxy and nginx as text."""

from __future__ import annotations

from klab.api.schema import validate
from klab.ingress import haproxy, nginx
from klab.ingress.manifests import plan_class, plan_daemon_set
from klab.ingress.rules import ANY, Backend, Certificate, Host, Route, Routing

ECHO = Backend("default-echoserver-8080", ("192.168.104.3:8080", "192.168.104.4:8080"))
TALK = Routing((ECHO,), (Host("echoserver.test", (Route("", exact=False, backend=ECHO.name),)), Host(ANY, ())))


def lines_of(text: str, begin: str) -> list[str]:
    """Give the lines of a section."""
    lines = text.splitlines()
    start = lines.index(begin)
    end = next((at for at in range(start + 1, len(lines)) if lines[at][:1].strip()), len(lines))
    return [line.strip() for line in lines[start:end] if line]


def test_haproxy_cfg_has_the_shape_of_the_talk() -> None:
    text = haproxy.render_files(TALK)["haproxy.cfg"]
    assert lines_of(text, "backend default-echoserver-8080")[1:] == [
        "balance roundrobin",
        "server 192.168.104.3:8080 192.168.104.3:8080 weight 1 check inter 2s",
        "server 192.168.104.4:8080 192.168.104.4:8080 weight 1 check inter 2s",
    ]
    front = lines_of(text, "frontend httpfront-shared-frontend")
    assert front[1] == "bind *:80"
    assert front[-3:] == [
        "acl host-echoserver.test var(txn.hdr_host) -m str -i echoserver.test",
        "use_backend default-echoserver-8080 if host-echoserver.test",
        "default_backend default-backend-404",
    ]
    assert "443" not in text


def test_haproxy_conditions() -> None:
    routes = (Route("/x'y", exact=True, backend="b"), Route("/foo", exact=False, backend="b"), Route("", exact=False, backend="b"))
    text = haproxy.render_files(Routing((Backend("b"),), (Host("*.foo.com", routes), Host(ANY, routes))), ipv6=True)["haproxy.cfg"]
    assert "    acl wildcard-foo.com var(txn.hdr_host) -m reg -i ^[^.]+[.]foo[.]com$\n" in text
    assert "    bind :::80 v6only\n" in text
    assert [line.strip() for line in text.splitlines() if "use_backend" in line] == [
        r"use_backend b if wildcard-foo.com { var(txn.path) -m str '/x'\''y' }",
        "use_backend b if wildcard-foo.com { var(txn.elements) -m beg /foo/ }",
        "use_backend b if wildcard-foo.com",
        r"use_backend b if { var(txn.path) -m str '/x'\''y' }",
        "use_backend b if { var(txn.elements) -m beg /foo/ }",
        "use_backend b",
    ]


def test_haproxy_certificates_the_default_one_first() -> None:
    own, rest = Certificate("default_own", ("a.test", "*.b.test"), "OWN\n"), Certificate("default_rest", (), "REST\n")
    files = haproxy.render_files(Routing(hosts=(Host(ANY, ()),), certificates=(own, rest)))
    assert files["crt-list"] == "/etc/haproxy/certs/default_rest.pem\n/etc/haproxy/certs/default_own.pem a.test *.b.test\n"
    assert (files["certs/default_own.pem"], files["certs/default_rest.pem"]) == ("OWN\n", "REST\n")
    assert "strict-sni" not in files["haproxy.cfg"]
    assert "strict-sni" in haproxy.render_files(Routing(hosts=(Host(ANY, ()),), certificates=(own,)))["haproxy.cfg"]


def test_nginx_conf_of_the_talk() -> None:
    text = nginx.render_files(TALK)["nginx.conf"]
    assert "    upstream default-echoserver-8080 {\n        server 192.168.104.3:8080 " in text
    assert "        server_name echoserver.test;\n        listen 80;\n" in text
    assert text.count("listen 80 default_server;") == 1
    assert text.count('return 404 "default backend - 404";') == 1


def test_nginx_locations() -> None:
    routes = (Route('/a"b', exact=True, backend="b"), Route("/foo", exact=True, backend="b"), Route("/foo", exact=False, backend="empty"))
    routing = Routing((Backend("b", ("10.0.0.1:80",)), Backend("empty")), (Host("*.foo.com", routes), Host(ANY, ())))
    text = nginx.render_files(routing)["nginx.conf"]
    assert '        server_name "~^[^.]+[.]foo[.]com$";\n' in text
    assert [line.strip() for line in text.splitlines() if "location" in line] == [
        r'location = "/a\"b" {',
        'location = "/foo" {',
        'location "/foo/" {',
        "location / {",
        "location / {",
        "location = /healthz {",
    ]
    assert "upstream empty" not in text
    assert text.count("return 503;") == 1


def test_nginx_shows_a_host_its_certificate_and_refuses_others() -> None:
    own = Certificate("default_own", ("*.b.test",), "OWN\n")
    text = nginx.render_files(Routing(hosts=(Host("x.b.test", ()), Host("*.b.test", ()), Host(ANY, ())), certificates=(own,)))["nginx.conf"]
    assert text.count("ssl_certificate /etc/nginx/certs/default_own.pem;") == 2
    assert text.count("ssl_reject_handshake on;") == 1


def test_the_objects_of_both_controllers_are_valid() -> None:
    for controller in (haproxy.CONTROLLER, nginx.CONTROLLER):
        daemon_set = plan_daemon_set(controller, "/run/klab/x/ingress")
        assert validate(daemon_set) == []
        assert validate(plan_class(controller)) == []
        assert daemon_set["spec"]["template"]["spec"]["hostNetwork"]
