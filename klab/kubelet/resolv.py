"""What a pod's /etc/resolv.conf, /etc/hosts and hostname say, as the kubelet writes them.

After pkg/kubelet/network/dns/dns.go and pkg/kubelet/kubelet_pods.go.
Pure: a pod's view, the cluster's DNS and the node's own files go in, texts come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from klab.errors import KlabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from klab.api.pod import DnsConfig, HostAlias, Pod

MAX_NAMESERVERS = 3  # glibc's MAXNS; validation.MaxDNSNameservers
MAX_SEARCHES = 32  # validation.MaxDNSSearchPaths
MAX_SEARCH_CHARS = 2048  # validation.MaxDNSSearchListChars
MAX_SEARCH_LENGTH = 255 - 2  # a longer search path makes glibc 2.28 abort; DNS1123SubdomainMaxLength
MAX_HOSTNAME = 63
MAX_FQDN = 64  # HOST_NAME_MAX

LOCALHOSTS = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("fe00::0", "ip6-mcastprefix"),
    ("fe00::1", "ip6-allnodes"),
    ("fe00::2", "ip6-allrouters"),
)


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """The kubelet's --cluster-dns and --cluster-domain.

    The kube-dns Service's addresses (none: the lab has no DNS) and the domain without a dot at the end.
    """

    nameservers: tuple[str, ...] = ()
    domain: str = "cluster.local"


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """A resolv.conf as its three lists; an option is `name` or `name:value`."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A warning event that the kubelet records on the pod."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodName:
    """A pod's short hostname, its domain ("" without a subdomain), and what `hostname` prints (the kernel's nodename)."""

    hostname: str
    domain: str
    kernel: str


def parse_resolv_conf(text: str) -> ResolvConf:
    """Read a resolv.conf: nameserver lines add up, the last search and the last options line win, a search path loses its dot at the end."""
    nameservers: list[str] = []
    searches: Iterable[str] = ()
    options: Iterable[str] = ()
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search", *paths]:
                searches = (path if path == "." else path.removesuffix(".") for path in paths)
            case ["options", *words]:
                options = words
    return ResolvConf(tuple(nameservers), tuple(searches), tuple(options))


def render_resolv_conf(conf: ResolvConf) -> str:
    """Write a resolv.conf in containerd's order: search, nameserver, options."""
    lines = [f"search {' '.join(conf.searches)}"] if conf.searches else []
    lines += [f"nameserver {address}" for address in conf.nameservers]
    lines += [f"options {' '.join(conf.options)}"] if conf.options else []
    return "".join(f"{line}\n" for line in lines)


def plan_resolv_conf(pod: Pod, cluster: ClusterDns, node: ResolvConf) -> tuple[ResolvConf, tuple[Note, ...]]:
    """Give the pod's resolver configuration by its dnsPolicy and dnsConfig, and the events to record.

    ClusterFirst on the host's network means Default; ClusterFirst in a lab without DNS falls back to Default, with an event.
    """
    notes: tuple[Note, ...] = ()
    clustered = pod.dns_policy == "ClusterFirstWithHostNet" or (pod.dns_policy == "ClusterFirst" and not pod.host_network)
    base = node
    if pod.dns_policy == "None":
        base = ResolvConf()
    elif clustered and cluster.nameservers:
        base = ResolvConf(cluster.nameservers, _cluster_searches(pod.namespace, cluster.domain, node.searches), ("ndots:5",))
    elif clustered:
        notes = (
            Note(
                "MissingClusterDNS",
                'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.',
            ),
        )
    conf = _merge(base, pod.dns_config)
    nameservers, too_many = _fit_nameservers(conf.nameservers)
    searches, too_long = _fit_searches(conf.searches)
    return ResolvConf(nameservers, searches, conf.options), notes + too_many + too_long


def plan_pod_name(pod: Pod, cluster_domain: str) -> PodName:
    """Give the names of a pod on the pod network: spec.hostname or metadata.name, cut to 63 characters; the subdomain makes a domain.

    With spec.setHostnameAsFQDN the kernel's name is the whole; KlabError if that is longer than the 64 characters the kernel takes.
    """
    hostname = _cut_hostname(pod.hostname or pod.name)
    domain = f"{pod.subdomain}.{pod.namespace}.svc.{cluster_domain}" if pod.subdomain else ""
    if not (pod.set_hostname_as_fqdn and domain):
        return PodName(hostname, domain, hostname)
    fqdn = f"{hostname}.{domain}"
    if len(fqdn) > MAX_FQDN:
        raise KlabError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long "
            f"({MAX_FQDN} characters is the max, {len(fqdn)} characters requested); shorten spec.hostname or spec.subdomain"
        )
    return PodName(hostname, domain, fqdn)


def render_hosts(name: PodName, pod_ips: Sequence[str], host_aliases: Sequence[HostAlias] = ()) -> str:
    """Write /etc/hosts of a pod with its own network: localhost, the pod's addresses under its names, spec.hostAliases."""
    names = f"{name.hostname}.{name.domain}\t{name.hostname}" if name.domain else name.hostname
    lines = [f"{address}\t{words}\n" for address, words in LOCALHOSTS] + [f"{address}\t{names}\n" for address in pod_ips]
    return "# Kubernetes-managed hosts file.\n" + "".join(lines) + _render_host_aliases(host_aliases)


def render_node_hosts(node_hosts: str, host_aliases: Sequence[HostAlias] = ()) -> str:
    """Write /etc/hosts of a pod on its node's network: the node's file and spec.hostAliases."""
    return "# Kubernetes-managed hosts file (host network).\n" + node_hosts + _render_host_aliases(host_aliases)


def _render_host_aliases(host_aliases: Sequence[HostAlias]) -> str:
    """Give one line per alias, all its names on it."""
    if not host_aliases:
        return ""
    lines = ("\t".join((alias.ip, *alias.hostnames)) + "\n" for alias in host_aliases)
    return "\n# Entries added by HostAliases.\n" + "".join(lines)


def _cluster_searches(namespace: str, domain: str, node: Sequence[str]) -> tuple[str, ...]:
    """Give the namespace's, all Services' and the cluster's domain, then the node's."""
    return tuple(dict.fromkeys((f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *node)))


def _merge(base: ResolvConf, config: DnsConfig) -> ResolvConf:
    """Append a dnsConfig without duplicates; its options replace those of the same name."""
    options = {name: value for name, _, value in (option.partition(":") for option in base.options)}
    options |= {name: value or "" for name, value in config.options}
    return ResolvConf(
        tuple(dict.fromkeys(base.nameservers + config.nameservers)),
        tuple(dict.fromkeys(base.searches + config.searches)),
        tuple(f"{name}:{value}" if value else name for name, value in options.items()),
    )


def _fit_nameservers(nameservers: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Keep what glibc reads."""
    fitting = nameservers[:MAX_NAMESERVERS]
    if fitting == nameservers:
        return nameservers, ()
    text = f"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {' '.join(fitting)}"
    return fitting, (Note("DNSConfigForming", text),)


def _fit_searches(searches: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Keep at most 32 search paths of 2048 characters together, none longer than a name can be."""
    fitting = tuple(path for path in searches[:MAX_SEARCHES] if len(path) <= MAX_SEARCH_LENGTH)
    while len(" ".join(fitting)) > MAX_SEARCH_CHARS:
        fitting = fitting[:-1]
    if fitting == searches:
        return searches, ()
    text = f"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {' '.join(fitting)}"
    return fitting, (Note("DNSConfigForming", text),)


def _cut_hostname(hostname: str) -> str:
    """Cut to 63 characters (64 bytes with the NUL), and not in the middle of a separator."""
    return hostname if len(hostname) <= MAX_HOSTNAME else hostname[:MAX_HOSTNAME].rstrip("-.")
