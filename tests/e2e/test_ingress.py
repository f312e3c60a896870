"""Ingress in whole labs: from the outside client through HAProxy or nginx on the nodes to pods.

client 203.0.113.10 ── router ── node1 172.18.0.11, node2 172.18.0.12: :80 the controller's pod ── pods
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

pytestmark = pytest.mark.root

NODES = ("172.18.0.11", "172.18.0.12")
LAB = """\
apiVersion: klab.dev/v1
kind: Lab
metadata: {name: ways}
spec:
  network: {plugin: hostgw}
  ingress: {controller: CONTROLLER}
  nodes: [{name: node1, address: 172.18.0.11}, {name: node2, address: 172.18.0.12}]
---
"""
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: agnhost, args: [netexec, --http-port=8080], ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
"""
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: web.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
"""
BROKEN = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken}
spec:
  rules:
  - host: broken.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: missing, port: {number: 80}}}}]}
"""
LOAD = """
import http.client, json, sys, threading
from collections import Counter
NUMBER, THREADS = int(sys.argv[1]), 8
found, faults = Counter(), []
def ask():
    for _ in range(NUMBER // THREADS):
        try:
            client = http.client.HTTPConnection("172.18.0.11", 80, timeout=10)
            client.request("GET", "/hostname", headers={"Host": "web.test"})
            answer = client.getresponse()
            body = answer.read().decode()
            found[body if answer.status == 200 else ""] += 1
            if answer.status != 200:
                faults.append(f"{answer.status} {body}")
            client.close()
        except (OSError, http.client.HTTPException) as error:
            faults.append(repr(error))
threads = [threading.Thread(target=ask) for _ in range(THREADS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"found": found, "faults": faults}))
"""


def up(machine: Machine, controller: str, *more: str) -> None:
    machine.write("ways.yaml", LAB.replace("CONTROLLER", controller) + WEB + "---\n".join(more))
    machine.check("klab up ways.yaml")


def status_of(machine: Machine, host: str, node: str = NODES[0], path: str = "/hostname") -> str:
    return machine.check(f"klab exec client -- curl -s -m 5 -o /dev/null -w '%{{http_code}}' -H 'Host: {host}' http://{node}{path}")


def until(machine: Machine, command: str, check: Callable[[Any], bool]) -> Any:
    """Watch what a command prints as JSON until it is right."""
    for _ in range(50):
        if check(found := machine.json(command)):
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("controller", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("haproxy", "nginx")])
def test_the_world_reaches_pods_by_host(machine: Machine, controller: str) -> None:
    up(machine, controller, INGRESS, BROKEN)
    assert [status_of(machine, "web.test", node) for node in NODES] == ["200", "200"]
    assert [status_of(machine, host) for host in ("broken.test", "other.test")] == ["503", "404"]
    ingress = machine.json("klab get ingress web -o json")
    assert ingress["spec"]["ingressClassName"] == controller
    assert ingress["status"]["loadBalancer"]["ingress"] == [{"ip": node} for node in NODES]
    assert 'service "default/missing" not found' in machine.check("klab describe ingress broken")
    assert "web.test" in machine.check("klab explain ingress/web")
    assert "nothing to change" in machine.run("klab up ways.yaml").stderr
    # one that comes later, and one that goes
    machine.write("more.yaml", INGRESS.replace("web.test", "more.test").replace("name: web}\nspec:", "name: more}\nspec:"))
    machine.check("klab apply more.yaml")
    until(machine, "klab get ingress more -o json", lambda found: found["status"]["loadBalancer"].get("ingress"))
    assert status_of(machine, "more.test", NODES[1]) == "200"
    machine.check("klab delete ingress more")
    assert status_of(machine, "more.test", NODES[1]) == "404"


@pytest.mark.parametrize("controller", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("haproxy", "nginx")])
def test_no_request_is_lost_while_a_backend_is_scaled(machine: Machine, controller: str) -> None:
    up(machine, controller, INGRESS)
    machine.write("load.py", LOAD)
    load = "klab exec client -- python3 $PWD/load.py 2000 > load.json & pid=$!"
    machine.check(
        f"{load}; klab scale deployment web --replicas=10; klab scale deployment web --replicas=3; klab scale deployment web --replicas=10; wait $pid"
    )
    assert json.loads((machine.folder / "load.json").read_text())["faults"] == []
    until(machine, "klab get deployment web -o json", lambda found: found["status"].get("readyReplicas") == 10)
    found = until(machine, "klab exec client -- python3 $PWD/load.py 200", lambda found: len(found["found"]) == 10)
    assert found["faults"] == []


@pytest.mark.needs("haproxy")
def test_a_killed_controller_is_started_again(machine: Machine) -> None:
    up(machine, "haproxy", INGRESS)
    machine.check("kill -9 $(pgrep -o haproxy)")

    def restarted(pods: Any) -> bool:
        statuses = [status for pod in pods["items"] for status in pod["status"]["containerStatuses"]]
        return all(status["ready"] for status in statuses) and any(status["restartCount"] for status in statuses)

    until(machine, "klab get pods -n kube-system -l app.kubernetes.io/name=haproxy-ingress -o json", restarted)
    assert [status_of(machine, "web.test", node) for node in NODES] == ["200", "200"]


def test_a_lab_without_ingresses_has_nothing_of_it(machine: Machine) -> None:
    up(machine, "haproxy")
    assert machine.json("klab get daemonsets,ingressclasses -A -o json")["items"] == []
    assert not machine.check("ls /run/klab/ways | grep ingress || true")
