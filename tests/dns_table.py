"""One cluster and what its DNS says: the look-up table that every DNS server of a lab has to pass.

An entry is (name, type, rcode, answers); an answer is `TYPE rdata` for the asked name, or `owner TYPE rdata`, all with TTL 5, in any order.
`weights` of SRV records are part of the rdata: klab and CoreDNS share 100 among the records.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Lookup(NamedTuple):
    """A question, and its answer section without TTLs."""

    name: str
    type: str
    rcode: str
    answers: tuple[str, ...] = ()


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(name: str, where: str = "default", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": where}, "spec": spec}


def endpoint_slice(name: str, of: str, ports: list[dict[str, Any]], endpoints: list[dict[str, Any]], where: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": where, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv6" if any(":" in address for endpoint in endpoints for address in endpoint["addresses"]) else "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    }


def endpoint(*addresses: str, hostname: str | None = None, ready: bool | None = True) -> dict[str, Any]:
    made: dict[str, Any] = {"addresses": list(addresses), "conditions": {} if ready is None else {"ready": ready}}
    return {**made, "hostname": hostname} if hostname else made


def port(number: int, name: str | None = None, protocol: str = "TCP") -> dict[str, Any]:
    made = {"port": number, "protocol": protocol}
    return {**made, "name": name} if name else made


OBJECTS: list[dict[str, Any]] = [
    namespace("default"),
    namespace("kube-system"),
    namespace("empty"),
    namespace("shop"),
    service("kubernetes", type="ClusterIP", clusterIP="10.96.0.1", clusterIPs=["10.96.0.1"], ports=[port(443, "https")]),
    service(
        "kube-dns",
        "kube-system",
        type="ClusterIP",
        clusterIP="10.96.0.10",
        clusterIPs=["10.96.0.10"],
        ports=[port(53, "dns", "UDP"), port(53, "dns-tcp"), port(9153, "metrics")],
    ),
    # the talk's: one unnamed port
    service("echoserver", type="ClusterIP", clusterIP="10.99.153.85", clusterIPs=["10.99.153.85"], ports=[port(8080)]),
    endpoint_slice("echoserver-1", "echoserver", [port(8080)], [endpoint("192.168.166.142"), endpoint("192.168.104.3", ready=False)]),
    # both families, two named ports of one name in two protocols
    service("dual", "shop", type="NodePort", clusterIPs=["10.96.7.7", "fd00:10:96::7"], ports=[port(80, "http"), port(80, "http", "UDP")]),
    # headless: hostnames as a StatefulSet's pods have, one without, one not ready, one of unknown readiness
    service("db", "shop", clusterIP="None", clusterIPs=["None"], ports=[port(5432, "pg")]),
    endpoint_slice(
        "db-1",
        "db",
        [port(15432, "pg")],
        [endpoint("10.244.1.5", hostname="db-0"), endpoint("10.244.1.6", ready=None), endpoint("10.244.1.7", hostname="db-2", ready=False)],
        "shop",
    ),
    endpoint_slice("db-2", "db", [port(15432, "pg")], [endpoint("fd00:244::5", hostname="db-0"), endpoint("fd00:244:1::")], "shop"),
    # headless, and a selectorless slice without ports
    service("portless", clusterIP="None", clusterIPs=["None"]),
    endpoint_slice("portless-1", "portless", [], [endpoint("10.244.3.3", hostname="only")]),
    # headless without a ready endpoint, without any, and with publishNotReadyAddresses (the controller says ready then)
    service("down", clusterIP="None", clusterIPs=["None"], ports=[port(80)]),
    endpoint_slice("down-1", "down", [port(80)], [endpoint("10.244.9.9", ready=False)]),
    service("void", clusterIP="None", clusterIPs=["None"], ports=[port(80)]),
    service("early", clusterIP="None", clusterIPs=["None"], ports=[port(80)], publishNotReadyAddresses=True),
    endpoint_slice("early-1", "early", [port(80)], [endpoint("10.244.9.10", hostname="e0")]),
    # names of elsewhere, of here, of nowhere
    service("inside", type="ExternalName", externalName="echoserver.default.svc.cluster.local"),
    service("twice", type="ExternalName", externalName="inside.default.svc.cluster.local."),
    service("nowhere", type="ExternalName", externalName="missing.default.svc.cluster.local"),
    service("outside", type="ExternalName", externalName="www.example.com"),
    service("digits", type="ExternalName", externalName="192.0.2.1"),
]

ZONE = "cluster.local"
DB = "db.shop.svc.cluster.local."
DB_NAMES = ("db-0", "10-244-1-6", "fd00-244-1--0")

TABLE: list[Lookup] = [
    # schema and top
    Lookup("dns-version.cluster.local", "TXT", "NOERROR", ('TXT "1.1.0"',)),
    Lookup("dns-version.cluster.local", "A", "NOERROR"),
    Lookup("cluster.local", "A", "NOERROR"),
    Lookup("cluster.local", "NS", "NOERROR", ("NS kube-dns.kube-system.svc.cluster.local.",)),
    Lookup("ns.dns.cluster.local", "A", "NOERROR", ("A 10.96.0.10",)),
    Lookup("svc.cluster.local", "A", "NOERROR"),
    Lookup("nothing.cluster.local", "A", "NXDOMAIN"),
    Lookup("local", "A", "REFUSED"),
    Lookup("example.com", "A", "REFUSED"),
    Lookup("notcluster.local", "A", "REFUSED"),
    # a ClusterIP
    Lookup("echoserver.default.svc.cluster.local", "A", "NOERROR", ("A 10.99.153.85",)),
    Lookup("EchoServer.DEFAULT.svc.Cluster.LOCAL", "A", "NOERROR", ("A 10.99.153.85",)),
    Lookup("echoserver.default.svc.cluster.local", "AAAA", "NOERROR"),
    Lookup("echoserver.default.svc.cluster.local", "MX", "NOERROR"),
    Lookup("echoserver.default.svc.cluster.local", "TXT", "NOERROR"),
    Lookup("echoserver.default.svc.cluster.local", "CNAME", "NOERROR"),
    Lookup("echoserver.default.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 8080 echoserver.default.svc.cluster.local.",)),
    Lookup("kubernetes.default.svc.cluster.local", "A", "NOERROR", ("A 10.96.0.1",)),
    Lookup("_https._tcp.kubernetes.default.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 443 kubernetes.default.svc.cluster.local.",)),
    Lookup("_HTTPS._TCP.kubernetes.default.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 443 kubernetes.default.svc.cluster.local.",)),
    Lookup("_https._tcp.kubernetes.default.svc.cluster.local", "A", "NOERROR", ("A 10.96.0.1",)),
    Lookup("_https._udp.kubernetes.default.svc.cluster.local", "SRV", "NXDOMAIN"),
    Lookup("_http._tcp.kubernetes.default.svc.cluster.local", "SRV", "NXDOMAIN"),
    Lookup("_dns._udp.kube-dns.kube-system.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 53 kube-dns.kube-system.svc.cluster.local.",)),
    Lookup("_dns-tcp._tcp.kube-dns.kube-system.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 53 kube-dns.kube-system.svc.cluster.local.",)),
    Lookup("192-168-166-142.echoserver.default.svc.cluster.local", "A", "NOERROR", ("A 192.168.166.142",)),
    Lookup("192-168-104-3.echoserver.default.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("echoserver.shop.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("echoserver.nowhere.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("echoserver.default.cluster.local", "A", "NXDOMAIN"),
    Lookup("*.default.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("a.b.c.echoserver.default.svc.cluster.local", "A", "NXDOMAIN"),
    # two families
    Lookup("dual.shop.svc.cluster.local", "A", "NOERROR", ("A 10.96.7.7",)),
    Lookup("dual.shop.svc.cluster.local", "AAAA", "NOERROR", ("AAAA fd00:10:96::7",)),
    Lookup("_http._udp.dual.shop.svc.cluster.local", "SRV", "NOERROR", ("SRV 0 100 80 dual.shop.svc.cluster.local.",)),
    # headless
    Lookup("db.shop.svc.cluster.local", "A", "NOERROR", ("A 10.244.1.5", "A 10.244.1.6")),
    Lookup("db.shop.svc.cluster.local", "AAAA", "NOERROR", ("AAAA fd00:244::5", "AAAA fd00:244:1::")),
    Lookup("db-0.db.shop.svc.cluster.local", "A", "NOERROR", ("A 10.244.1.5",)),
    Lookup("db-0.db.shop.svc.cluster.local", "AAAA", "NOERROR", ("AAAA fd00:244::5",)),
    Lookup("DB-0.db.shop.svc.cluster.local", "A", "NOERROR", ("A 10.244.1.5",)),
    Lookup("10-244-1-6.db.shop.svc.cluster.local", "A", "NOERROR", ("A 10.244.1.6",)),
    Lookup("10-244-1-6.db.shop.svc.cluster.local", "AAAA", "NOERROR"),
    Lookup("fd00-244-1--0.db.shop.svc.cluster.local", "AAAA", "NOERROR", ("AAAA fd00:244:1::",)),
    Lookup("10-244-1-5.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("db-2.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("_pg._tcp.db.shop.svc.cluster.local", "SRV", "NOERROR", tuple(f"SRV 0 33 15432 {name}.{DB}" for name in DB_NAMES)),
    Lookup("_pg._udp.db.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
    Lookup("only.portless.default.svc.cluster.local", "A", "NOERROR", ("A 10.244.3.3",)),
    Lookup("portless.default.svc.cluster.local", "A", "NOERROR", ("A 10.244.3.3",)),
    Lookup("portless.default.svc.cluster.local", "SRV", "NOERROR"),
    Lookup("down.default.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("void.default.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("early.default.svc.cluster.local", "A", "NOERROR", ("A 10.244.9.10",)),
    Lookup("e0.early.default.svc.cluster.local", "A", "NOERROR", ("A 10.244.9.10",)),
    # namespaces and pods
    Lookup("default.svc.cluster.local", "A", "NOERROR"),
    Lookup("nowhere.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("pod.cluster.local", "A", "NOERROR"),
    Lookup("default.pod.cluster.local", "A", "NOERROR"),
    Lookup("10-244-1-5.default.pod.cluster.local", "A", "NOERROR", ("A 10.244.1.5",)),
    Lookup("1-2-3-4.Empty.pod.cluster.local", "A", "NOERROR", ("A 1.2.3.4",)),
    Lookup("1-2-3-4.empty.pod.cluster.local", "AAAA", "NOERROR"),
    Lookup("fd00--5.shop.pod.cluster.local", "AAAA", "NOERROR", ("AAAA fd00::5",)),
    Lookup("fd00--5.shop.pod.cluster.local", "A", "NOERROR"),
    Lookup("1-2-3-4.nowhere.pod.cluster.local", "A", "NXDOMAIN"),
    Lookup("1-2-3-400.default.pod.cluster.local", "A", "NXDOMAIN"),
    Lookup("echoserver-75685667dd-nbzwb.default.pod.cluster.local", "A", "NXDOMAIN"),
    Lookup("x.1-2-3-4.default.pod.cluster.local", "A", "NXDOMAIN"),
    # ExternalName
    Lookup("outside.default.svc.cluster.local", "CNAME", "NOERROR", ("CNAME www.example.com.",)),
    Lookup("outside.default.svc.cluster.local", "A", "NOERROR", ("CNAME www.example.com.",)),
    Lookup("inside.default.svc.cluster.local", "CNAME", "NOERROR", ("CNAME echoserver.default.svc.cluster.local.",)),
    Lookup(
        "inside.default.svc.cluster.local",
        "A",
        "NOERROR",
        ("CNAME echoserver.default.svc.cluster.local.", "echoserver.default.svc.cluster.local. A 10.99.153.85"),
    ),
    Lookup(
        "twice.default.svc.cluster.local",
        "A",
        "NOERROR",
        (
            "CNAME inside.default.svc.cluster.local.",
            "inside.default.svc.cluster.local. CNAME echoserver.default.svc.cluster.local.",
            "echoserver.default.svc.cluster.local. A 10.99.153.85",
        ),
    ),
    Lookup("nowhere.default.svc.cluster.local", "A", "NXDOMAIN", ("CNAME missing.default.svc.cluster.local.",)),
    Lookup("digits.default.svc.cluster.local", "A", "NXDOMAIN"),
    Lookup("_http._tcp.outside.default.svc.cluster.local", "SRV", "NXDOMAIN"),
    # reverse
    Lookup("85.153.99.10.in-addr.arpa", "PTR", "NOERROR", ("PTR echoserver.default.svc.cluster.local.",)),
    Lookup("85.153.99.10.IN-ADDR.arpa", "PTR", "NOERROR", ("PTR echoserver.default.svc.cluster.local.",)),
    Lookup("85.153.99.10.in-addr.arpa", "A", "NOERROR"),
    Lookup("142.166.168.192.in-addr.arpa", "PTR", "NOERROR", ("PTR 192-168-166-142.echoserver.default.svc.cluster.local.",)),
    Lookup("3.104.168.192.in-addr.arpa", "PTR", "NXDOMAIN"),
    Lookup("5.1.244.10.in-addr.arpa", "PTR", "NOERROR", (f"PTR db-0.{DB}",)),
    Lookup("6.1.244.10.in-addr.arpa", "PTR", "NOERROR", (f"PTR 10-244-1-6.{DB}",)),
    Lookup("7.1.244.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    Lookup("1.2.0.192.in-addr.arpa", "PTR", "NXDOMAIN"),
    Lookup("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.0.d.f.ip6.arpa", "PTR", "NOERROR", (f"PTR db-0.{DB}",)),
    Lookup("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.0.d.f.ip6.arpa", "PTR", "NXDOMAIN"),
]
