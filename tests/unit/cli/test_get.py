"""`klab get` from the command line to the printed table."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def objects(backend: Any) -> list[dict[str, Any]]:
    """Fill the lab with objects of every kind, a quarter of an hour old."""
    found: list[dict[str, Any]] = json.loads((GOLDEN / "objects.json").read_text())
    created = (datetime.now(UTC) - timedelta(minutes=15, seconds=30)).isoformat(timespec="seconds")
    for obj in found:
        obj["metadata"]["creationTimestamp"] = created
        if obj["kind"] == "Pod":
            for status in obj["status"].get("containerStatuses", ()):
                status["lastState"] = {}
    backend.server.objects = found
    return found


TABLES = {
    "pods": """\
NAME    READY   STATUS             RESTARTS   AGE
plain   0/1     Pending            0          15m
web-1   1/2     CrashLoopBackOff   3          15m
""",
    "pods -o wide": """\
NAME    READY   STATUS             RESTARTS   AGE   IP           NODE     NOMINATED NODE   READINESS GATES
plain   0/1     Pending            0          15m   <none>       <none>   <none>           <none>
web-1   1/2     CrashLoopBackOff   3          15m   10.244.0.5   node1    <none>           <none>
""",
    "pod web-1 --no-headers": "web-1   1/2   CrashLoopBackOff   3     15m\n",
    "pod/web-1 --show-kind -L app,klab.dev/none --show-labels": """\
NAME        READY   STATUS             RESTARTS   AGE   APP   NONE   LABELS
pod/web-1   1/2     CrashLoopBackOff   3          15m   web          app=web,pod-template-hash=6d4,tier=a,x=y
""",
    "nodes": """\
NAME    STATUS                     ROLES           AGE   VERSION
node1   Ready,SchedulingDisabled   control-plane   15m   v1.33.0
""",
    "nodes -o wide": """\
NAME    STATUS                     ROLES           AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE   KERNEL-VERSION   CONTAINER-RUNTIME
node1   Ready,SchedulingDisabled   control-plane   15m   v1.33.0   172.18.0.2    <none>        Debian     6.1.0            klab://0.1.0
""",
    "svc": """\
NAME       TYPE           CLUSTER-IP   EXTERNAL-IP                PORT(S)                     AGE
headless   ClusterIP      None         <none>                     <none>                      15m
lb         LoadBalancer   10.96.0.11   203.0.113.50,...,1.2.3.4   80:30081/TCP                15m
web        NodePort       10.96.0.10   <none>                     80:30080/TCP,53:30053/UDP   15m
""",
    "svc web -o wide": """\
NAME   TYPE       CLUSTER-IP   EXTERNAL-IP   PORT(S)                     AGE   SELECTOR
web    NodePort   10.96.0.10   <none>        80:30080/TCP,53:30053/UDP   15m   app=web
""",
    "ep,endpointslices": """\
NAME            ENDPOINTS                                                   AGE
endpoints/web   10.244.0.5:8080,10.244.0.6:8080,10.244.0.5:53 + 2 more...   15m

NAME                                     ADDRESSTYPE   PORTS     ENDPOINTS                                      AGE
endpointslice.discovery.k8s.io/web-abc   IPv4          8080,53   10.244.0.5,10.244.0.6,10.244.0.7 + 2 more...   15m
""",
    "deploy -o wide": """\
NAME   READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES   SELECTOR
web    2/3     3            2           15m   app          nginx    !a,app=web,tier in (a,b),x
""",
    "rs": """\
NAME      DESIRED   CURRENT   READY   AGE
web-6d4   3         3         0       15m
web-old   0         0         0       15m
""",
    "ds": """\
NAME   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE
ds     2         2         1       2            1           disk=ssd        15m
""",
    "sts": "NAME   READY   AGE\ndb     1/2     15m\n",
    "rc": "NAME   DESIRED   CURRENT   READY   AGE\nrc     1         1         1       15m\n",
    "jobs": "NAME   STATUS     COMPLETIONS   DURATION   AGE\njob    Complete   1/1           2m5s       15m\n",
    "ingress": """\
NAME          CLASS     HOSTS             ADDRESS         PORTS     AGE
ing           haproxy   echoserver.test   172.16.224.51   80, 443   15m
ing-default   <none>    *                                 80        15m
""",
    "ingressclass": """\
NAME      CONTROLLER         PARAMETERS            AGE
haproxy   klab.dev/haproxy   P.k8s.example.com/p   15m
""",
    "netpol": "NAME   POD-SELECTOR   AGE\nnp     app=web        15m\n",
    "cm": "NAME   DATA   AGE\ncm     2      15m\n",
    "secrets": "NAME   TYPE     DATA   AGE\nsec    Opaque   1      15m\n",
    "sa": "NAME   SECRETS   AGE\nsa     2         15m\n",
    "pdb": """\
NAME   MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE
pdb    50%             N/A               1                     15m
""",
    "hpa": """\
NAME   REFERENCE        TARGETS                                   MINPODS   MAXPODS   REPLICAS   AGE
hpa    Deployment/web   cpu: 70%/50%, <unknown>/100 + 1 more...   1         10        2          15m
""",
    "quota": "NAME    REQUEST      LIMIT                AGE\nquota   pods: 2/10   limits.cpu: 500m/4   15m\n",
    "leases -n kube-node-lease": "NAME    HOLDER   AGE\nnode1   node1    15m\n",
    "ns": """\
NAME              STATUS   AGE
default           Active   15m
kube-node-lease   Active   15m
kube-system       Active   15m
""",
    "sc": """\
NAME            PROVISIONER     RECLAIMPOLICY   VOLUMEBINDINGMODE   ALLOWVOLUMEEXPANSION   AGE
std (default)   klab.dev/none   Delete          Immediate           false                  15m
""",
    "pods -A": """\
NAMESPACE   NAME    READY   STATUS             RESTARTS   AGE
default     plain   0/1     Pending            0          15m
default     web-1   1/2     CrashLoopBackOff   3          15m
""",
    "pods -l app=web -o name": "pod/web-1\n",
    "pods --field-selector status.phase=Pending -o name": "pod/plain\n",
    "pods --sort-by .status.phase -o name": "pod/plain\npod/web-1\n",
    "po,deployments.apps -o name": "pod/plain\npod/web-1\ndeployment.apps/web\n",
    "pods -o jsonpath={.items[*].metadata.name}": "plain web-1",
    "pod web-1 -o jsonpath={.kind}": "Pod",
}


@pytest.mark.parametrize("words", TABLES)
def test_tables(words: str, klab: Any, objects: Any) -> None:
    result = klab(f"get {words}")
    assert (result.exit_code, result.stderr, result.stdout) == (0, "", TABLES[words])


def test_all_has_a_table_for_each_kind_with_prefixes_and_empty_lines(klab: Any, objects: Any) -> None:
    result = klab("get all")
    heads = [block.splitlines()[1].split()[0] for block in result.stdout.split("\n\n")]
    assert heads == [
        "pod/plain",
        "replicationcontroller/rc",
        "service/headless",
        "daemonset.apps/ds",
        "deployment.apps/web",
        "replicaset.apps/web-6d4",
        "statefulset.apps/db",
        "horizontalpodautoscaler.autoscaling/hpa",
        "cronjob.batch/cron",
        "job.batch/job",
    ]


def test_nothing_found_is_said_on_stderr(klab: Any) -> None:
    result = klab("get pods")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No resources found in default namespace.\n")
    assert klab("get pods -n blue").stderr == "No resources found in blue namespace.\n"
    assert klab("-n blue get pods").stderr == "No resources found in blue namespace.\n"
    assert klab("get pods -A").stderr == klab("get nodes").stderr == "No resources found\n"
    assert klab("get pods -o yaml").stdout.startswith("apiVersion: v1\nitems: []\nkind: List\n")


def test_what_exists_is_shown_beside_what_does_not(klab: Any, objects: Any) -> None:
    result = klab("get pod nope plain --no-headers")
    assert result.exit_code == 1
    assert result.stdout == "plain   0/1   Pending   0     15m\n"
    assert result.stderr == 'error: pods "nope" not found\n'
    assert klab("get deploy nope").stderr == 'error: deployments.apps "nope" not found\n'
    quiet = klab("get pod nope --ignore-not-found -o yaml")
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "finding"),
    [
        ("", 2, "you must specify the type of resource"),
        ("po/", 2, "must have a single resource and name"),
        ("po/a/b", 2, "must have a single resource and name"),
        ("po/a svc", 2, "no need to specify a resource type as a separate argument"),
        ("pods,", 2, "empty kind"),
        ("podz", 1, 'the server doesn\'t have a resource type "podz"; did you mean'),
        ("pod web -l a=b", 2, "name cannot be provided when a selector is specified"),
        ("pod web -A", 2, "a resource cannot be retrieved by name across all namespaces"),
        ("pod -o foo", 2, "unable to match a printer"),
        ("pod -o yaml --show-labels", 2, "--show-labels option cannot be used with yaml printer"),
        ("pod --output-watch-events", 2, "can only be used with --watch"),
        ("pod -l 'a in (b'", 2, "unable to parse requirement"),
        ("pod,svc -w", 2, "watch is only supported on individual resources"),
        ("pod --tail 3", 2, "No such option: --tail"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, code: int, finding: str, klab: Any) -> None:
    result = klab(f"get {words}")
    assert result.exit_code == code
    assert finding in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""


def test_objects_may_be_named_by_their_manifests(klab: Any, objects: Any) -> None:
    text = "{apiVersion: v1, kind: Pod, metadata: {name: plain}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: web}}"
    assert klab("get -f - -o name", stdin=text).stdout == "pod/plain\nservice/web\n"
    assert klab("describe -f -", stdin=text).stdout.count("Name: ") == 2
    assert klab("get pods -f -", stdin=text).exit_code == 2


def test_a_watch_goes_on_from_what_it_listed(klab: Any, backend: Any, objects: Any) -> None:
    plain = next(obj for obj in objects if obj["metadata"]["name"] == "plain")
    backend.server.events = [
        ("MODIFIED", {**plain, "status": {"phase": "Running"}}),
        ("DELETED", {**plain, "metadata": {**plain["metadata"], "name": "a-pod-with-a-longer-name"}}),
    ]
    result = klab("get pod plain -w")
    assert result.stdout == (
        "NAME    READY   STATUS    RESTARTS   AGE\n"
        "plain   0/1     Pending   0          15m\n"
        "plain   0/1     Running   0          15m\n"
        "a-pod-with-a-longer-name   0/1     Pending   0          15m\n"
    )
    assert backend.server.calls == [("watch", "pods", "default", "", "metadata.name=plain", "7")]


def test_a_watch_may_show_events_alone(klab: Any, backend: Any, objects: Any) -> None:
    backend.server.events = [("ADDED", objects[0])]
    name = objects[0]["metadata"]["name"]
    result = klab("get pods --watch-only --output-watch-events -o name")
    assert result.exit_code == 0
    lines = klab("get pods --watch-only --output-watch-events --no-headers").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ADDED", name]]


def test_custom_kinds_are_looked_up_in_the_lab(klab: Any, backend: Any) -> None:
    backend.server.objects = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "music.estaleiro.io"},
            "spec": {
                "group": "estaleiro.io",
                "scope": "Namespaced",
                "names": {"kind": "Music", "plural": "musics", "shortNames": ["mu"]},
                "versions": [{"name": "v1", "served": True}],
            },
        }
    ]
    assert klab("get mu").stderr == "No resources found in default namespace.\n"
    assert klab("get musicians").exit_code == 1


def test_control_characters_of_objects_do_not_reach_the_terminal(klab: Any, backend: Any) -> None:
    backend.server.objects = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a\x1b[31m\nb", "namespace": "default"}}]
    assert klab("get cm --no-headers").stdout == "a^[[31m...   0     <unknown>\n"
