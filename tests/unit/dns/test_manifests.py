"""The objects of cluster DNS."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from klab.api.schema import validate
from klab.dns.manifests import calc_dns_address, plan_objects, plan_program_objects, render_kubeadm_corefile
from klab.errors import KlabError


def test_kube_dns_has_the_tenth_address() -> None:
    assert calc_dns_address(IPv4Network("10.96.0.0/12")) == "10.96.0.10"
    assert calc_dns_address(IPv6Network("fd00:10:96::/112")) == "fd00:10:96::a"
    assert calc_dns_address(IPv4Network("10.96.0.0/28")) == "10.96.0.10"
    with pytest.raises(KlabError, match=r"10\.96\.0\.0/29 has no address number 10 for kube-dns"):
        calc_dns_address(IPv4Network("10.96.0.0/29"))


BUILTIN = plan_objects("10.96.0.10", ".")
PROGRAM = plan_program_objects("10.96.0.10", "/usr/local/bin/coredns", "/run/klab/lab/dns")


@pytest.mark.parametrize("planned", [pytest.param(BUILTIN, id="builtin"), pytest.param(PROGRAM, id="program")])
def test_the_objects_are_valid_and_fit_together(planned: list[dict[str, Any]]) -> None:
    objects = {obj["kind"]: obj for obj in planned}
    assert [fault for obj in objects.values() for fault in validate(obj)] == []
    service, deployment = objects["Service"], objects["Deployment"]
    assert (service["metadata"]["namespace"], service["metadata"]["name"], service["spec"]["clusterIP"]) == ("kube-system", "kube-dns", "10.96.0.10")
    assert [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
        ("metrics", 9153, "TCP"),
    ]
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]


def test_the_image_comes_with_a_corefile_to_read() -> None:
    objects = {obj["kind"]: obj for obj in BUILTIN}
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    assert spec["volumes"][0]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert objects["ConfigMap"]["data"] == {"Corefile": "."}
    assert not spec["containers"][0].keys() & {"command", "readinessProbe", "livenessProbe"}


def test_the_program_reads_a_directory_and_is_probed() -> None:
    spec = next(obj for obj in PROGRAM if obj["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert spec["volumes"][0]["hostPath"] == {"path": "/run/klab/lab/dns", "type": "Directory"}
    (container,) = spec["containers"]
    assert (container["command"], container["args"]) == (["/usr/local/bin/coredns"], ["-conf", "/etc/coredns/Corefile"])
    assert container["readinessProbe"]["httpGet"]["port"] == 8181


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
