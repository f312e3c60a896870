"""Validation of single objects beyond the schema, in the words of the real API server."""

from __future__ import annotations

from typing import Any

import pytest

from klab.api.check import check_object
from klab.api.checks.workload import is_schedule
from klab.api.defaults import default
from klab.api.schema import validate

GOOD_TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


def make(api_version: str, kind: str, spec: Any = None, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", **meta}, **({} if spec is None else {"spec": spec})}


def pod(**spec: Any) -> dict[str, Any]:
    return make("v1", "Pod", {"containers": [{"name": "c", "image": "nginx"}], **spec})


def container(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "c", "image": "nginx", **fields}])


def service(**spec: Any) -> dict[str, Any]:
    return make("v1", "Service", {"ports": [{"port": 80}], **spec})


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    return make("apps/v1", kind, {"selector": SELECTOR, "template": GOOD_TEMPLATE, **spec})


def job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "nginx"}]}}
    return make("batch/v1", "Job", {"template": template, **spec})


def ingress(**spec: Any) -> dict[str, Any]:
    return make("networking.k8s.io/v1", "Ingress", spec)


def path_rule(**path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return ingress(rules=[{"http": {"paths": [{"pathType": "Prefix", "path": "/", "backend": backend, **path}]}}])


def policy(**spec: Any) -> dict[str, Any]:
    return make("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}, **spec})


GOOD = [
    pod(),
    container(
        ports=[{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP", "name": "dns"}],
        env=[{"name": "A", "value": "b"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}],
        readinessProbe={"httpGet": {"port": "http"}},
        resources={"requests": {"cpu": "1"}, "limits": {"cpu": 1}},
    ),
    pod(
        volumes=[{"name": "v", "emptyDir": {}}],
        initContainers=[{"name": "i", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        dnsPolicy="None",
        dnsConfig={"nameservers": ["9.9.9.9"], "searches": ["my_svc.local.", "."], "options": [{"name": "ndots", "value": "2"}]},
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a.b"]}],
        tolerations=[{"operator": "Exists"}, {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 3}],
    ),
    make("v1", "Pod", pod()["spec"], annotations={"cni.projectcalico.org/ipAddrs": '["10.0.0.5"]'}),
    service(),
    service(ports=[{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "targetPort": "dns"}]),
    service(clusterIP="None", ports=[]),
    make("v1", "Service", {"type": "ExternalName", "externalName": "example.com."}),
    service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8 "], externalTrafficPolicy="Local", healthCheckNodePort=30000),
    *(workload(kind) for kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")),
    workload("Deployment", strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}),
    workload(
        "StatefulSet",
        volumeClaimTemplates=[{"metadata": {"name": "data"}}],
        template={
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]},
        },
    ),
    make("v1", "ReplicationController", {"template": GOOD_TEMPLATE}),
    job(),
    make("batch/v1", "CronJob", {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job()["spec"]}}),
    path_rule(),
    ingress(defaultBackend={"service": {"name": "web", "port": {"name": "http"}}}),
    policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80, "endPort": 90}]}]),
    {**make("v1", "ConfigMap"), "data": {"a.b": "c"}},
    {**make("v1", "Secret"), "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ=="}, "stringData": {"tls.key": "a"}},
    {**make("discovery.k8s.io/v1", "EndpointSlice"), "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
    make("rbac.authorization.k8s.io/v1", "Role", name="system:controller"),
    make("autoscaling/v2", "HorizontalPodAutoscaler", {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}),
    make("policy/v1", "PodDisruptionBudget", {"minAvailable": "50%", "selector": SELECTOR}),
]


@pytest.mark.parametrize("obj", GOOD, ids=lambda obj: obj["kind"])
def test_what_kubernetes_accepts_passes_with_and_without_defaults(obj: dict[str, Any]) -> None:
    assert validate(obj) == []
    assert check_object(obj) == []
    filled = default(obj)
    assert validate(filled) == []
    assert check_object(filled) == []


@pytest.mark.parametrize(
    ("obj", "path", "message"),
    [
        (make("v1", "Pod", name="Web"), "metadata.name", 'Invalid value: "Web": a lowercase RFC 1123 subdomain must consist of'),
        (make("v1", "Pod", name=""), "metadata.name", "Required value: name or generateName is required"),
        (make("v1", "Pod", name="", generateName="A-"), "metadata.generateName", 'Invalid value: "A-": a lowercase'),
        (make("v1", "Namespace", name="a.b"), "metadata.name", 'Invalid value: "a.b": must not contain dots'),
        (make("v1", "Service", name="a.b"), "metadata.name", "must not contain dots"),
        (make("v1", "Namespace", namespace="x"), "metadata.namespace", "Forbidden: not allowed on this type"),
        (make("v1", "Pod", namespace="A"), "metadata.namespace", 'Invalid value: "A": a lowercase RFC 1123 label'),
        (make("v1", "Pod", labels={"a b": "c"}), "metadata.labels", 'Invalid value: "a b": name part must consist of'),
        (make("v1", "Pod", labels={"a": "b c"}), "metadata.labels", 'Invalid value: "b c": a valid label must be'),
        (make("v1", "Pod", annotations={"a b": "c d"}), "metadata.annotations", 'Invalid value: "a b": name part'),
        (make("v1", "Pod", annotations={"a": "x" * 300000}), "metadata.annotations", "Too long: may not be more than 262144 bytes"),
        (make("batch/v1", "CronJob", name="x" * 53), "metadata.name", "must be no more than 52 characters"),
        (make("rbac.authorization.k8s.io/v1", "Role", name="a/b"), "metadata.name", "may not contain '/'"),
        # pods
        (pod(containers=[]), "spec.containers", "Required value"),
        (pod(containers=[{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]), "spec.containers[1].name", 'Duplicate value: "a"'),
        (pod(initContainers=[{"name": "c", "image": "x"}]), "spec.containers[0].name", 'Duplicate value: "c"'),
        (
            pod(initContainers=[{"name": "i", "image": "x", "readinessProbe": {}}]),
            "spec.initContainers[0].readinessProbe",
            "Forbidden: may not be set for init",
        ),
        (container(name="A"), "spec.containers[0].name", 'Invalid value: "A": a lowercase RFC 1123 label'),
        (container(image=""), "spec.containers[0].image", "Required value"),
        (container(image=" nginx"), "spec.containers[0].image", "must not have leading or trailing whitespace"),
        (container(ports=[{"containerPort": 0}]), "spec.containers[0].ports[0].containerPort", "Required value"),
        (
            container(ports=[{"containerPort": 99999}]),
            "spec.containers[0].ports[0].containerPort",
            "Invalid value: 99999: must be between 1 and 65535, inclusive",
        ),
        (container(ports=[{"containerPort": -1}]), "spec.containers[0].ports[0].containerPort", "Invalid value: -1: must be between 1 and 65535"),
        (
            container(ports=[{"containerPort": 80, "hostPort": 70000}]),
            "spec.containers[0].ports[0].hostPort",
            "must be between 1 and 65535, inclusive",
        ),
        (container(ports=[{"containerPort": 80, "name": "x" * 16}]), "spec.containers[0].ports[0].name", "must be no more than 15 bytes"),
        (container(ports=[{"containerPort": 80, "name": "80"}]), "spec.containers[0].ports[0].name", "must contain at least one letter (a-z)"),
        (
            container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            "spec.containers[0].ports[1].name",
            'Duplicate value: "a"',
        ),
        (
            container(ports=[{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]),
            "spec.containers[0].ports[1].hostPort",
            'Duplicate value: "TCP//5"',
        ),
        (container(env=[{"name": ""}]), "spec.containers[0].env[0].name", "Required value"),
        (container(env=[{"name": "a=b"}]), "spec.containers[0].env[0].name", "a valid environment variable name must consist only of"),
        (container(env=[{"name": "A", "valueFrom": {}}]), "spec.containers[0].env[0].valueFrom", "must specify one of: `fieldRef`"),
        (
            container(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
            "spec.containers[0].env[0].valueFrom",
            "may not be specified when `value` is not empty",
        ),
        (
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.x"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
            'Unsupported value: "status.x"',
        ),
        (
            container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"key": "k"}}}]),
            "spec.containers[0].env[0].valueFrom.configMapKeyRef.name",
            "Required value",
        ),
        (container(envFrom=[{}]), "spec.containers[0].envFrom[0]", "must specify one of: `configMapRef` or `secretRef`"),
        (container(volumeMounts=[{"name": "v", "mountPath": "/x"}]), "spec.containers[0].volumeMounts[0].name", 'Not found: "v"'),
        (
            container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            "spec.containers[0].resources.requests",
            'Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (container(resources={"requests": {"cpu": "-1"}}), "spec.containers[0].resources.requests.cpu", "must be greater than or equal to 0"),
        (container(livenessProbe={}), "spec.containers[0].livenessProbe", "Required value: must specify a handler type"),
        (
            container(livenessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            "spec.containers[0].livenessProbe.tcpSocket",
            "may not specify more than 1 handler type",
        ),
        (container(livenessProbe={"tcpSocket": {"port": 0}}), "spec.containers[0].livenessProbe.tcpSocket.port", "must be between 1 and 65535"),
        (
            container(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold",
            "must be 1",
        ),
        (container(readinessProbe={"exec": {}}), "spec.containers[0].readinessProbe.exec.command", "Required value"),
        (
            container(readinessProbe={"tcpSocket": {"port": 1}, "periodSeconds": -1}),
            "spec.containers[0].readinessProbe.periodSeconds",
            "must be greater than or equal to 0",
        ),
        (pod(volumes=[{"name": "v"}, {"name": "v"}]), "spec.volumes[1].name", 'Duplicate value: "v"'),
        (
            pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath",
            "Forbidden: may not specify more than 1 volume type",
        ),
        (pod(volumes=[{"name": "v", "configMap": {}}]), "spec.volumes[0].configMap.name", "Required value"),
        (
            pod(hostNetwork=True, containers=[{"name": "c", "image": "x", "ports": [{"containerPort": 1, "hostPort": 2}]}]),
            "spec.containers[0].ports[0].hostPort",
            "must match `containerPort` when `hostNetwork` is true",
        ),
        (pod(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds", "must be greater than or equal to 0"),
        (pod(hostname="a.b"), "spec.hostname", "must not contain dots"),
        (pod(nodeName="A"), "spec.nodeName", "a lowercase RFC 1123 subdomain"),
        (pod(nodeSelector={"a b": "c"}), "spec.nodeSelector", "name part must consist of"),
        (pod(dnsPolicy="None"), "spec.dnsConfig", "Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        (pod(dnsPolicy="None", dnsConfig={}), "spec.dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"),
        (pod(dnsConfig={"nameservers": ["x"]}), "spec.dnsConfig.nameservers[0]", "must be a valid IP address"),
        (pod(dnsConfig={"nameservers": ["1.1.1.1"] * 4}), "spec.dnsConfig.nameservers", "must not have more than 3 nameservers"),
        (pod(dnsConfig={"searches": ["a"] * 33}), "spec.dnsConfig.searches", "must not have more than 32 search paths"),
        (pod(dnsConfig={"searches": ["A b"]}), "spec.dnsConfig.searches[0]", "a lowercase RFC 1123 subdomain"),
        (pod(hostAliases=[{"ip": "x", "hostnames": ["A"]}]), "spec.hostAliases[0].ip", 'Invalid value: "x": must be a valid IP address'),
        (pod(tolerations=[{"operator": "Equal"}]), "spec.tolerations[0].operator", "operator must be Exists when `key` is empty"),
        (
            pod(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
            "spec.tolerations[0].operator",
            "value must be empty when `operator` is 'Exists'",
        ),
        (
            pod(tolerations=[{"key": "a", "tolerationSeconds": 5}]),
            "spec.tolerations[0].effect",
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
        (
            pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}}),
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey",
            "can not be empty",
        ),
        (
            pod(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}]),
            "spec.topologySpreadConstraints[0].maxSkew",
            "must be greater than zero",
        ),
        (
            make("v1", "Pod", annotations={"cni.projectcalico.org/ipAddrs": "10.0.0.1"}),
            "metadata.annotations[cni.projectcalico.org/ipAddrs]",
            "must be a JSON list of IP addresses",
        ),
        (
            make("v1", "Pod", annotations={"cni.projectcalico.org/ipAddrs": '["10.0.0.300"]'}),
            "metadata.annotations[cni.projectcalico.org/ipAddrs]",
            "must be a valid IP address",
        ),
        # Services
        (service(ports=[]), "spec.ports", "Required value"),
        (service(ports=[{"port": 0}]), "spec.ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
        (service(ports=[{"port": 99999}]), "spec.ports[0].port", "Invalid value: 99999: must be between 1 and 65535, inclusive"),
        (service(ports=[{"port": 80, "targetPort": 70000}]), "spec.ports[0].targetPort", "must be between 1 and 65535"),
        (service(ports=[{"port": 80, "targetPort": "no good"}]), "spec.ports[0].targetPort", "must contain only alpha-numeric characters"),
        (service(ports=[{"port": 80}, {"port": 81, "name": "b"}]), "spec.ports[0].name", "Required value"),
        (service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]), "spec.ports[1].name", 'Duplicate value: "a"'),
        (service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]), "spec.ports[1]", 'Duplicate value: {"protocol":"TCP","port":80}'),
        (service(ports=[{"port": 80, "nodePort": 30000}]), "spec.ports[0].nodePort", "Forbidden: may not be used when `type` is 'ClusterIP'"),
        (
            service(type="NodePort", ports=[{"port": 80, "name": "a", "nodePort": 30000}, {"port": 81, "name": "b", "nodePort": 30000}]),
            "spec.ports[1].nodePort",
            "Duplicate value: 30000",
        ),
        (service(clusterIP="1.2.3"), "spec.clusterIP", 'Invalid value: "1.2.3": must be a valid IP address'),
        (service(type="NodePort", clusterIP="None"), "spec.clusterIPs[0]", "may not be set to 'None' for NodePort services"),
        (service(type="ExternalName"), "spec.externalName", "Required value"),
        (service(type="ExternalName", externalName="a_b"), "spec.externalName", "a lowercase RFC 1123 subdomain"),
        (service(type="ExternalName", externalName="a", clusterIP="10.0.0.1"), "spec.clusterIPs", "may not be set for ExternalName services"),
        (service(externalIPs=["127.0.0.1"]), "spec.externalIPs[0]", "may not be in the loopback range"),
        (service(selector={"a": "b c"}), "spec.selector", "a valid label must be"),
        (service(externalTrafficPolicy="Local"), "spec.externalTrafficPolicy", "may only be set for externally-accessible services"),
        (service(loadBalancerSourceRanges=["10.0.0.0/8"]), "spec.loadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"),
        (service(type="LoadBalancer", loadBalancerSourceRanges=["x"]), "spec.loadBalancerSourceRanges[0]", "must be a valid CIDR value"),
        (
            service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 0}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            "must be greater than 0 and less than 86400",
        ),
        (service(trafficDistribution="Far"), "spec.trafficDistribution", 'Unsupported value: "Far"'),
        (
            {**make("v1", "Endpoints"), "subsets": [{"addresses": [{"ip": "x"}], "ports": [{"port": 0}]}]},
            "subsets[0].addresses[0].ip",
            "must be a valid IP address",
        ),
        (
            {**make("discovery.k8s.io/v1", "EndpointSlice"), "addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1"]}]},
            "endpoints[0].addresses[0]",
            "must be an IPv4 address",
        ),
        # workloads
        (workload("Deployment", replicas=-1), "spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
        (workload("Deployment", selector={}), "spec.selector", "Invalid value: {}: empty selector is invalid for deployment"),
        (workload("DaemonSet", selector={}), "spec.selector", "empty selector is invalid for daemonset"),
        (
            workload("Deployment", selector={"matchLabels": {"app": "db"}}),
            "spec.template.metadata.labels",
            'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
        (
            workload("Deployment", selector={"matchExpressions": [{"key": "a", "operator": "Near"}]}),
            "spec.selector.matchExpressions[0].operator",
            "not a valid selector operator",
        ),
        (
            workload("Deployment", selector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
            "spec.selector.matchExpressions[0].values",
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            workload("Deployment", template={**GOOD_TEMPLATE, "spec": {"containers": [{"name": "c"}]}}),
            "spec.template.spec.containers[0].image",
            "Required value",
        ),
        (
            workload("ReplicaSet", template={**GOOD_TEMPLATE, "spec": {**GOOD_TEMPLATE["spec"], "restartPolicy": "Never"}}),
            "spec.template.spec.restartPolicy",
            'Unsupported value: "Never": supported values: "Always"',
        ),
        (
            workload("Deployment", strategy={"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            workload("Deployment", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            "spec.strategy.rollingUpdate.maxUnavailable",
            "may not be 0 when `maxSurge` is 0",
        ),
        (workload("Deployment", strategy={"rollingUpdate": {"maxSurge": "5"}}), "spec.strategy.rollingUpdate.maxSurge", "a valid percent string"),
        (
            workload("Deployment", strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
            "spec.strategy.rollingUpdate.maxUnavailable",
            "must not be greater than 100%",
        ),
        (
            workload("Deployment", minReadySeconds=5, progressDeadlineSeconds=5),
            "spec.progressDeadlineSeconds",
            "must be greater than minReadySeconds",
        ),
        (workload("StatefulSet", serviceName="A"), "spec.serviceName", "a lowercase RFC 1123 label"),
        (
            workload("DaemonSet", updateStrategy={"rollingUpdate": {"maxSurge": 1}}),
            "spec.updateStrategy.rollingUpdate.maxSurge",
            "may not be set when maxUnavailable is non-zero",
        ),
        (
            make("v1", "ReplicationController", {"selector": {"a": "b"}, "template": GOOD_TEMPLATE}),
            "spec.template.metadata.labels",
            "`selector` does not match",
        ),
        (make("v1", "ReplicationController", {}), "spec.template", "Required value"),
        (job(parallelism=-1), "spec.parallelism", "must be greater than or equal to 0"),
        (job(completionMode="Indexed"), "spec.completions", "when completion mode is Indexed"),
        (job(template=GOOD_TEMPLATE), "spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"'),
        (
            make("batch/v1", "CronJob", {"schedule": "61 * * * *", "jobTemplate": {"spec": job()["spec"]}}),
            "spec.schedule",
            'Invalid value: "61 * * * *"',
        ),
        (
            make("autoscaling/v2", "HorizontalPodAutoscaler", {"maxReplicas": 1, "minReplicas": 2}),
            "spec.maxReplicas",
            "must be greater than or equal to `minReplicas`",
        ),
        (
            make("policy/v1", "PodDisruptionBudget", {"minAvailable": 1, "maxUnavailable": 1}),
            "spec",
            "minAvailable and maxUnavailable cannot be both set",
        ),
        # Ingresses and policies
        (ingress(), "spec", "either `defaultBackend` or `rules` must be specified"),
        (ingress(rules=[{"host": "1.2.3.4"}]), "spec.rules[0].host", "must be a DNS name, not an IP address"),
        (ingress(rules=[{"host": "a.*.b"}]), "spec.rules[0].host", "a wildcard DNS-1123 subdomain must start with '*.'"),
        (ingress(rules=[{"host": "A"}]), "spec.rules[0].host", "a lowercase RFC 1123 subdomain"),
        (path_rule(path="x"), "spec.rules[0].http.paths[0].path", 'Invalid value: "x": must be an absolute path'),
        (path_rule(path="/a//b"), "spec.rules[0].http.paths[0].path", "must not contain '//'"),
        (path_rule(backend={"service": {"name": "web"}}), "spec.rules[0].http.paths[0].backend", "port name or number is required"),
        (path_rule(backend={}), "spec.rules[0].http.paths[0].backend", "resource or service backend is required"),
        (
            path_rule(backend={"service": {"name": "web", "port": {"number": 0x10000}}}),
            "spec.rules[0].http.paths[0].backend.service.port.number",
            "must be between 1 and 65535",
        ),
        (policy(ingress=[{"from": [{}]}]), "spec.ingress[0].from[0]", "Required value: must specify a peer"),
        (
            policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]),
            "spec.ingress[0].from[0]",
            "may not specify both ipBlock and another peer",
        ),
        (
            policy(egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]),
            "spec.egress[0].to[0].ipBlock.except[0]",
            "must be a strict subset of `cidr`",
        ),
        (policy(egress=[{"ports": [{"port": 80, "endPort": 70}]}]), "spec.egress[0].ports[0].endPort", "must be greater than or equal to `port`"),
        (policy(egress=[{"ports": [{"endPort": 70}]}]), "spec.egress[0].ports[0].endPort", "may not be specified when `port` is not specified"),
        (policy(podSelector={"matchLabels": {"a b": "c"}}), "spec.podSelector.matchLabels", "name part must consist of"),
        # other kinds
        ({**make("v1", "ConfigMap"), "data": {"a b": "c"}}, "data[a b]", "a valid config key must consist of"),
        ({**make("v1", "ConfigMap"), "data": {"a": "x" * (1 << 20) + "y"}}, "", "Too long: may not be more than 1048576 bytes"),
        ({**make("v1", "Secret"), "type": "kubernetes.io/tls"}, "data[tls.crt]", "Required value"),
        (make("v1", "Node", {"podCIDR": "x"}), "spec.podCIDR", "must be a valid CIDR value"),
        (
            make("apiextensions.k8s.io/v1", "CustomResourceDefinition", {"group": "example.com", "names": {"plural": "things"}}),
            "metadata.name",
            'must be spec.names.plural+"."+spec.group',
        ),
    ],
)
def test_refusals(obj: dict[str, Any], path: str, message: str) -> None:
    found = check_object(obj)
    assert [(at, text) for at, text in found if at == path and message in text] != [], found


def test_all_faults_of_an_object_at_once() -> None:
    obj = make("v1", "Pod", {"containers": [{"name": "A", "ports": [{"containerPort": 0}]}], "hostname": "B"}, name="C")
    assert [path for path, _ in check_object(obj)] == [
        "metadata.name",
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.containers[0].ports[0].containerPort",
        "spec.hostname",
    ]


def nonsense(value: Any, other: Any) -> Any:
    """Replace every leaf of a document."""
    if isinstance(value, dict):
        return {key: nonsense(item, other) if key not in {"apiVersion", "kind"} else item for key, item in value.items()}
    if isinstance(value, list):
        return [nonsense(item, other) for item in value]
    return other


@pytest.mark.parametrize("other", [None, 5, "x", [], {}, [5], True, 1.5, {"a": 1}], ids=repr)
def test_values_of_the_wrong_type_are_the_schemas_business(other: Any) -> None:
    for obj in GOOD:
        for broken in (nonsense(obj, other), {**obj, "spec": other}, {**obj, "metadata": other}):
            check_object(broken)


@pytest.mark.parametrize("text", ["* * * * *", "0 0 1 1 0", "*/15 8-18 * jan-mar mon,fri", "@hourly", "@every 1h30m", "0 0 ? * 7"])
def test_schedules(text: str) -> None:
    assert is_schedule(text)


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "*/0 * * * *", "a b c d e", "@sometimes", "1-2-3 * * * *"])
def test_what_is_no_schedule(text: str) -> None:
    assert not is_schedule(text)
