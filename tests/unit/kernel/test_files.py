"""Volumes on a disk: what a container's reader sees before, during and after a change."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel.files import ensure_host_path, ensure_volume, write_volume
from klab.linux.files import Directory, File, HostPath, Projection

FILES = {"a": File(b"1", 0o600), "sub/b": File(b"2")}


def shown(root: Path) -> dict[str, bytes]:
    """What stands below `root` for one who does not look at names with two dots."""
    found = {}
    for entry in root.iterdir():
        if not entry.name.startswith(".."):
            inner = [path for path in entry.rglob("*") if path.is_file()] if entry.is_dir() else [entry]
            found |= {str(path.relative_to(root)): path.read_bytes() for path in inner}
    return found


def test_files_are_links_through_the_data_link(tmp_path: Path) -> None:
    assert write_volume(tmp_path, FILES)
    assert shown(tmp_path) == {"a": b"1", "sub/b": b"2"}
    assert str((tmp_path / "a").readlink()) == "..data/a"
    assert str((tmp_path / "sub").readlink()) == "..data/sub"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "sub/b").stat().st_mode & 0o777 == 0o644


def test_the_same_content_changes_nothing(tmp_path: Path) -> None:
    write_volume(tmp_path, FILES)
    before = (tmp_path / "..data").readlink()
    assert not write_volume(tmp_path, FILES)
    assert (tmp_path / "..data").readlink() == before


def test_a_change_replaces_everything_and_leaves_nothing(tmp_path: Path) -> None:
    write_volume(tmp_path, FILES)
    with (tmp_path / "a").open("rb") as reader:
        assert write_volume(tmp_path, {"c": File(b"3"), "sub/d": File(b"4")})
        assert reader.read() == b"1"
    assert shown(tmp_path) == {"c": b"3", "sub/d": b"4"}
    assert len(list(tmp_path.glob("..2*"))) == 1


def test_an_empty_volume_is_there_and_can_fill(tmp_path: Path) -> None:
    assert write_volume(tmp_path / "v", {})
    assert shown(tmp_path / "v") == {}
    assert write_volume(tmp_path / "v", FILES)
    assert shown(tmp_path / "v") == {"a": b"1", "sub/b": b"2"}
    assert write_volume(tmp_path / "v", {})
    assert shown(tmp_path / "v") == {}


def test_a_write_cut_short_is_made_good(tmp_path: Path) -> None:
    write_volume(tmp_path, FILES)
    (tmp_path / "..data_tmp").symlink_to("nowhere")
    (tmp_path / "a").unlink()
    assert not write_volume(tmp_path, FILES)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert write_volume(tmp_path, {"a": File(b"9")})
    assert shown(tmp_path) == {"a": b"9"}


def test_what_was_made_for_a_mount_below_stays(tmp_path: Path) -> None:
    write_volume(tmp_path, FILES)
    ensure_volume(Directory(str(tmp_path / "var/cache")))
    write_volume(tmp_path, {"a": File(b"2")})
    assert (tmp_path / "var/cache").is_dir()


def test_directories_get_their_mode_once(tmp_path: Path) -> None:
    path = tmp_path / "x/y"
    assert ensure_volume(Directory(str(path), 0o777))
    assert path.stat().st_mode & 0o777 == 0o777
    path.chmod(0o700)
    assert not ensure_volume(Directory(str(path), 0o777))
    assert path.stat().st_mode & 0o777 == 0o700


def test_projection_by_value(tmp_path: Path) -> None:
    assert ensure_volume(Projection(str(tmp_path / "v"), FILES))


@pytest.mark.parametrize(("kind", "made"), [("", "d"), ("DirectoryOrCreate", "d"), ("FileOrCreate", "f")])
def test_host_paths_that_may_be_made(tmp_path: Path, kind: str, made: str) -> None:
    path = tmp_path / "x"
    assert ensure_volume(HostPath(str(path), kind))
    assert path.is_dir() == (made == "d")
    assert not ensure_volume(HostPath(str(path), kind))


@pytest.mark.parametrize("kind", ["Directory", "File", "Socket", "CharDevice", "BlockDevice"])
def test_host_paths_that_must_exist(tmp_path: Path, kind: str) -> None:
    with pytest.raises(KlabError, match=f"{tmp_path}/x"):
        ensure_host_path(tmp_path / "x", kind)
    assert not (tmp_path / "x").exists()


def test_host_paths_of_the_wrong_type(tmp_path: Path) -> None:
    with pytest.raises(KlabError) as caught:
        ensure_host_path(tmp_path, "File")
    assert str(caught.value) == f"hostPath type check failed: {tmp_path} is not a file"
    with pytest.raises(KlabError, match="/dev/null is not a directory"):
        ensure_host_path("/dev/null", "DirectoryOrCreate")
    assert not ensure_host_path("/dev/null", "CharDevice")


def test_a_socket_of_the_machine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert not ensure_host_path(tmp_path / "s", "Socket")
