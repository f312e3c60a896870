"""resolv.conf, hosts and hostname of a pod, as the kubelet's own tests state them."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.pod import HostAlias, Pod
from klab.errors import KlabError
from klab.kubelet.resolv import (
    ClusterDns,
    PodName,
    ResolvConf,
    parse_resolv_conf,
    plan_pod_name,
    plan_resolv_conf,
    render_hosts,
    render_node_hosts,
    render_resolv_conf,
)

CLUSTER = ClusterDns(("10.96.0.10",), "cluster.local")
EMPTY = ResolvConf()
NODE = ResolvConf(("192.0.2.53",), ("corp.example",), ("timeout:1",))


def pod(**spec: Any) -> Pod:
    return Pod.of({"metadata": {"name": spec.pop("name", "web-0"), "namespace": spec.pop("namespace", "default")}, "spec": spec})


def text_of(pod: Pod, cluster: ClusterDns = CLUSTER, node: ResolvConf = EMPTY) -> str:
    return render_resolv_conf(plan_resolv_conf(pod, cluster, node)[0])


CLUSTER_TEXT = "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n"
NODE_TEXT = "search corp.example\nnameserver 192.0.2.53\noptions timeout:1\n"


@pytest.mark.parametrize(
    ("policy", "host_network", "expected"),
    [
        ("ClusterFirst", False, CLUSTER_TEXT),
        ("ClusterFirst", True, NODE_TEXT),
        ("ClusterFirstWithHostNet", True, CLUSTER_TEXT),
        ("ClusterFirstWithHostNet", False, CLUSTER_TEXT),
        ("Default", False, NODE_TEXT),
        ("Default", True, NODE_TEXT),
        ("None", False, ""),
    ],
)
def test_dns_policy(policy: str, host_network: bool, expected: str) -> None:
    assert expected == text_of(pod(dnsPolicy=policy, hostNetwork=host_network), node=NODE)


def test_cluster_first_names_the_pods_own_namespace() -> None:
    assert text_of(pod(namespace="shop")).startswith("search shop.svc.cluster.local svc.cluster.local cluster.local\n")


def test_cluster_first_without_cluster_dns_falls_back_to_default_and_says_so() -> None:
    conf, notes = plan_resolv_conf(pod(), ClusterDns(), NODE)
    assert (conf, [note.reason for note in notes]) == (NODE, ["MissingClusterDNS"])


def test_none_with_dns_config_has_only_that() -> None:
    config = {"nameservers": ["1.2.3.4"], "searches": ["a.example", "b.example"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}
    assert text_of(pod(dnsPolicy="None", dnsConfig=config), node=NODE) == "search a.example b.example\nnameserver 1.2.3.4\noptions ndots:2 edns0\n"


def test_dns_config_is_merged_without_duplicates_and_its_options_win() -> None:
    config = {
        "nameservers": ["10.96.0.10", "1.2.3.4"],
        "searches": ["cluster.local", "x.example"],
        "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}],
    }
    search = "search default.svc.cluster.local svc.cluster.local cluster.local x.example\n"
    expected = search + "nameserver 10.96.0.10\nnameserver 1.2.3.4\noptions ndots:1 rotate\n"
    assert expected == text_of(pod(dnsConfig=config))


def test_a_fourth_nameserver_is_left_out_with_an_event() -> None:
    conf, notes = plan_resolv_conf(pod(dnsConfig={"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3"]}), CLUSTER, ResolvConf())
    assert conf.nameservers == ("10.96.0.10", "1.1.1.1", "2.2.2.2")
    assert [(note.reason, note.message.rpartition(": ")[2]) for note in notes] == [("DNSConfigForming", "10.96.0.10 1.1.1.1 2.2.2.2")]


def test_search_paths_are_limited_by_number_length_and_sum() -> None:
    conf, notes = plan_resolv_conf(pod(dnsConfig={"searches": [f"s{i}.example" for i in range(32)]}), CLUSTER, ResolvConf())
    assert (len(conf.searches), conf.searches[-1], len(notes)) == (32, "s28.example", 1)
    long = ".".join(["x" * 60] * 4)
    conf, notes = plan_resolv_conf(pod(dnsConfig={"searches": [long + "." + "y" * 60, "z.example"]}), CLUSTER, ResolvConf())
    assert (conf.searches[3:], len(notes)) == (("z.example",), 1)
    conf, notes = plan_resolv_conf(pod(dnsPolicy="None", dnsConfig={"searches": [f"{i:04}.{long[:-5]}" for i in range(10)]}), CLUSTER, ResolvConf())
    assert (len(conf.searches), len(notes)) == (8, 1)
    assert len(" ".join(conf.searches)) <= 2048


def test_parse_resolv_conf() -> None:
    head = "# search no.example\nnameserver 1.1.1.1\nsearch old.example\n\nnameserver fd00::1 extra\n"
    text = head + "options a b:1\nsearch new.example. . other\nnameserver\noptions c\n"
    assert ResolvConf(("1.1.1.1", "fd00::1"), ("new.example", ".", "other"), ("c",)) == parse_resolv_conf(text)
    assert parse_resolv_conf("") == ResolvConf()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, PodName("web-0", "", "web-0")),
        ({"hostname": "db"}, PodName("db", "", "db")),
        ({"subdomain": "nginx"}, PodName("web-0", "nginx.default.svc.cluster.local", "web-0")),
        (
            {"hostname": "db", "subdomain": "sub", "setHostnameAsFQDN": True},
            PodName("db", "sub.default.svc.cluster.local", "db.sub.default.svc.cluster.local"),
        ),
        ({"hostname": "db", "setHostnameAsFQDN": True}, PodName("db", "", "db")),
        ({"name": "a" * 62 + ".bcd"}, PodName("a" * 62, "", "a" * 62)),
        ({"name": "a" * 70}, PodName("a" * 63, "", "a" * 63)),
    ],
)
def test_pod_name(spec: dict[str, Any], expected: PodName) -> None:
    assert plan_pod_name(pod(**spec), "cluster.local") == expected


def test_a_fqdn_longer_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(KlabError, match=r"64 characters is the max, 88 characters requested"):
        plan_pod_name(pod(name="a" * 60, subdomain="b", setHostnameAsFQDN=True), "cluster.local")


LOCAL = (
    "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
)
ALIASES = [HostAlias("127.0.0.1", ("foo.local", "bar.local")), HostAlias("10.1.2.3", ("foo.remote",))]
ALIAS_LINES = "\n# Entries added by HostAliases.\n127.0.0.1\tfoo.local\tbar.local\n10.1.2.3\tfoo.remote\n"


def test_hosts() -> None:
    plain, domain = PodName("web-0", "", "web-0"), PodName("web-0", "nginx.default.svc.cluster.local", "web-0")
    assert render_hosts(plain, ["10.1.0.5"]) == LOCAL + "10.1.0.5\tweb-0\n"
    line = "\tweb-0.nginx.default.svc.cluster.local\tweb-0\n"
    assert LOCAL + "10.1.0.5" + line + "fd00::5" + line + ALIAS_LINES == render_hosts(domain, ["10.1.0.5", "fd00::5"], ALIASES)


def test_hosts_on_the_nodes_network() -> None:
    head = "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost node1\n"
    assert head == render_node_hosts("127.0.0.1 localhost node1\n")
    assert head + ALIAS_LINES == render_node_hosts("127.0.0.1 localhost node1\n", ALIASES)
