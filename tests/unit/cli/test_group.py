"""The `klab` command itself: help, spelling, what it loads, completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from klab.cli import verbs
from klab.cli.group import SECTIONS

NAMES = sorted(path.stem for path in Path(verbs.__path__[0]).glob("*.py") if path.stem != "__init__")


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **env})


def test_help_names_every_verb_under_a_heading(klab: Any) -> None:
    for line in ("--help", "-h", ""):
        result = klab(line)
        assert result.exit_code == 0
        assert all(f"\n  {name} " in result.stdout for name in NAMES)
        assert [section for section in SECTIONS if f"\n{section}:\n" in result.stdout] == list(SECTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_explains_itself(name: str, klab: Any) -> None:
    result = klab(f"{name} --help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: klab {name} ")


def test_a_misspelt_verb_is_a_usage_error_with_the_nearest_one(klab: Any) -> None:
    result = klab("gett pods")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: No such command 'gett'. Did you mean 'get'?\n")


def test_a_wrong_number_names_the_option(klab: Any) -> None:
    result = klab("logs web --tail many")
    assert result.exit_code == 2
    assert "'--tail': 'many' is no int" in result.stderr


def test_version_option(klab: Any) -> None:
    assert klab("--version").stdout.startswith("klab ")


@pytest.mark.parametrize("line", [["--help"], ["get", "--help"], ["get"], ["completion", "bash"]])
def test_a_command_loads_nothing_heavy(line: list[str]) -> None:
    code = (
        "import sys\n"
        "from klab.cli.main import run\n"
        f"sys.argv[1:] = {line!r}\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'pydantic', 'rich', 'aiohttp', 'asyncio', 'pyroute2', 'dns', 'jinja2', 'yaml'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    assert python(code).stdout.splitlines()[-1] == "loaded: []"


def test_a_reader_that_goes_away_is_no_failure_worth_words() -> None:
    code = "import sys; from klab.cli.main import run; sys.argv[1:] = ['--help']; run()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 1


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_script_for_each_shell(self, shell: str, klab: Any) -> None:
        assert f"_KLAB_COMPLETE=complete_{shell}" in klab(f"completion {shell}").stdout

    def test_other_shells_are_refused(self, klab: Any) -> None:
        assert klab("completion tcsh").stderr == 'error: unsupported shell type "tcsh"; use one of bash, zsh, fish\n'

    @pytest.fixture
    def complete(self, klab: Any) -> Any:
        """Complete the last word of a line, as bash asks for it."""

        def complete(line: str) -> list[str]:
            words = line.split(" ")
            asked = {"_KLAB_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
            return klab([], env=asked).stdout.split()  # type: ignore[no-any-return]

        return complete

    def test_words(self, complete: Any, backend: Any) -> None:
        backend.server.objects = [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "default"}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": "blue"}},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}},
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue"}},
        ]
        assert complete("klab des") == ["describe"]
        assert complete("klab get dep") == ["deployments"]
        assert complete("klab get pods w") == ["web-1"]
        assert complete("klab get pods -n blue ") == ["db"]
        assert complete("klab get pod/w") == ["pod/web-1"]
        assert complete("klab get pods,no") == ["pods,nodes"]
        assert complete("klab exec ") == ["client", "node/node1", "web-1"]
        assert complete("klab logs w") == ["web-1"]
        assert complete("klab get -n b") == ["blue"]
        assert complete("klab get --lab d") == ["deep-dive"]
        assert complete("klab down d") == ["deep-dive"]
        assert complete("klab get pods -o j") == ["json", "jsonpath-as-json=", "jsonpath-file=", "jsonpath="]
        assert complete("klab completion z") == ["zsh"]
        assert "--show-labels" in complete("klab get --show")

    def test_a_lab_that_does_not_answer_is_no_reason_for_words(self, complete: Any, backend: Any) -> None:
        backend.known = []
        assert complete("klab get pods ") == []
        backend.fails = RuntimeError("broken")
        assert complete("klab down ") == []

    def test_files(self, complete: Any, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").touch()
        (tmp_path / "b.txt").touch()
        (tmp_path / "sub").mkdir()
        assert complete(f"klab up {tmp_path}/") == [f"{tmp_path}/a.yaml", f"{tmp_path}/sub/"]
