"""Type checkers see a task's signature through `enqueue`: mypy must say what `face.py` expects, line by line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("face.py")
ROOT = Path(__file__).parents[2]
_MESSAGE = re.compile(r"face\.py:(\d+): (error|note): (.*?)(?:  \[([a-z-]+)\])?$")
_EXPECTED = re.compile(r"# ([ER]): (.+)$")
_MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[int, list[tuple[str, str]]]:
    """What mypy says, by line: error codes, and revealed types without their modules."""
    cache = tmp_path_factory.mktemp("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", "--no-error-summary", str(CASES)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output.returncode in (0, 1), output.stdout + output.stderr
    found = defaultdict(list)
    for line in output.stdout.splitlines():
        match = _MESSAGE.search(line)
        if match and match[2] == "error":
            found[int(match[1])].append(("E", match[4]))
        elif match and match[3].startswith("Revealed type is"):
            found[int(match[1])].append(("R", _MODULE.sub("", match[3].split('"')[1])))
    return found


def _expected() -> dict[int, list[tuple[str, str]]]:
    found = {}
    for number, line in enumerate(CASES.read_text().splitlines(), start=1):
        match = _EXPECTED.search(line)
        if match and match[1] == "E":
            found[number] = [("E", code) for code in match[2].split()]
        elif match:
            found[number] = [("R", match[2])]
    return found


def test_right_calls_pass_and_wrong_calls_are_errors(said):
    errors = {line: {what for kind, what in says if kind == "E"} for line, says in said.items()}
    errors = {line: codes for line, codes in errors.items() if codes}
    expected = {line: {code for kind, code in says if kind == "E"} for line, says in _expected().items()}
    assert errors == {line: codes for line, codes in expected.items() if codes}


def test_types_are_as_precise_as_the_functions(said):
    revealed = {line: [what for kind, what in says if kind == "R"] for line, says in said.items()}
    expected = {line: [what for kind, what in says if kind == "R"] for line, says in _expected().items()}
    assert {line: types for line, types in revealed.items() if types} == {
        line: types for line, types in expected.items() if types
    }


def test_there_is_something_to_prove():
    kinds = [kind for says in _expected().values() for kind, _ in says]
    assert kinds.count("E") > 20
    assert kinds.count("R") > 20
