"""`describe` of what leads to pods: services, endpoints, endpoint slices, ingresses, network policies."""

from __future__ import annotations

from collections.abc import Sequence

from klab.cli.describers.lookup import Lookup
from klab.cli.describers.text import Description, Object
from klab.cli.printers.network import load_balancer
from klab.cli.printers.values import NONE, UNSET, dig, host_port, labels_text, parse_time, selector_text

_LIMIT = 3


def describe_service(service: Object, lookup: Lookup) -> str:
    """Describe a service and the endpoints behind each of its ports."""
    text = Description()
    spec, namespace = dig(service, "spec", default={}), service["metadata"].get("namespace", "")
    text.heading(service)
    text.field("Selector", labels_text(spec.get("selector")))
    text.field("Type", spec.get("type", ""))
    text.optional("IP Family Policy", spec.get("ipFamilyPolicy"))
    text.field("IP Families", ",".join(spec.get("ipFamilies") or ()) or NONE)
    text.field("IP", spec.get("clusterIP", ""))
    text.field("IPs", ",".join(spec.get("clusterIPs") or ()) or NONE)
    text.optional("External IPs", ",".join(spec.get("externalIPs") or ()))
    text.optional("Desired LoadBalancer IP", spec.get("loadBalancerIP"))
    text.optional("External Name", spec.get("externalName"))
    text.optional("LoadBalancer Ingress", ", ".join(map(_ingress_point, dig(service, "status", "loadBalancer", "ingress", default=()))))
    slices = lookup.slices(service, namespace)
    for port in spec.get("ports") or ():
        _describe_port(text, port, slices)
    text.field("Session Affinity", spec.get("sessionAffinity", ""))
    text.optional("External Traffic Policy", spec.get("externalTrafficPolicy"))
    text.optional("Internal Traffic Policy", spec.get("internalTrafficPolicy"))
    text.optional("HealthCheck NodePort", spec.get("healthCheckNodePort"))
    text.optional("LoadBalancer Source Ranges", ",".join(spec.get("loadBalancerSourceRanges") or ()))
    text.events(lookup.events(service), lookup.now)
    return text.text()


def _ingress_point(point: Object) -> str:
    if point.get("ip"):
        return f"{point['ip']} ({point['ipMode']})" if point.get("ipMode") else str(point["ip"])
    return str(point.get("hostname", ""))


def _describe_port(text: Description, port: Object, slices: Sequence[Object]) -> None:
    name, protocol = port.get("name") or UNSET, port.get("protocol", "TCP")
    text.field("Port", f"{name}\t{port['port']}/{protocol}")
    text.field("TargetPort", f"{port.get('targetPort', port['port'])}/{protocol}")
    if port.get("nodePort"):
        text.field("NodePort", f"{name}\t{port['nodePort']}/{protocol}")
    text.field("Endpoints", slices_text(slices, port.get("name", "")))


def slices_text(slices: Sequence[Object], port_name: str) -> str:
    """Give the first three ready addresses of endpoint slices, with the port of that name."""
    if not slices:
        return NONE
    found: list[str] = []
    for one in slices:
        ready = [endpoint["addresses"][0] for endpoint in dig(one, "endpoints", default=()) if dig(endpoint, "conditions", "ready", default=True)]
        ports = dig(one, "ports", default=())
        wanted = [port.get("port", 0) for port in ports if (port.get("name") or "") == port_name]
        found += [host_port(address, port) for port in wanted for address in ready] if ports else ready
    return ",".join(found[:_LIMIT]) + (f" + {len(found) - _LIMIT} more..." if len(found) > _LIMIT else "")


def describe_endpoints(endpoints: Object, lookup: Lookup) -> str:
    """Describe an Endpoints object."""
    text = Description()
    text.heading(endpoints)
    text.line("Subsets:")
    for subset in dig(endpoints, "subsets", default=()):
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            text.field(title, ",".join(one["ip"] for one in subset.get(field) or ()) or NONE, 1)
        if subset.get("ports"):
            text.line("Ports:", 1)
            rows = [(port.get("name") or UNSET, port["port"], port.get("protocol", "TCP")) for port in subset["ports"]]
            text.table(("Name", "Port", "Protocol"), rows, 2)
        text.line("")
    text.events(lookup.events(endpoints), lookup.now)
    return text.text()


def describe_endpoint_slice(endpoint_slice: Object, lookup: Lookup) -> str:
    """Describe an EndpointSlice."""
    text = Description()
    text.heading(endpoint_slice)
    text.field("AddressType", endpoint_slice.get("addressType", ""))
    ports = endpoint_slice.get("ports") or ()
    text.line("Ports:" if ports else f"Ports: {UNSET}")
    if ports:
        rows = [(port.get("name") or UNSET, port.get("port", UNSET), port.get("protocol", "TCP")) for port in ports]
        text.table(("Name", "Port", "Protocol"), rows)
    found = endpoint_slice.get("endpoints") or ()
    text.line("Endpoints:" if found else f"Endpoints: {NONE}")
    for endpoint in found:
        _describe_endpoint(text, endpoint)
    text.events(lookup.events(endpoint_slice), lookup.now)
    return text.text()


def _describe_endpoint(text: Description, endpoint: Object) -> None:
    text.field("- Addresses", ", ".join(endpoint.get("addresses") or ()) or NONE, 1)
    text.line("Conditions:", 2)
    ready = dig(endpoint, "conditions", "ready")
    text.field("Ready", UNSET if ready is None else str(ready).lower(), 3)
    text.field("Hostname", endpoint.get("hostname", UNSET), 2)
    if target := endpoint.get("targetRef"):
        text.field("TargetRef", f"{target.get('kind', '')}/{target.get('name', '')}", 2)
    text.field("NodeName", endpoint.get("nodeName", UNSET), 2)
    text.field("Zone", endpoint.get("zone", UNSET), 2)


def describe_ingress(ingress: Object, lookup: Lookup) -> str:
    """Describe an ingress: hosts, paths, and the endpoints behind them."""
    text = Description()
    spec, namespace = dig(ingress, "spec", default={}), ingress["metadata"].get("namespace", "")
    text.field("Name", ingress["metadata"]["name"])
    text.labels("Labels", ingress["metadata"].get("labels"))
    text.field("Namespace", namespace)
    text.field("Address", load_balancer(ingress, wide=True))
    text.field("Ingress Class", spec.get("ingressClassName", NONE))
    default = _backend(spec["defaultBackend"], namespace, lookup) if spec.get("defaultBackend") else "<default>"
    text.field("Default backend", default)
    if spec.get("tls"):
        text.line("TLS:")
        for tls in spec["tls"]:
            hosts = ",".join(tls.get("hosts") or ())
            text.line(f"{tls['secretName']} terminates {hosts}" if tls.get("secretName") else f"SNI routes {hosts}", 1)
    text.line("Rules:")
    text.line("Host\tPath\tBackends", 1)
    text.line("----\t----\t--------", 1)
    rules = [rule for rule in spec.get("rules") or () if rule.get("http")]
    for rule in rules:
        text.line(f"{rule.get('host') or '*'}\t", 1)
        for path in rule["http"].get("paths") or ():
            text.line(f"\t{path.get('path', '')} \t{_backend(path['backend'], namespace, lookup)}", 2)
    if not rules:
        text.line(f"*\t*\t{default}", 1)
    text.annotations("Annotations", ingress["metadata"].get("annotations"))
    text.events(lookup.events(ingress), lookup.now)
    return text.text()


def _backend(backend: Object, namespace: str, lookup: Lookup) -> str:
    """Write a backend with the endpoints behind it: `web:80 (10.0.0.1:8080)`."""
    if resource := backend.get("resource"):
        return f"APIGroup: {resource.get('apiGroup', NONE)}, Kind: {resource.get('kind')}, Name: {resource.get('name')}"
    name, port = dig(backend, "service", "name", default=""), dig(backend, "service", "port", default={})
    title = f"{name}:{port.get('number') or port.get('name', '')}"
    service = lookup.find("services", namespace, name)
    if service is None:
        return f'{title} (<error: services "{name}" not found>)'
    wanted = [
        one for one in dig(service, "spec", "ports", default=()) if port.get("number") == one["port"] or port.get("name", "") == one.get("name")
    ]
    return f"{title} ({slices_text(lookup.slices(service, namespace), wanted[0].get('name', '') if wanted else '')})"


def describe_ingress_class(ingress_class: Object, lookup: Lookup) -> str:
    """Describe an ingress class."""
    text = Description()
    text.heading(ingress_class, namespaced=False)
    text.field("Controller", dig(ingress_class, "spec", "controller", default=""))
    if parameters := dig(ingress_class, "spec", "parameters"):
        text.line("Parameters:")
        text.optional("APIGroup", parameters.get("apiGroup"), 1)
        text.field("Kind", parameters.get("kind", ""), 1)
        text.field("Name", parameters.get("name", ""), 1)
    text.events(lookup.events(ingress_class), lookup.now)
    return text.text()


def describe_network_policy(policy: Object, lookup: Lookup) -> str:
    """Describe a network policy."""
    del lookup
    text = Description()
    spec = dig(policy, "spec", default={})
    text.field("Name", policy["metadata"]["name"])
    text.field("Namespace", policy["metadata"].get("namespace", ""))
    created = policy["metadata"].get("creationTimestamp", "")
    text.field("Created on", _go_time(created))
    text.marks(policy)
    text.line("Spec:")
    everyone = "<none> (Allowing the specific traffic to all pods in this namespace)"
    text.line(f"PodSelector:     {selector_text(spec.get('podSelector')) or everyone}", 1)
    types = spec.get("policyTypes") or ()
    for way, peers, title in (("Ingress", "from", "From"), ("Egress", "to", "To")):
        if way in types:
            text.line(f"Allowing {way.lower()} traffic:", 1)
            _describe_rules(text, way.lower(), spec.get(way.lower()) or (), (peers, title))
        else:
            text.line(f"Not affecting {way.lower()} traffic", 1)
    text.line(f"Policy Types: {', '.join(types) or NONE}", 1)
    return text.text()


def _go_time(timestamp: str) -> str:
    """Write a time as Go prints it: `2006-01-02 15:04:05 -0700 MST`, in the local zone."""
    return parse_time(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z") if timestamp else ""


def _describe_rules(text: Description, way: str, rules: Sequence[Object], words: tuple[str, str]) -> None:
    peers, title = words
    if not rules:
        text.line(f"<none> (Selected pods are isolated for {way} connectivity)", 2)
    for at, rule in enumerate(rules):
        for port in rule.get("ports") or ():
            last, protocol = port.get("endPort"), port.get("protocol", "TCP")
            ports = f"To Port Range: {port.get('port')}-{last}" if last else f"To Port: {port.get('port', '<nil>')}"
            text.line(f"{ports}/{protocol}", 2)
        if not rule.get("ports"):
            text.line("To Port: <any> (traffic allowed to all ports)", 2)
        for peer in rule.get(peers) or ():
            _describe_peer(text, title, peer)
        if not rule.get(peers):
            text.line(f"{title}: <any> (traffic not restricted by {'source' if way == 'ingress' else 'destination'})", 2)
        if at < len(rules) - 1:
            text.line("----------", 2)


def _describe_peer(text: Description, title: str, peer: Object) -> None:
    text.line(f"{title}:", 2)
    for name, field in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
        if peer.get(field) is not None:
            text.line(f"{name}: {selector_text(peer[field]) or NONE}", 3)
    if block := peer.get("ipBlock"):
        text.line("IPBlock:", 3)
        text.line(f"CIDR: {block.get('cidr', '')}", 4)
        text.line(f"Except: {', '.join(block.get('except') or ())}", 4)
