"""Nothing is skipped unseen: what `needs`, --defer and --require-kernel make of a test that cannot run here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

@pytest.mark.needs("bridge", "sh")
def test_fine(): pass

@pytest.mark.needs("teleport")
def test_kernel(): pass

@pytest.mark.needs("teleporter")
def test_program(): pass

def test_gives_up(): pytest.skip("for a reason")
"""


def run_pytest(folder: Path, *arguments: str, ci: str = "") -> tuple[int, str]:
    """Run pytest over TESTS where the kernel lacks `teleport` and the machine a program `teleporter`."""
    (folder / "conftest.py").write_text(CONFTEST.read_text() + 'PROBES["teleport"] = "echo beam >&2; false"\n')
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  root: root\n  needs: features\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *arguments]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_by_default_a_lack_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path)
    assert code == 0
    assert "no teleport: beam" in output
    assert "no program teleporter" in output
    assert "1 passed, 3 skipped" in output


@pytest.mark.parametrize("chosen", ["kernel", "program", "gives_up"])
@pytest.mark.parametrize(("argument", "ci"), [("--require-kernel", ""), ("--strict-markers", "true")])
def test_where_everything_has_to_run_any_skip_fails(tmp_path: Path, chosen: str, argument: str, ci: str) -> None:
    code, output = run_pytest(tmp_path, argument, "-k", f"fine or {chosen}", ci=ci)
    assert code == 1
    assert "1 passed, 1 skipped" in output


def test_a_kernel_feature_is_left_to_another_kernel(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "--defer=list.txt", "-k", "fine or kernel", ci="true")
    assert code == 0
    assert "1 passed, 3 deselected" in output
    assert (tmp_path / "list.txt").read_text() == "test_it.py::test_kernel\n"


def test_what_no_kernel_mends_is_not_deferred(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "--defer=list.txt")
    assert code == 1
    assert "1 passed, 2 skipped, 1 deselected" in output


def test_nothing_left_to_run_is_fine_where_all_was_deferred(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "--defer=list.txt", "-k", "kernel")[0] == 0
