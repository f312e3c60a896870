"""Which image does what, by the last word of its repository: `registry.k8s.io/e2e-test-images/agnhost:2.40` is agnhost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from klab.kubelet.images import agnhost, answers, coredns, echoserver, files, httpbin, identity, redis
from klab.kubelet.images.behaviour import Behaviour, Launch, Port

_SHELL = ("sh",)


@dataclass(frozen=True, slots=True)
class Image:
    """An image that klab knows.

    `serve` is its built-in behaviour, None for an image that brings programs only: those are the host's, and `default` is what it runs by itself.
    `programs` are the names of its own programs: a command or first argument that names one means the built-in behaviour. `entrypoint` tells that
    arguments always go to that program, as with an ENTRYPOINT; otherwise a first argument that looks like a program is one, as in the official
    images' docker-entrypoint.sh. `tools` are subcommands that run as programs. `contents` are files of the image, by path, "{python}" and "{package}"
    in them standing for where klab runs; those that begin with "#!" are programs.
    """

    serve: Callable[[Launch], Behaviour] | None = None
    programs: frozenset[str] = frozenset()
    entrypoint: bool = False
    default: tuple[str, ...] = _SHELL
    tools: frozenset[str] = frozenset()
    contents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a container does: run the program `argv`, or, where that is None, serve as the image does, with `args`."""

    argv: tuple[str, ...] | None
    args: tuple[str, ...] = ()


def image_name(reference: str) -> str:
    """Give the last word of a reference's repository, without registry, tag and digest."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def plan_program(image: str, command: tuple[str, ...], args: tuple[str, ...]) -> Plan:
    """Decide what a container runs, from its image, command and args (Kubernetes: command replaces ENTRYPOINT, args replace CMD)."""
    known = _IMAGES.get(image_name(image), _UNKNOWN)
    if command:
        own = _base(command[0]) in known.programs
        return _plan_own(known, command[:1], (*command[1:], *args)) if own else Plan((*command, *args))
    if args and not known.entrypoint and not _is_argument(args[0]) and _base(args[0]) not in known.programs:
        return Plan(args)
    if known.serve is None:
        return Plan((*known.default, *args))
    own_args = args[1:] if args and not known.entrypoint and _base(args[0]) in known.programs else args
    return _plan_own(known, tuple(sorted(known.programs))[:1], own_args)


def lookup(launch: Launch) -> Behaviour:
    """Give what a container of that image does where no program is run; KlabError where its arguments make no sense.

    Declared UDP and SCTP ports that the image does not serve itself are answered with the container's identity.
    """
    known = _IMAGES.get(image_name(launch.image), _UNKNOWN)
    behaviour = (known.serve or identity.behave)(launch)
    served = {(listener.port.number, listener.port.protocol) for listener in behaviour.listeners}
    more = [Port(*port) for port in launch.ports if port.protocol != "TCP" and tuple(port) not in served] if served else []
    return replace(behaviour, listeners=(*behaviour.listeners, *identity.listeners(dict.fromkeys(more)))) if more else behaviour


def contents(image: str) -> Mapping[str, str]:
    """Give the files that an image brings (`Image.contents`)."""
    return _IMAGES.get(image_name(image), _UNKNOWN).contents


def _plan_own(known: Image, program: tuple[str, ...], args: tuple[str, ...]) -> Plan:
    """Serve, unless the subcommand is a tool that prints and ends."""
    if args and args[0] in known.tools:
        return Plan((*(f"/{_base(name)}" for name in program), *args))
    return Plan(None, args)


def _is_argument(word: str) -> bool:
    """Tell an option or a URL from the name of a program."""
    return word.startswith("-") or "://" in word


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _pause(_: Launch) -> Behaviour:
    return Behaviour()


def _named(*ports: int) -> Image:
    """Make an image that is known by its port alone, and answers there with its identity."""

    def serve(launch: Launch) -> Behaviour:
        return identity.behave(replace(launch, ports=launch.ports or tuple(Port(number) for number in ports)))

    return Image(serve)


_AGNHOST_PROGRAM = """#!/bin/sh
PYTHONPATH="{package}" exec "{python}" -m klab.runtime.agnhost "$0" "$@"
"""
_AGNHOST = Image(
    agnhost.behave,
    frozenset({"agnhost", "agnhost-2"}),
    entrypoint=True,
    tools=agnhost.TOOLS,
    contents={"/agnhost": _AGNHOST_PROGRAM, "/agnhost-2": _AGNHOST_PROGRAM},
)
_NGINX = Image(
    files.nginx, frozenset({"nginx", "nginx-debug", "docker-entrypoint.sh"}), contents={f"{files.NGINX_ROOT}/index.html": files.NGINX_PAGE}
)
_HTTPD = Image(files.httpd, frozenset({"httpd", "httpd-foreground"}), contents={f"{files.HTTPD_ROOT}/index.html": files.HTTPD_PAGE})
_REDIS = Image(redis.behave, frozenset({"redis-server", "valkey-server", "docker-entrypoint.sh"}))
_ECHOSERVER = Image(echoserver.behave)
_UNKNOWN = Image(identity.behave)


def _subcommand(name: str) -> Image:
    """Make an image that is one of agnhost's subcommands, as they were images of their own once."""
    return Image(lambda launch: agnhost.behave(replace(launch, args=(name, *launch.args))), frozenset({name}), entrypoint=True)


_IMAGES: dict[str, Image] = {
    **dict.fromkeys(("echoserver", "echoheaders"), _ECHOSERVER),
    "agnhost": _AGNHOST,
    **{name: _subcommand(name) for name in ("netexec", "porter", "test-webserver", "guestbook")},
    **{name: _subcommand("serve-hostname") for name in ("serve-hostname", "serve_hostname")},
    "coredns": Image(coredns.behave, entrypoint=True),
    "jessie-dnsutils": Image(_pause, frozenset({"agnhost"}), entrypoint=True),
    **dict.fromkeys(("nginx", "nginx-unprivileged", "nginx-slim", "openresty"), _NGINX),
    "httpd": _HTTPD,
    **dict.fromkeys(("pause", "pause-amd64"), Image(_pause, frozenset({"pause"}), entrypoint=True)),
    **dict.fromkeys(("redis", "valkey"), _REDIS),
    "whoami": Image(answers.whoami, frozenset({"whoami", "whoamI"}), entrypoint=True),
    "http-echo": Image(answers.http_echo, frozenset({"http-echo"}), entrypoint=True),
    "echo-server": Image(answers.echo_server, frozenset({"echo-server"})),
    "hello-app": Image(answers.hello_app, frozenset({"hello-app"})),
    "kubernetes-bootcamp": Image(answers.bootcamp),
    "hello-kubernetes": Image(answers.hello_kubernetes),
    **dict.fromkeys(("hello", "nginx-hello"), Image(answers.nginx_hello)),
    **dict.fromkeys(("httpbin", "go-httpbin"), Image(httpbin.behave, frozenset({"gunicorn", "go-httpbin"}))),
    **dict.fromkeys(
        ("busybox", "alpine", "debian", "ubuntu", "fedora", "centos", "rockylinux", "almalinux", "amazonlinux", "bash", "netshoot"), Image()
    ),
    **dict.fromkeys(("python", "perl", "node", "ruby", "golang", "buildpack-deps", "dnsutils"), Image()),
    "curl": Image(default=("curl",)),
    "postgres": _named(5432),
    **dict.fromkeys(("mysql", "mariadb"), _named(3306)),
    "mongo": _named(27017),
    "memcached": _named(11211),
    "rabbitmq": _named(5672, 15672),
    "elasticsearch": _named(9200, 9300),
    "etcd": _named(2379, 2380),
    "zookeeper": _named(2181),
    "nats": _named(4222, 8222),
    "kafka": _named(9092),
    "consul": _named(8500),
    "vault": _named(8200),
    "minio": _named(9000),
    "grafana": _named(3000),
    "prometheus": _named(9090),
    "haproxy": _named(80),
    "caddy": _named(80, 443),
    "tomcat": _named(8080),
    "wordpress": _named(80),
    "jenkins": _named(8080, 50000),
    "podinfo": _named(9898),
    "network-multitool": _named(80, 443),
}
