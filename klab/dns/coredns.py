"""The files that make a real CoreDNS serve a lab's zone: its Corefile and RFC 1035 zone files, in one directory.

The zone files hold what `Zone.records` gives; what is made from the question alone (pods' names, and which namespaces there are) is in the
Corefile as templates. CoreDNS looks every RELOAD seconds whether a zone's serial changed; a changed Corefile it reads within four seconds, or
at once on SIGUSR1. Needs CoreDNS >= 1.15 (`var` in templates, for IPv6 pods).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from klab.dns.names import REVERSE_ORIGINS
from klab.dns.zone import TTL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from klab.dns.zone import RRset, Zone

DIRECTORY = "/etc/coredns"
COREFILE = "Corefile"
RELOAD = "500ms"
PER_REGEX = 100
"""Namespaces in one regular expression, of which CoreDNS takes 10,000 characters."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = "-".join(f"(?P<{part}>{_OCTET})" for part in "abcd")
_GROUP = "[0-9a-f]{1,4}"
_V6 = f"(?P<host>(?:{_GROUP}-){{7}}{_GROUP}|(?:{_GROUP}(?:-{_GROUP})*)?--(?:{_GROUP}(?:-{_GROUP})*)?)"


def render_files(zone: Zone, upstreams: Sequence[str] = (), directory: str = DIRECTORY) -> dict[str, str]:
    """Give all files of CoreDNS' directory by name; each is to be replaced as a whole (write beside it, rename)."""
    return {
        COREFILE: render_corefile(zone.domain, zone.namespaces(), upstreams, directory),
        **{zone_file(origin): render_zone(zone, origin) for origin in (zone.origin, *REVERSE_ORIGINS)},
    }


def zone_file(origin: str) -> str:
    """Give the name of a tree's file: `cluster.local.zone`."""
    return f"{origin}zone"


def next_serial(previous: int, now: float) -> int:
    """Give a serial for changed zone files that was not used before, by another process of the lab either; `now` in seconds since the epoch."""
    return max(previous + 1, int(now))


def render_zone(zone: Zone, origin: str) -> str:
    """Give the zone file of a tree: its SOA, with the zone's serial, and all its records."""
    return "".join(f"{line}\n" for rrset in (zone.soa(origin), *zone.records(origin)) for line in _lines(rrset))


def render_corefile(domain: str, namespaces: Sequence[str], upstreams: Sequence[str] = (), directory: str = DIRECTORY) -> str:
    """Give the Corefile: kubeadm's, with zone files and templates in place of the kubernetes plugin; without upstreams nothing is forwarded."""
    suffix = f"[.]{domain.replace('.', '[.]')}[.]$"
    namespaces = namespaces or ("",)  # which no name has; an expression there must be
    spaces = [f"(?:{'|'.join(namespaces[i : i + PER_REGEX])})" for i in range(0, len(namespaces), PER_REGEX)]
    pods_v4, pods_v6, both = (" ".join(f"^{host}[.]{some}[.]pod{suffix}" for some in spaces) for host in (_V4, _V6, f"(?:{_V4}|{_V6})"))
    parents = " ".join((f"^(?:svc|pod){suffix}", *(f"^{some}[.](?:svc|pod){suffix}" for some in spaces)))
    soa = f"{domain}. {TTL} IN SOA ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 {TTL}"
    file_options = f"        reload {RELOAD}\n" + ("        fallthrough in-addr.arpa ip6.arpa\n" if upstreams else "")
    files = "".join(f"    file {directory}/{zone_file(origin)} {origin} {{\n{file_options}    }}\n" for origin in (f"{domain}.", *REVERSE_ORIGINS))
    forward = f"    forward . {' '.join(upstreams)} {{\n        max_concurrent 1000\n    }}\n    loop\n" if upstreams else ""
    return f"""\
.:53 {{
    errors
    health
    ready
    # Pods' names (as `pods insecure`) and the namespaces there are
    template IN A {domain} {{
        match {pods_v4}
        answer "{{{{ .Name }}}} {TTL} IN A {{{{ .Group.a }}}}.{{{{ .Group.b }}}}.{{{{ .Group.c }}}}.{{{{ .Group.d }}}}"
        fallthrough
    }}
    template IN AAAA {domain} {{
        match {pods_v6}
        var address replace(group('host'),'-',':')
        answer "{{{{ .Name }}}} {TTL} IN AAAA {{{{ .Var.address }}}}"
        fallthrough
    }}
    template IN ANY {domain} {{
        match {both} {parents}
        authority "{soa}"
        fallthrough
    }}
{files}    prometheus :9153
{forward}    reload 2s 1s
    loadbalance
}}
"""


def _lines(rrset: RRset) -> list[str]:
    return [f"{rrset.owner} {rrset.ttl} IN {rrset.type} {rdata}" for rdata in rrset.rdatas]
