from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import comparison
from benchmarks.comparison import Entry
from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL
from benchmarks.rivals import catalogue, environment, on_sqlite, rival, servers, work
from benchmarks.rivals.environment import REQUIREMENTS, Environment
from benchmarks.rows import CHAIN, CHORD, COMPOSED, ROWS, STEPS

APPS = Path(rival.__file__).parent / "apps"
ANY = pytest.mark.parametrize("one", catalogue.RIVALS, ids=lambda one: one.name)


class Missing:
    name = "Nothing"
    durability = "none"

    def missing(self):
        return "there is no such server"


class TestEveryRival:
    @ANY
    def test_is_pinned_to_a_version(self, one):
        assert one.version()[0].isdigit()
        assert one.packages()

    @ANY
    def test_says_what_survives_and_how_it_is_set_up(self, one):
        assert set(one.survives) <= {WORKER_KILL, BROKER_KILL, POWER_CUT}
        assert one.configuration
        assert one.acknowledged

    @ANY
    def test_names_only_rows_that_there_are(self, one):
        assert set(one.notes) <= set(ROWS)
        assert (one.rows or set()) <= set(ROWS)
        assert one.composes <= COMPOSED

    @ANY
    def test_has_what_it_composes_in_its_module(self, one):
        text = (APPS / f"{one.app.rpartition('.')[2]}.py").read_text()
        wanted = {CHORD: "def chord(", CHAIN: "def chain(", STEPS: "work.walked("}
        for row in one.composes:
            assert wanted[row] in text

    @ANY
    def test_has_a_module_with_what_the_producer_calls(self, one):
        tree = ast.parse((APPS / f"{one.app.rpartition('.')[2]}.py").read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert {"enqueue", "waiting"} <= functions

    @ANY
    def test_starts_two_processes_or_one_that_does(self, one):
        for kind in work.PLAIN:
            assert len(one.commands(Environment(one.requirements), kind)) in (1, rival.PROCESSES)

    def test_has_a_name_of_its_own(self):
        names = [one.name for one in catalogue.RIVALS]
        assert len(set(names)) == len(names)

    def test_can_run_without_this_environment(self):
        inside = {"benchmarks.rivals.work", "benchmarks.rivals", "benchmarks"}
        for path in [*APPS.glob("*.py"), APPS.parent / "producer.py", APPS.parent / "work.py"]:
            if path.stem == "penstock":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks"):
                    assert node.module in inside, path.name


class TestChoice:
    def test_is_everybody_unless_somebody_is_named(self):
        assert catalogue.chosen([]) == list(catalogue.RIVALS)

    def test_takes_a_name_to_its_first_comma_for_all_its_variants(self):
        assert [one.name for one in catalogue.chosen(["litequeue"])] == ["litequeue", "litequeue, FULL"]
        assert [one.name for one in catalogue.chosen(["huey, Redis"])] == ["huey, Redis"]

    def test_refuses_a_stranger(self):
        with pytest.raises(ValueError, match="no rival nobody"):
            catalogue.chosen(["nobody"])


class TestSkipping:
    def test_names_the_python_that_is_wanted(self):
        assert "it needs Python 9.9" in replace(catalogue.RIVALS[0], python=(9, 9)).install()

    def test_is_not_for_want_of_a_python_that_this_machine_has_too(self, monkeypatch, tmp_path):
        newer = tmp_path / "versions" / "9.10.1" / "bin" / "python"
        newer.parent.mkdir(parents=True)
        newer.symlink_to(sys.executable)
        monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
        environment.interpreter.cache_clear()
        assert environment.interpreter((9, 9)) == str(newer)
        assert environment.interpreter((9, 11)) is None
        assert environment.interpreter(sys.version_info[:2]) == sys.executable
        assert Environment("rq", tmp_path, python=(9, 9)).path.name == "rq-9.9"
        environment.interpreter.cache_clear()

    @pytest.mark.parametrize(
        ("python", "sqlite", "reason"),
        [((3, 11), (3, 40, 1), None), ((3, 12), (3, 42, 0), None), ((3, 12), (3, 40, 1), "it needs SQLite 3.42")],
    )
    def test_names_the_sqlite_that_is_wanted(self, monkeypatch, python, sqlite, reason):
        monkeypatch.setattr(on_sqlite.sys, "version_info", python)
        monkeypatch.setattr(on_sqlite.sqlite3, "sqlite_version_info", sqlite)
        found = on_sqlite.DBOS.unfit()
        assert found is None if reason is None else reason in found

    def test_names_whatever_else_is_wrong_here(self):
        assert replace(catalogue.RIVALS[0], unfit=lambda: "it does not like it here").install() == (
            "it does not like it here"
        )

    def test_names_the_server_that_is_missing(self):
        assert replace(catalogue.RIVALS[0], server=Missing()).install() == "there is no such server"

    def test_names_why_pip_failed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(environment, "_failure", lambda _: "it could not be installed: no such thing")
        assert "no such thing" in Environment("rq", tmp_path).install()
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("said", "cause"),
        [
            ("ERROR: Could not find it (from versions: 1.0)\nERROR: No matching one\n", "No matching one"),
            ("WARNING: Retrying (Retry(total=0)\nERROR: (from versions: none)\nERROR: No match", "cannot be reached"),
            ("Building\n  no cargo\n  [end of output]\n\nerror: failed\nhint: See above.", "failed: no cargo"),
            ("Error: [Errno 13] Permission denied", "Permission denied"),
        ],
    )
    def test_names_the_cause_and_not_the_last_words_of_pip(self, said, cause):
        assert environment.cause(said).endswith(cause)

    def test_names_the_status_of_one_that_says_nothing(self):
        arguments = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        assert str(environment._failure(arguments)).endswith("ended with status -9 and said nothing")
        assert environment._failure([sys.executable, "-c", ""]) is None

    def test_an_environment_that_stands_is_left_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(environment, "_failure", lambda arguments: Path(arguments[-1]).mkdir(exist_ok=True))
        made = Environment("rq", tmp_path)
        monkeypatch.setattr(environment, "_failure", lambda _: made.path.mkdir(exist_ok=True))
        assert made.install() is None
        monkeypatch.setattr(environment, "_failure", lambda _: pytest.fail("it was made anew"))
        assert made.install() is None

    def test_is_a_failure_for_want_of_a_server_only(self):
        lacking = replace(catalogue.RIVALS[0], server=Missing())
        old = replace(catalogue.RIVALS[0], server=servers.FILE, python=(9, 9))
        assert comparison.lacks_server([Entry(lacking, lacking.install())])
        assert not comparison.lacks_server([Entry(old, old.install())])

    @pytest.mark.parametrize(("value", "machine"), [("true", True), ("1", True), ("", False), ("false", False)])
    def test_is_hard_where_ci_says_so(self, monkeypatch, value, machine):
        monkeypatch.setenv("CI", value)
        assert comparison.is_checked_by_a_machine() is machine

    def test_a_server_is_looked_for_on_the_path(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(servers, "DEBIAN", tmp_path)
        assert "redis-server" in servers.REDIS.missing()
        assert "PostgreSQL" in servers.POSTGRESQL.missing()


class TestPins:
    def test_are_read_with_comments_and_extras(self):
        found = dict(environment.pins("a[b,c]==1.0  # why\n\n# nothing\nd==2\n"))
        assert found == {"a": "1.0", "d": "2"}

    def test_that_pin_nothing_are_refused(self):
        with pytest.raises(ValueError, match="pins no version"):
            list(environment.pins("a>=1"))

    def test_are_there_for_every_file(self):
        for path in REQUIREMENTS.glob("*.txt"):
            assert list(environment.pins(path.read_text()))


def test_the_command_of_a_record_has_no_paths_of_the_machine():
    told = ["side_by_side", "--record", "/somewhere", "--json=/else", "--rival", "rq", "--directory", "/x", "--quick"]
    assert comparison.said(told) == "python -m benchmarks side_by_side --rival rq --quick"
