"""A lab's run directory: made, held by one control plane, linked for `ip netns`, taken away whole after any crash, strangers left alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel import netns, process, rootfs, syscalls
from klab.kernel import rundir as rundir_module
from klab.kernel.rundir import RunDir, observe_labs

pytestmark = pytest.mark.root

CONTROL = """
import sys
from pathlib import Path
from klab.kernel import rundir
rundir.ROOT = Path(sys.argv[1])
held = rundir.RunDir("lab").hold_control()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def control_plane(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold the lab's control.pid."""
    with subprocess.Popen([sys.executable, "-c", CONTROL, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"held\n"
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def process_of(rundir: RunDir) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process that carries the lab's mark."""
    environment = {**os.environ, process.OWNER: rundir.owner}
    with subprocess.Popen(["sh", "-c", "echo up; read _"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        try:
            yield running
        finally:
            running.kill()


def ip_netns() -> Path:
    return rundir_module._IP_NETNS


def make_namespaces(rundir: RunDir, *names: str) -> None:
    netns.create([rundir.netns_path(name) for name in names])
    rundir.ensure_links(names)


def test_it_is_roots_alone_and_keeps_its_id(rundir: RunDir) -> None:
    owner = rundir.owner
    assert len(owner) == 32
    rundir.ensure()
    assert RunDir("lab").owner == owner
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (rundir.path.parent, rundir.path, rundir.netns, rundir.pods)]
    assert modes == [0o755, 0o700, 0o700, 0o700]


def test_labs_are_listed_by_name(rundir: RunDir) -> None:
    RunDir("another").ensure()
    with RunDir("held").locked():
        assert observe_labs() == ["another", "lab"]


def test_nothing_is_there_before_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir_module, "ROOT", tmp_path / "klab")
    never = RunDir("never")
    assert (never.exists(), never.owner, never.control_process(), never.namespaces(), never.remove(), observe_labs()) == (False, "", 0, [], False, [])
    assert list(tmp_path.iterdir()) == []


def test_one_control_plane_holds_it_until_its_end(rundir: RunDir) -> None:
    with control_plane(rundir.path.parent) as running:
        assert rundir.control_process() == running.pid
        with pytest.raises(KlabError, match=f'^lab "lab" has a control plane already, process {running.pid}$'):
            rundir.hold_control()
        assert rundir.control_process() == running.pid
        running.kill()
        running.wait()
        assert rundir.control_process() == 0
        handle = rundir.hold_control()
        assert rundir.control_pid.read_text() == str(os.getpid())
        os.close(handle)
    assert rundir.control_process() == 0


def test_ip_netns_finds_the_namespaces(rundir: RunDir) -> None:
    make_namespaces(rundir, "node1", "default_web")
    assert rundir.namespaces() == ["default_web", "node1"]
    assert {entry.name: entry.readlink() for entry in ip_netns().iterdir()} == {
        "lab_node1": rundir.netns / "node1",
        "lab_default_web": rundir.netns / "default_web",
    }
    rundir.ensure_links(["node1"])
    rundir.remove_links(["node1", "never"])
    assert [entry.name for entry in ip_netns().iterdir()] == ["lab_default_web"]


def test_strangers_entries_are_left_alone(rundir: RunDir, tmp_path: Path) -> None:
    ip_netns().mkdir()
    mine, other, file = ip_netns() / "lab_node1", ip_netns() / "lab_node2", ip_netns() / "lab_node3"
    mine.symlink_to(tmp_path / "elsewhere")
    other.symlink_to(RunDir("other").netns / "node2")
    file.touch()
    make_namespaces(rundir, "node1", "node2", "node3", "node4")
    rundir.remove_links(["node1", "node2", "node3"])
    assert rundir.remove()
    assert sorted(entry.name for entry in ip_netns().iterdir()) == ["lab_node1", "lab_node2", "lab_node3"]
    assert (mine.readlink(), other.readlink()) == (tmp_path / "elsewhere", RunDir("other").netns / "node2")


def test_removal_takes_everything_and_can_be_repeated(rundir: RunDir) -> None:
    make_namespaces(rundir, "node1", "default_web")
    pod = rundir.pods / "uid-1" / "rootfs"
    pod.mkdir(parents=True)
    syscalls.mount("tmpfs", pod, "tmpfs")
    (pod / "file").touch()
    with process_of(rundir) as running:
        assert rundir.remove()
        assert running.wait() == -9
    assert not rundir.path.exists()
    assert not ip_netns().exists()
    assert rootfs.observe_mounts_below(rundir.path) == []
    assert not rundir.remove()


@pytest.mark.parametrize("crash", ["files without namespaces", "links without namespaces", "no owner", "half removed", "a namespace taken by hand"])
def test_removal_after_a_crash_half_way(rundir: RunDir, crash: str) -> None:
    make_namespaces(rundir, "node1", "node2")
    if crash == "files without namespaces":
        (rundir.netns / "node3").touch()
    elif crash == "links without namespaces":
        netns.remove([rundir.netns_path("node1")])
        (rundir.netns / "node2").with_name("node2.old").touch()
    elif crash == "no owner":
        (rundir.path / "owner").unlink()
    elif crash == "half removed":
        rundir.remove_links(["node1"])
        netns.remove([rundir.netns_path("node1"), rundir.netns_path("node2")])
        rundir.pods.rmdir()
    else:
        syscalls.unmount(ip_netns() / "lab_node1")  # as `ip netns del lab_node1` does
        (ip_netns() / "lab_node1").unlink()
    assert rundir.remove()
    assert not rundir.path.exists()
    assert not ip_netns().exists()
    assert not rundir.remove()


def test_only_processes_of_the_lab_end(rundir: RunDir) -> None:
    other = RunDir("other")
    other.ensure()
    with process_of(other) as stranger, process_of(rundir) as own:
        assert rundir.remove()
        assert own.wait() == -9
        assert stranger.poll() is None
        assert other.remove()
        assert stranger.wait() == -9


def test_a_lab_made_again_has_another_id(rundir: RunDir) -> None:
    owner = rundir.owner
    assert rundir.remove()
    rundir.ensure()
    assert rundir.owner not in ("", owner)
