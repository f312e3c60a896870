"""Which lab is meant."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from klab.errors import KlabError, NotFoundError, UsageError
from klab.kernel import rundir as rundir_module
from klab.kernel.rundir import RunDir
from klab.labs.finding import client, find_lab, list_labs


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rundir_module, "ROOT", tmp_path / "klab")
    return tmp_path / "klab"


def make(*names: str) -> None:
    for name in names:
        RunDir(name).path.mkdir(parents=True)


def test_without_a_lab_the_way_to_one_is_told() -> None:
    assert list_labs() == []
    with pytest.raises(NotFoundError, match=r"^no lab is up: bring one up with `klab up FILE`$"):
        find_lab(None)
    with pytest.raises(NotFoundError, match=r"^no lab is named 'demo': bring one up with `klab up FILE`$"):
        find_lab("demo")


def test_the_only_lab_needs_no_name(root: Path) -> None:
    make("demo")
    found = find_lab(None)
    assert (found.name, found.path, found.running, found.nodes, found.pods) == ("demo", root / "demo", False, 0, 0)
    assert find_lab("demo") == found
    with pytest.raises(NotFoundError, match="no lab is named 'demos'; there is demo: bring one up"):
        find_lab("demos")


def test_of_several_labs_one_has_to_be_named(root: Path) -> None:
    make("two", "one")
    (root / ".one.lock").touch()
    assert [lab.name for lab in list_labs()] == ["one", "two"]
    assert find_lab("two").name == "two"
    with pytest.raises(UsageError, match=r"^several labs are up: one, two; say which with --lab NAME$"):
        find_lab(None)


def test_a_lab_runs_while_its_control_plane_holds_its_file() -> None:
    make("demo")
    with pytest.raises(KlabError, match=r'^the control plane of lab "demo" does not run: `klab up FILE` starts it again'):
        client(find_lab("demo"))
    with RunDir("demo").control_pid.open("w+") as held:
        held.write(str(os.getpid()))
        held.flush()
        assert not find_lab("demo").running
        fcntl.flock(held, fcntl.LOCK_EX)
        assert find_lab("demo").running
        client(find_lab("demo"))
    assert not find_lab("demo").running
