from pathlib import Path

import pytest

from klab.errors import KlabError
from klab.kernel.rootfs import HostMount, is_below, parse_host_mounts
from klab.kernel.sandbox import resolve_below

ROOT = "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def mounts(*lines: str) -> tuple[HostMount, ...]:
    return parse_host_mounts(ROOT + "".join(f"{line}\n" for line in lines))


def test_file_systems_with_files_are_shown_and_the_kernels_are_not() -> None:
    assert mounts(
        "22 21 0:5 / /proc rw - proc proc rw",
        "23 21 0:6 / /home rw,nosuid - ext4 /dev/vdb rw",
        "24 21 0:7 / /run rw - tmpfs tmpfs rw",
        "25 24 0:8 / /run/klab/lab/netns/a rw - nsfs nsfs rw",
        "26 21 7:0 / /snap/core ro,nodev - squashfs /dev/loop0 ro",
        "27 21 0:9 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw",
        "28 21 0:10 / /mnt/auto rw - autofs systemd-1 rw",
    ) == (HostMount("/home", read_only=False), HostMount("/snap/core", read_only=True))


def test_a_mount_hidden_by_a_later_one_is_left_out() -> None:
    assert mounts("22 21 0:5 / /a/b rw - ext4 /dev/vdb rw", "23 21 0:6 / /a ro - xfs /dev/vdc rw") == (HostMount("/a", read_only=True),)


def test_names_are_unescaped_and_parents_come_first() -> None:
    found = mounts(r"22 21 0:5 / /a\040b/c rw shared:7 - ext4 /dev/vdb rw", r"23 21 0:5 / /a\040b/c/d\134e rw - ext4 /dev/vdb rw")
    assert [entry.target for entry in found] == ["/a b/c", "/a b/c/d\\e"]


@pytest.mark.parametrize(("path", "directory", "below"), [("/a", "/a", True), ("/a/b", "/a", True), ("/ab", "/a", False), ("/a", "/", True)])
def test_below(path: str, directory: str, below: bool) -> None:
    assert is_below(path, directory) is below


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "var/up").symlink_to("../../../run")
    (tmp_path / "loop").symlink_to("/loop")
    assert resolve_below(tmp_path, "/var/run/secrets/token") == tmp_path / "run/secrets/token"
    assert resolve_below(tmp_path, "/var/up/x") == tmp_path / "run/x"
    assert resolve_below(tmp_path, "/../../etc/../etc/passwd") == tmp_path / "etc/passwd"
    with pytest.raises(KlabError, match="too many symbolic links"):
        resolve_below(tmp_path, "/loop/x")
