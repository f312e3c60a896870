"""Volumes as values: which files a pod's volumes hold and where its containers see them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from klab.api.pod import Pod
from klab.kubelet.sources import ConfigError, NodeFacts
from klab.kubelet.volumes import MountError, Mounts, plan_mounts, plan_volumes
from klab.linux.files import Bind, Directory, File, HostPath, Projection, Volume

POD_DIR = "/run/klab/lab/pods/u-1"
FACTS = NodeFacts(("172.18.0.11",), {"cpu": "4", "memory": "8Gi"})
OBJECTS: dict[tuple[str, str, str], Mapping[str, Any]] = {
    ("ConfigMap", "default", "site"): {"data": {"index.html": "hello"}, "binaryData": {"logo": base64.b64encode(b"\0\1").decode()}},
    ("Secret", "default", "tls"): {"data": {"tls.key": base64.b64encode(b"key").decode()}},
    ("PersistentVolumeClaim", "default", "bound"): {"spec": {"volumeName": "pv-1"}},
    ("PersistentVolumeClaim", "default", "loose"): {"spec": {}},
    ("PersistentVolumeClaim", "default", "gone"): {"spec": {"volumeName": "pv-9"}},
    ("PersistentVolumeClaim", "default", "nfs"): {"spec": {"volumeName": "pv-2"}},
    ("PersistentVolumeClaim", "default", "local"): {"spec": {"volumeName": "pv-3"}},
    ("PersistentVolumeClaim", "default", "web-scratch"): {"spec": {"volumeName": "pv-1"}},
    ("PersistentVolume", "", "pv-1"): {"spec": {"hostPath": {"path": "/srv/data", "type": "DirectoryOrCreate"}}},
    ("PersistentVolume", "", "pv-2"): {"spec": {"nfs": {"server": "nas", "path": "/x"}}},
    ("PersistentVolume", "", "pv-3"): {"spec": {"local": {"path": "/mnt/disk"}}},
}


def find(kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    return OBJECTS.get((kind, namespace, name))


def pod_with(*volumes: Mapping[str, Any], mounts: list[dict[str, Any]] | None = None) -> Pod:
    if mounts is None:
        mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    return Pod.of(
        {
            "metadata": {"name": "web", "namespace": "default", "uid": "u-1", "labels": {"b": "2", "a": "1"}},
            "spec": {
                "nodeName": "node1",
                "volumes": list(volumes),
                "containers": [{"name": "main", "volumeMounts": mounts, "resources": {"limits": {"cpu": "500m"}}}],
            },
        }
    )


def plan(*volumes: Mapping[str, Any], mounts: list[dict[str, Any]] | None = None) -> dict[str, Volume]:
    return plan_volumes(pod_with(*volumes, mounts=mounts), POD_DIR, FACTS, find)


def files_of(source: Mapping[str, Any]) -> Mapping[str, File]:
    volume = plan({"name": "v", **source})["v"]
    assert isinstance(volume, Projection)
    return volume.files


def fault_of(source: Mapping[str, Any]) -> str:
    with pytest.raises(MountError) as caught:
        plan({"name": "v", **source})
    return str(caught.value)


def mounts_of(*volumes: Mapping[str, Any], mounts: list[dict[str, Any]]) -> Mounts:
    pod = pod_with(*volumes, mounts=mounts)
    return plan_mounts(pod.containers[0], plan_volumes(pod, POD_DIR, FACTS, find))


def test_an_empty_dir_belongs_to_the_pod_and_anyone_may_write() -> None:
    directory = f"{POD_DIR}/volumes/kubernetes.io~empty-dir/cache"
    assert plan({"name": "cache", "emptyDir": {}}) == {"cache": Directory(directory, 0o777)}
    assert plan({"name": "cache"}) == {"cache": Directory(directory, 0o777)}


def test_a_volume_that_no_container_mounts_is_not_made() -> None:
    assert plan({"name": "v", "configMap": {"name": "absent"}}, mounts=[]) == {}


def test_config_map_whole() -> None:
    assert files_of({"configMap": {"name": "site"}}) == {"index.html": File(b"hello", 0o644), "logo": File(b"\0\1", 0o644)}


def test_config_map_items_and_modes() -> None:
    items = [{"key": "index.html", "path": "www/./index.html", "mode": 0o600}, {"key": "logo", "path": "logo.png"}]
    files = files_of({"configMap": {"name": "site", "items": items, "defaultMode": 0o444}})
    assert files == {"www/index.html": File(b"hello", 0o600), "logo.png": File(b"\0\1", 0o444)}


def test_secret() -> None:
    assert files_of({"secret": {"secretName": "tls", "defaultMode": 0o400}}) == {"tls.key": File(b"key", 0o400)}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"configMap": {"name": "absent"}}, 'configmap "absent" not found'),
        ({"secret": {"secretName": "absent"}}, 'secret "absent" not found'),
        ({"configMap": {"name": "site", "items": [{"key": "no", "path": "x"}]}}, "configmap references non-existent config key: no"),
        ({"secret": {"secretName": "tls", "items": [{"key": "no", "path": "x"}]}}, "references non-existent secret key: no"),
        ({"configMap": {"name": "site", "items": [{"key": "logo", "path": "../x"}]}}, "invalid path: must not contain '..': ../x"),
        ({"configMap": {"name": "site", "items": [{"key": "logo", "path": "..x"}]}}, "invalid path: must not start with '..': ..x"),
        ({"configMap": {"name": "site", "items": [{"key": "logo", "path": "/x"}]}}, "invalid path: must be relative path: /x"),
        ({"hostPath": {"path": "/a/../b"}}, "invalid HostPath `/a/../b`: must not contain '..'"),
        ({"nfs": {"server": "nas", "path": "/x"}}, "klab mounts no volumes of kind nfs; use one of emptyDir, configMap, secret, "),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}, "klab projects no serviceAccountToken"),
    ],
)
def test_what_cannot_be_set_up(source: Mapping[str, Any], reason: str) -> None:
    assert fault_of(source).startswith(f'MountVolume.SetUp failed for volume "v" : {reason}')


def test_all_faults_at_once() -> None:
    with pytest.raises(MountError) as caught:
        plan({"name": "a", "configMap": {"name": "x"}}, {"name": "b", "emptyDir": {}}, {"name": "c", "persistentVolumeClaim": {"claimName": "no"}})
    assert caught.value.messages == (
        'MountVolume.SetUp failed for volume "a" : configmap "x" not found',
        (
            "Unable to attach or mount volumes: unmounted volumes=[c], unattached volumes=[], failed to process volumes=[c]: "
            'error processing PVC default/no: failed to fetch PVC from API server: persistentvolumeclaims "no" not found'
        ),
    )


@pytest.mark.parametrize(
    "source",
    [
        {"configMap": {"name": "absent", "optional": True}},
        {"secret": {"secretName": "absent", "optional": True}},
        {"configMap": {"name": "site", "optional": True, "items": [{"key": "no", "path": "x"}]}},
        {"projected": {"sources": [{"secret": {"name": "absent", "optional": True}}]}},
    ],
)
def test_optional_sources_leave_the_volume_empty(source: Mapping[str, Any]) -> None:
    assert files_of(source) == {}


def test_downward_api() -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "me/name", "fieldRef": {"fieldPath": "metadata.name"}, "mode": 0o400},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    assert files_of({"downwardAPI": {"items": items}}) == {
        "labels": File(b'a="1"\nb="2"', 0o644),
        "me/name": File(b"web", 0o400),
        "cpu": File(b"500", 0o644),
    }


def test_projected_joins_its_sources() -> None:
    sources = [
        {"configMap": {"name": "site", "items": [{"key": "index.html", "path": "index.html"}]}},
        {"secret": {"name": "tls"}},
        {"downwardAPI": {"items": [{"path": "node", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
    ]
    assert files_of({"projected": {"sources": sources, "defaultMode": 0o440}}) == {
        "index.html": File(b"hello", 0o440),
        "tls.key": File(b"key", 0o440),
        "node": File(b"node1", 0o440),
    }


def test_host_path() -> None:
    assert plan({"name": "v", "hostPath": {"path": "/srv", "type": "Directory"}}) == {"v": HostPath("/srv", "Directory")}
    assert plan({"name": "v", "hostPath": {"path": "/srv"}}) == {"v": HostPath("/srv", "")}


def test_a_claim_is_the_path_of_its_volume() -> None:
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "bound", "readOnly": True}}
    assert plan(claim) == {"v": HostPath("/srv/data", "DirectoryOrCreate", read_only=True)}
    assert plan({"name": "v", "persistentVolumeClaim": {"claimName": "local"}}) == {"v": HostPath("/mnt/disk", "Directory")}
    assert plan({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}) == {"scratch": HostPath("/srv/data", "DirectoryOrCreate")}


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("loose", "PVC is not bound; klab provisions no volumes: "),
        ("gone", 'failed to fetch PV from API server: persistentvolumes "pv-9" not found'),
        ("nfs", 'PersistentVolume "pv-2" has neither hostPath nor local'),
    ],
)
def test_a_claim_that_leads_nowhere(claim: str, reason: str) -> None:
    assert f"error processing PVC default/{claim}: {reason}" in fault_of({"persistentVolumeClaim": {"claimName": claim}})


def test_mounts() -> None:
    cache, site = f"{POD_DIR}/volumes/kubernetes.io~empty-dir/cache", f"{POD_DIR}/volumes/kubernetes.io~configmap/site"
    found = mounts_of(
        {"name": "cache", "emptyDir": {}},
        {"name": "site", "configMap": {"name": "site"}},
        {"name": "srv", "hostPath": {"path": "/srv"}},
        mounts=[
            {"name": "cache", "mountPath": "/cache"},
            {"name": "cache", "mountPath": "logs", "subPath": "a/logs", "readOnly": True},
            {"name": "site", "mountPath": "/www"},
            {"name": "site", "mountPath": "/etc/logo", "subPath": "logo"},
            {"name": "srv", "mountPath": "/srv"},
        ],
    )
    assert found == Mounts(
        (Directory(f"{cache}/a/logs"), Directory(f"{site}/logo")),
        (
            Bind(cache, "/cache"),
            Bind(f"{cache}/a/logs", "/logs", read_only=True),
            Bind(site, "/www", read_only=True),
            Bind(f"{site}/logo", "/etc/logo", read_only=True),
            Bind("/srv", "/srv"),
        ),
    )


def test_a_mount_below_a_read_only_volume_gets_its_mount_point() -> None:
    mounts = [{"name": "site", "mountPath": "/www/"}, {"name": "cache", "mountPath": "/www/var/cache/"}]
    found = mounts_of({"name": "cache", "emptyDir": {}}, {"name": "site", "configMap": {"name": "site"}}, mounts=mounts)
    assert found.directories == (Directory(f"{POD_DIR}/volumes/kubernetes.io~configmap/site/var/cache"),)


def test_impossible_mounts() -> None:
    with pytest.raises(ConfigError, match='cannot find volume "v" to mount into container "main"'):
        mounts_of(mounts=[{"name": "v", "mountPath": "/v"}])
    with pytest.raises(ConfigError, match='failed to prepare subPath for volumeMount "v" of container "main"'):
        mounts_of({"name": "v"}, mounts=[{"name": "v", "mountPath": "/v", "subPath": "../x"}])
