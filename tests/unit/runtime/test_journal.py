from dataclasses import replace
from pathlib import Path

import pytest

from klab.runtime import journal
from klab.runtime.journal import ContainerJournal, Remembered
from klab.runtime.protocol import EXITED, ContainerSpec, ContainerStatus, Identity, Sandbox

SPEC = ContainerSpec("one", Sandbox("/netns", "web", "/root"), "nginx", Identity("web", "default", "", "node1", "web"), "/log")
TWO = replace(SPEC, id="two")


def test_what_was_noted_is_there_again(tmp_path: Path) -> None:
    written = ContainerJournal(tmp_path / "journal")
    written.start([SPEC, TWO, replace(SPEC, id="three")])
    written.run("one", 4711, 12.5, 1700000000.0)
    written.exit(ContainerStatus("two", EXITED, exit_code=1))
    written.remove(["three"])
    assert ContainerJournal(tmp_path / "journal").containers == {
        "one": Remembered(SPEC, (4711, 12.5, 1700000000.0)),
        "two": Remembered(TWO, None, ContainerStatus("two", EXITED, exit_code=1)),
    }


def test_a_torn_last_line_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ContainerJournal(path).start([SPEC])
    with path.open("ab") as file:
        file.write(b'{"run": ["one", 47')
    assert ContainerJournal(path).containers == {"one": Remembered(SPEC)}


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMPACT_AFTER", 10)
    written = ContainerJournal(tmp_path / "journal")
    for number in range(500):
        written.start([replace(SPEC, id=str(number))])
        written.remove([str(number)])
    assert (tmp_path / "journal").stat().st_size < 20_000
    assert ContainerJournal(tmp_path / "journal").containers == {}
