"""What the documents show is what happens: every `sh` and `console` block of README.md and the scenarios' READMEs runs.

A document is one test, its blocks run in order on one machine. In `console` blocks each `$ line` is a command; where output follows it, stdout and
stderr together must be that, with `...` for anything and any white space for any other. A block under `<!-- test: setup -->` installs something: CI
itself runs it. `<!-- needs: ipip ip_vs -->` anywhere names the kernel features that the document needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet
    from conftest import Machine

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("scenarios/**/README.md"))]
BLOCK = re.compile(r"(?P<setup><!-- test: setup -->\n)?^```(?P<kind>sh|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def parse_document(text: str) -> Iterator[tuple[str, str]]:
    """Give the commands of a document in order, each with the output that it shows ("" where it shows none)."""
    for block in BLOCK.finditer(text):
        if block["setup"]:
            continue
        if block["kind"] == "sh":
            yield block["text"], ""
            continue
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command += f"\n{more}"
            yield command, output


def output_matches(shown: str, actual: str) -> bool:
    """Compare as a reader does: `...` stands for anything, white space is white space."""
    parts = [r"\s+".join(re.escape(word) for word in part.split()) for part in re.split(r"\.\.\.(?!\.)", shown)]
    return re.fullmatch(r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*", actual, re.DOTALL) is not None


def parameter_of(document: Path) -> ParameterSet:
    needs = re.search(r"<!-- needs: (.*?) -->", document.read_text())
    return pytest.param(document, id=str(document.relative_to(REPOSITORY)), marks=pytest.mark.needs(*needs[1].split()) if needs else ())


@pytest.mark.root
@pytest.mark.parametrize("document", [parameter_of(document) for document in DOCUMENTS])
def test_document_shows_what_happens(document: Path, machine: Machine) -> None:
    commands = list(parse_document(document.read_text()))
    assert commands
    for command, shown in commands:
        result = machine.run(f"exec 2>&1; {command}")
        assert result.returncode == 0, f"$ {command}\n{result.stdout}"
        assert not shown or output_matches(shown, result.stdout), f"$ {command}\n{result.stdout}\nis not what {document.name} shows:\n{shown}"


def test_parsing_takes_blocks_in_order_without_setup() -> None:
    text = "<!-- test: setup -->\n```sh\nrm\n```\n```console\n$ a \\\n  b\nout\nput\n$ c\n```\nwords\n```sh\nd\ne\n```\n```yaml\nf: 1\n```\n"
    assert list(parse_document(text)) == [("a \\\n  b", "out\nput\n"), ("c", ""), ("d\ne\n", "")]


@pytest.mark.parametrize(
    ("shown", "actual", "matches"),
    [
        ("NAME  AGE\nweb ...", "NAME   AGE\nweb    3s\n", True),
        ("a\n...\nz", "a\nm\nz\n", True),
        ("a\n...\nz", "a\nz\n", True),
        ("10.0.0.1", "10.0.0.17", False),
        ("10.0.0....", "10.0.0.17", True),
        ("10.0.0....", "10.0.17", False),
        ("a.c", "abc", False),
    ],
)
def test_output_is_compared_as_a_reader_does(shown: str, actual: str, matches: bool) -> None:
    assert output_matches(shown, actual) is matches
