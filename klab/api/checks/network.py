"""Checks of Services, Endpoints, EndpointSlices, Ingresses and NetworkPolicies."""

from __future__ import annotations

from klab.api.checks.container import check_port
from klab.api.checks.meta import check_label_selector, check_labels
from klab.api.names import check_dns_label, check_dns_subdomain, check_port_name
from klab.api.reader import PORTS, Reader

_MOST_AFFINITY_SECONDS = 86400
_MOST_ENDPOINTS = 1000
_WILDCARD = "*."


def check_service(service: Reader) -> None:
    """Check a Service (ValidateService); ranges and what is taken are the allocators' business."""
    spec = service.mapping("spec")
    kind = spec.text("type", "ClusterIP")
    headless = spec.text("clusterIP") == "None" or "None" in (spec.value("clusterIPs", list) or ())
    ports = spec.items("ports")
    if not ports and not headless and kind != "ExternalName":
        spec.required("ports")
    _check_type(spec, kind, headless=headless)
    _check_service_ports(ports, kind)
    check_labels(spec, "selector")
    _check_affinity(spec)
    _check_service_addresses(spec, kind)
    outside = kind in {"NodePort", "LoadBalancer"} or (kind == "ClusterIP" and bool(spec.value("externalIPs", list)))
    if spec.text("externalTrafficPolicy") and not outside:
        spec.invalid("externalTrafficPolicy", spec.text("externalTrafficPolicy"), "may only be set for externally-accessible services")
    if port := spec.integer("healthCheckNodePort"):
        if kind != "LoadBalancer" or spec.text("externalTrafficPolicy") != "Local":
            spec.invalid("healthCheckNodePort", port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
        spec.within("healthCheckNodePort", PORTS)
    for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec.has(key) and kind != "LoadBalancer":
            spec.forbidden(key, "may only be used when `type` is 'LoadBalancer'")
    distribution, known = spec.text("trafficDistribution"), ("PreferClose", "PreferSameZone", "PreferSameNode")
    if distribution and distribution not in known:
        spec.unsupported("trafficDistribution", distribution, known)


def _check_type(spec: Reader, kind: str, *, headless: bool) -> None:
    if kind in {"LoadBalancer", "NodePort"} and headless:
        spec.invalid("clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind != "ExternalName":
        return
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.value(key, list) or spec.text(key) or (key == "clusterIPs" and spec.text("clusterIP")):
            spec.forbidden(key, "may not be set for ExternalName services")
    if name := spec.text("externalName").removesuffix("."):
        spec.invalid("externalName", name, *check_dns_subdomain(name))
    else:
        spec.required("externalName")


def _check_service_ports(ports: list[Reader], kind: str) -> None:
    names: set[str] = set()
    numbers: set[tuple[str, int | None]] = set()
    node_ports: set[tuple[str, int]] = set()
    for port in ports:
        name, number, protocol = port.text("name"), port.integer("port"), port.text("protocol", "TCP")
        if not name and len(ports) > 1:
            port.required("name")
        elif name:
            port.invalid("name", name, *check_dns_label(name))
            if name in names:
                port.duplicate("name", name)
        names.add(name)
        port.within("port", PORTS)
        if port.integer("targetPort") or port.text("targetPort"):
            check_port(port, "targetPort")
        if number is not None and (protocol, number) in numbers:
            port.duplicate("", {"protocol": protocol, "port": number})
        numbers.add((protocol, number))
        if node_port := port.integer("nodePort"):
            if kind == "ClusterIP":
                port.forbidden("nodePort", "may not be used when `type` is 'ClusterIP'")
            port.within("nodePort", PORTS)
            if (protocol, node_port) in node_ports:
                port.duplicate("nodePort", node_port)
            node_ports.add((protocol, node_port))


def _check_affinity(spec: Reader) -> None:
    if spec.text("sessionAffinity") != "ClientIP":
        return
    config = spec.mapping("sessionAffinityConfig").mapping("clientIP")
    seconds = config.integer("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= _MOST_AFFINITY_SECONDS:
        config.invalid("timeoutSeconds", seconds, f"must be greater than 0 and less than {_MOST_AFFINITY_SECONDS}")


def _check_service_addresses(spec: Reader, kind: str) -> None:
    single, several = spec.text("clusterIP"), list(spec.texts("clusterIPs"))
    if single and several and several[0][1] != single:
        spec.invalid("clusterIPs[0]", several[0][1], "first value must match `clusterIP`")
    for key, text in several or [("clusterIP", single)]:
        if text not in {"", "None"}:
            spec.address(key, text)
    for key, text in spec.texts("externalIPs"):
        _check_endpoint_address(spec, key, text)
    for key, text in spec.texts("loadBalancerSourceRanges"):
        spec.network(key, text.strip())
    if spec.value("loadBalancerSourceRanges", list) and kind != "LoadBalancer":
        spec.forbidden("loadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
    if text := spec.text("loadBalancerIP"):
        spec.address("loadBalancerIP", text)


def _check_endpoint_address(reader: Reader, key: str, text: str) -> None:
    """Check an address that traffic is sent to: no special one (ValidateEndpointIP)."""
    address = reader.address(key, text)
    if address is None:
        return
    if address.is_unspecified:
        reader.invalid(key, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        reader.invalid(key, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        reader.invalid(key, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast:
        reader.invalid(key, text, "may not be in the multicast range (224.0.0.0/4, ff00::/10)")


def check_endpoints(endpoints: Reader) -> None:
    """Check an Endpoints object."""
    for subset in endpoints.items("subsets"):
        for key in ("addresses", "notReadyAddresses"):
            for address in subset.items(key):
                if address.text("ip"):
                    _check_endpoint_address(address, "ip", address.text("ip"))
        for port in subset.items("ports"):
            if name := port.text("name"):
                port.invalid("name", name, *check_dns_label(name))
            port.within("port", PORTS)


def check_endpoint_slice(piece: Reader) -> None:
    """Check an EndpointSlice."""
    endpoints = piece.items("endpoints")
    if len(endpoints) > _MOST_ENDPOINTS:
        piece.fault("endpoints", f"Too many: {len(endpoints)}: must have at most {_MOST_ENDPOINTS} items")
    for endpoint in endpoints:
        _check_slice_endpoint(endpoint, piece.text("addressType"))
    names: set[str] = set()
    for port in piece.items("ports"):
        name = port.text("name")
        if name:
            port.invalid("name", name, *check_dns_label(name))
        if name in names:
            port.duplicate("name", name)
        names.add(name)
        port.within("port", PORTS)


def _check_slice_endpoint(endpoint: Reader, kind: str) -> None:
    addresses = list(endpoint.texts("addresses"))
    if not addresses and endpoint.has("addresses"):
        endpoint.required("addresses", "must contain at least 1 address")
    for key, text in addresses:
        if kind not in {"IPv4", "IPv6"}:
            endpoint.invalid(key, text, *check_dns_subdomain(text))
            continue
        _check_endpoint_address(endpoint, key, text)
        if (":" in text) is not (kind == "IPv6"):
            endpoint.invalid(key, text, f"must be an {kind} address")
    if hostname := endpoint.text("hostname"):
        endpoint.invalid("hostname", hostname, *check_dns_label(hostname))


def check_ingress(ingress: Reader) -> None:
    """Check an Ingress."""
    spec = ingress.mapping("spec")
    if not spec.items("rules") and not spec.has("defaultBackend"):
        spec.invalid("", spec.raw.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if spec.has("defaultBackend"):
        _check_backend(spec.mapping("defaultBackend"))
    if name := spec.text("ingressClassName"):
        spec.invalid("ingressClassName", name, *check_dns_subdomain(name))
    for rule in spec.items("rules"):
        _check_host(rule, "host", rule.text("host"))
        _check_paths(rule.mapping("http"))
    for tls in spec.items("tls"):
        for key, host in tls.texts("hosts"):
            _check_host(tls, key, host)
        if name := tls.text("secretName"):
            tls.invalid("secretName", name, *check_dns_subdomain(name))


def _check_paths(http: Reader) -> None:
    if http.has("paths") and not http.items("paths"):
        http.required("paths")
    for path in http.items("paths"):
        _check_path(path)
        if path.has("backend"):
            _check_backend(path.mapping("backend"))


def _check_host(reader: Reader, key: str, host: str) -> None:
    if not host:
        return
    if host.replace(".", "").isdecimal() or ":" in host:
        reader.invalid(key, host, "must be a DNS name, not an IP address")
    elif "*" in host:
        faults = check_dns_subdomain(host.removeprefix(_WILDCARD))
        if faults or not host.startswith(_WILDCARD):
            reader.invalid(key, host, "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain (e.g. '*.example.com')")
    else:
        reader.invalid(key, host, *check_dns_subdomain(host))


def _check_path(path: Reader) -> None:
    kind, text = path.text("pathType"), path.text("path")
    if kind in {"Exact", "Prefix"}:
        if not text.startswith("/"):
            path.invalid("path", text, "must be an absolute path")
            return
        for sequence in ("//", "/./", "/../", "%2f", "%2F"):
            if sequence in text:
                path.invalid("path", text, f"must not contain '{sequence}'")
        for suffix in ("/..", "/."):
            if text.endswith(suffix):
                path.invalid("path", text, f"cannot end with '{suffix}'")
    elif text and not text.startswith("/"):
        path.invalid("path", text, "must be an absolute path")


def _check_backend(backend: Reader) -> None:
    if backend.has("resource") and backend.has("service"):
        backend.invalid("", "", "cannot set both resource and service backends")
    elif backend.has("service"):
        service = backend.mapping("service")
        if name := service.text("name"):
            service.invalid("name", name, *check_dns_label(name))
        elif service.has("name"):
            service.required("name")
        port = service.mapping("port")
        if port.text("name") and port.integer("number"):
            backend.invalid("", "", "cannot set both port name & port number")
        elif name := port.text("name"):
            port.invalid("name", name, *check_port_name(name))
        elif port.integer("number"):
            port.within("number", PORTS)
        else:
            backend.required("", "port name or number is required")
    elif not backend.has("resource"):
        backend.invalid("", "", "resource or service backend is required")


def check_network_policy(policy: Reader) -> None:
    """Check a NetworkPolicy."""
    spec = policy.mapping("spec")
    check_label_selector(spec.mapping("podSelector"))
    for rules, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.items(rules):
            for port in rule.items("ports"):
                _check_policy_port(port)
            for peer in rule.items(peers):
                _check_peer(peer)


def _check_policy_port(port: Reader) -> None:
    check_port(port, "port")
    number, last = port.integer("port"), port.integer("endPort")
    if last is None:
        return
    port.within("endPort", PORTS)
    if not port.has("port"):
        port.invalid("endPort", last, "may not be specified when `port` is not specified")
    elif number is None:
        port.invalid("endPort", last, "may not be specified when `port` is non-numeric")
    elif last < number:
        port.invalid("endPort", last, "must be greater than or equal to `port`")


def _check_peer(peer: Reader) -> None:
    found = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if peer.has(key)]
    if not found:
        peer.required("", "must specify a peer")
    elif "ipBlock" in found and len(found) > 1:
        peer.forbidden("", "may not specify both ipBlock and another peer")
    for key in ("podSelector", "namespaceSelector"):
        check_label_selector(peer.mapping(key))
    block = peer.mapping("ipBlock")
    network = block.network("cidr", block.text("cidr")) if block.text("cidr") else None
    for key, text in block.texts("except"):
        inner = block.network(key, text)
        if network is None or inner is None:
            continue
        if inner.version != network.version or inner.prefixlen <= network.prefixlen or not network.overlaps(inner):
            block.invalid(key, text, "must be a strict subset of `cidr`")
