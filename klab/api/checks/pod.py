"""Checks of a pod spec, of a Pod or of a template (kubernetes pkg/apis/core/validation)."""

from __future__ import annotations

import json

from klab.api.checks.container import check_container
from klab.api.checks.meta import check_label_selector, check_labels
from klab.api.names import check_dns_label, check_dns_subdomain, check_label_key, check_label_value
from klab.api.pod import IP_ADDRS_ANNOTATION
from klab.api.reader import Reader

_MOST_NAMESERVERS = 3
_MOST_SEARCHES = 32
_SEARCH_CHARACTERS = 2048
_INT32 = range(1, 1 << 31)


def check_pod(pod: Reader) -> None:
    """Check a Pod beyond its metadata."""
    check_pod_spec(pod.mapping("spec"))
    check_fixed_addresses(pod.mapping("metadata"))


def check_pod_spec(spec: Reader, claims: frozenset[str] = frozenset()) -> None:
    """Check a pod spec; `claims` are volumes that a StatefulSet's claim templates add. spec.containers must not be empty."""
    volumes = _check_volumes(spec)
    _check_containers(spec, volumes | claims)
    spec.not_negative("terminationGracePeriodSeconds")
    spec.within("activeDeadlineSeconds", _INT32)
    for key in ("hostname", "subdomain"):
        if text := spec.text(key):
            spec.invalid(key, text, *check_dns_label(text))
    for key in ("nodeName", "serviceAccountName", "priorityClassName", "runtimeClassName"):
        if text := spec.text(key):
            spec.invalid(key, text, *check_dns_subdomain(text))
    check_labels(spec, "nodeSelector")
    _check_dns(spec)
    _check_host_aliases(spec)
    _check_tolerations(spec)
    _check_affinity(spec.mapping("affinity"))
    _check_spread(spec)


def check_fixed_addresses(meta: Reader) -> None:
    """Check Calico's annotation for fixed pod addresses: a JSON list with one IP address (of each family)."""
    text = meta.text_map("annotations").get(IP_ADDRS_ANNOTATION)
    if text is None:
        return
    key = f"annotations[{IP_ADDRS_ANNOTATION}]"
    try:
        addresses = json.loads(text)
    except ValueError:
        addresses = None
    if not isinstance(addresses, list) or not addresses or not all(isinstance(address, str) for address in addresses):
        meta.invalid(key, text, 'must be a JSON list of IP addresses such as ["10.244.0.5"]')
        return
    parsed = [found for address in addresses if (found := meta.address(key, address)) is not None]
    if len({address.version for address in parsed}) < len(parsed):
        meta.invalid(key, text, "may hold one address of each family only")


def _check_volumes(spec: Reader) -> set[str]:
    names: set[str] = set()
    for volume in spec.items("volumes"):
        name = volume.text("name")
        if name:
            volume.invalid("name", name, *check_dns_label(name))
        elif volume.has("name"):
            volume.required("name")
        if name in names:
            volume.duplicate("name", name)
        names.add(name)
        sources = [key for key in volume.raw if key != "name" and volume.has(key)]
        for key in sources[1:]:
            volume.forbidden(key, "may not specify more than 1 volume type")
        if volume.has("configMap") and not volume.mapping("configMap").text("name"):
            volume.mapping("configMap").required("name")
        if volume.has("secret") and not volume.mapping("secret").text("secretName"):
            volume.mapping("secret").required("secretName")
    return names


def _check_containers(spec: Reader, volumes: set[str]) -> None:
    names: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    if not spec.items("containers") and spec.value("containers", list) is not None:
        spec.required("containers")
    for key in ("initContainers", "containers"):
        for container in spec.items(key):
            check_container(container, volumes)
            name = container.text("name")
            if name and name in names:
                container.duplicate("name", name)
            names.add(name)
            if key == "initContainers" and container.text("restartPolicy") != "Always":
                _check_plain_init_container(container)
                continue
            _check_host_ports(spec, container, host_ports)


def _check_plain_init_container(container: Reader) -> None:
    for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.has(key):
            container.forbidden(key, "may not be set for init containers without restartPolicy=Always")


def _check_host_ports(spec: Reader, container: Reader, taken: set[tuple[str, str, int]]) -> None:
    for port in container.items("ports"):
        number, wanted = port.integer("containerPort") or 0, port.integer("hostPort") or 0
        if spec.flag("hostNetwork"):
            if wanted and wanted != number:
                port.invalid("hostPort", wanted, "must match `containerPort` when `hostNetwork` is true")
            wanted = number
        if not wanted:
            continue
        key = (port.text("protocol", "TCP"), port.text("hostIP"), wanted)
        if key in taken:
            port.duplicate("hostPort", "/".join(map(str, key)))
        taken.add(key)


def _check_dns(spec: Reader) -> None:
    config = spec.mapping("dnsConfig")
    if spec.text("dnsPolicy") == "None" and not spec.has("dnsConfig"):
        spec.required("dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    elif spec.text("dnsPolicy") == "None" and not config.value("nameservers", list):
        config.required("nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    nameservers = list(config.texts("nameservers"))
    if len(nameservers) > _MOST_NAMESERVERS:
        config.invalid("nameservers", [text for _, text in nameservers], f"must not have more than {_MOST_NAMESERVERS} nameservers")
    for key, text in nameservers:
        config.address(key, text)
    _check_searches(config, list(config.texts("searches")))
    for option in config.items("options"):
        if not option.text("name"):
            option.required("name", "must not be empty")


def _check_searches(config: Reader, searches: list[tuple[str, str]]) -> None:
    if len(searches) > _MOST_SEARCHES:
        config.invalid("searches", [text for _, text in searches], f"must not have more than {_MOST_SEARCHES} search paths")
    if sum(len(text) + 1 for _, text in searches) - 1 > _SEARCH_CHARACTERS:
        config.fault("searches", f"Too long: must not have more than {_SEARCH_CHARACTERS} characters (including spaces) in the search list")
    for key, text in searches:
        if text != ".":
            config.invalid(key, text, *check_dns_subdomain(text.removesuffix(".").replace("_", "a")))


def _check_host_aliases(spec: Reader) -> None:
    for alias in spec.items("hostAliases"):
        if alias.text("ip"):
            alias.address("ip", alias.text("ip"))
        for key, name in alias.texts("hostnames"):
            alias.invalid(key, name, *check_dns_subdomain(name))


def _check_tolerations(spec: Reader) -> None:
    for toleration in spec.items("tolerations"):
        key, operator, value = toleration.text("key"), toleration.text("operator"), toleration.text("value")
        if key:
            toleration.invalid("key", key, *check_label_key(key))
        elif operator != "Exists":
            toleration.invalid("operator", operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"')
        if toleration.has("tolerationSeconds") and toleration.text("effect") != "NoExecute":
            toleration.invalid("effect", toleration.text("effect"), "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if operator == "Exists" and value:
            toleration.invalid("operator", value, "value must be empty when `operator` is 'Exists'")
        elif operator in {"", "Equal"}:
            toleration.invalid("operator", value, *check_label_value(value))


def _check_affinity(affinity: Reader) -> None:
    node = affinity.mapping("nodeAffinity")
    required = node.mapping("requiredDuringSchedulingIgnoredDuringExecution")
    if node.has("requiredDuringSchedulingIgnoredDuringExecution") and not required.value("nodeSelectorTerms", list):
        required.required("nodeSelectorTerms", "must have at least one node selector term")
    for term in required.items("nodeSelectorTerms"):
        _check_node_term(term)
    for preferred in node.items("preferredDuringSchedulingIgnoredDuringExecution"):
        preferred.within("weight", range(1, 101))
        _check_node_term(preferred.mapping("preference"))
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.mapping(kind)
        for term in pods.items("requiredDuringSchedulingIgnoredDuringExecution"):
            _check_pod_term(term)
        for preferred in pods.items("preferredDuringSchedulingIgnoredDuringExecution"):
            preferred.within("weight", range(1, 101))
            _check_pod_term(preferred.mapping("podAffinityTerm"))


def _check_node_term(term: Reader) -> None:
    for expression in term.items("matchExpressions"):
        key, operator, values = expression.text("key"), expression.text("operator"), expression.value("values", list) or []
        if key:
            expression.invalid("key", key, *check_label_key(key))
        if operator in {"In", "NotIn"} and not values:
            expression.required("values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"} and values:
            expression.forbidden("values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator in {"Gt", "Lt"} and len(values) != 1:
            expression.required("values", "must be specified single value when `operator` is 'Lt' or 'Gt'")


def _check_pod_term(term: Reader) -> None:
    check_label_selector(term.mapping("labelSelector"))
    if term.has("topologyKey") and not term.text("topologyKey"):
        term.required("topologyKey", "can not be empty")
    elif key := term.text("topologyKey"):
        term.invalid("topologyKey", key, *check_label_key(key))


def _check_spread(spec: Reader) -> None:
    for constraint in spec.items("topologySpreadConstraints"):
        skew = constraint.integer("maxSkew")
        if skew is not None and skew <= 0:
            constraint.invalid("maxSkew", skew, "must be greater than zero")
        if key := constraint.text("topologyKey"):
            constraint.invalid("topologyKey", key, *check_label_key(key))
        check_label_selector(constraint.mapping("labelSelector"))
