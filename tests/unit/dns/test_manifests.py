"""The objects of cluster DNS."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from klab.api.schema import validate
from klab.dns.manifests import calc_dns_address, plan_objects, render_kubeadm_corefile
from klab.errors import KlabError


def test_kube_dns_has_the_tenth_address() -> None:
    assert calc_dns_address(IPv4Network("10.96.0.0/12")) == "10.96.0.10"
    assert calc_dns_address(IPv6Network("fd00:10:96::/112")) == "fd00:10:96::a"
    assert calc_dns_address(IPv4Network("10.96.0.0/28")) == "10.96.0.10"
    with pytest.raises(KlabError, match=r"10\.96\.0\.0/29 has no address number 10 for kube-dns"):
        calc_dns_address(IPv4Network("10.96.0.0/29"))


@pytest.mark.parametrize("program", [None, "/usr/local/bin/coredns"])
def test_the_objects_are_valid_and_fit_together(program: str | None) -> None:
    objects = {obj["kind"]: obj for obj in plan_objects("10.96.0.10", {"Corefile": "."}, program=program)}
    assert [fault for obj in objects.values() for fault in validate(obj)] == []
    service, deployment, config = objects["Service"], objects["Deployment"], objects["ConfigMap"]
    assert (service["metadata"]["namespace"], service["metadata"]["name"], service["spec"]["clusterIP"]) == ("kube-system", "kube-dns", "10.96.0.10")
    assert [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
        ("metrics", 9153, "TCP"),
    ]
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert config["data"] == {"Corefile": "."}
    (container,) = template["spec"]["containers"]
    assert (container.get("command"), "readinessProbe" in container) == (([program], True) if program else (None, False))


def test_kubeadms_corefile() -> None:
    assert render_kubeadm_corefile("cluster.local").splitlines()[4:8] == [
        "    kubernetes cluster.local in-addr.arpa ip6.arpa {",
        "       pods insecure",
        "    }",
        "    prometheus :9153",
    ]
    text = render_kubeadm_corefile("cluster.local", ["192.0.2.53"], "http://10.96.0.1:80")
    for line in ("       endpoint http://10.96.0.1:80", "       fallthrough in-addr.arpa ip6.arpa", "    forward . 192.0.2.53 {", "    loop"):
        assert line in text.splitlines()
