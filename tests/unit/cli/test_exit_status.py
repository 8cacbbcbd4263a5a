"""The commands by name, and what becomes of errors: in this process, without a store."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib import metadata

import click
import pytest

from penstock.cli import main
from penstock.cli.commands import COMMANDS
from penstock.cli.exit_status import status_of
from penstock.model import errors

ID = "01890000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_that_defines_it(name):
    command = importlib.import_module(f"penstock.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name


def test_the_list_of_commands_names_them_all(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["stats", "--colour"],
        ["job"],
        ["job", "not-an-id"],
        ["up"],
        ["jobs", "--state", "tired"],
        ["jobs", "--limit", "0"],
        ["config", "--gate", "nowhere"],
        ["config", "--url", "redis://there"],
        ["config", "--url", "/\udcff", "--json"],
        ["up", "x:y", "--url", "/\udcff"],
        ["up", "x:y", "--executors", "0"],
        ["up", "x:y", "--executors", "9" * 30],
        ["up", "x:y", "--executors", "9" * 5_000],
        ["up", "x:y", "--concurrency", "-1"],
        ["up", "x:y", "--gates", "7"],
        ["worker", "x:y", "--queues", "a b"],
        ["worker", "x:y", "--queues", ","],
        ["gate", "--gate", "x:99999"],
        ["gate", "--gate", ":"],
        ["stats", "--limit", "0"],
        ["stats", "--limit", "1_0"],
        ["jobs", "--queue", "not ok"],
        ["jobs", "--queue", "\udcff"],
        ["jobs", "--task", "1"],
        ["jobs", "--task", "\udcff"],
        ["jobs", "--tag", "\x1b[2J"],
        ["job", "\udcff"],
        ["job", ID, "\x1b[2J"],
        ["\x1b[2J"],
        ["stats", "--\x9b"],
        *(["job", ID, "--timeout", text] for text in ("nan", "inf", "-1", "1e400", "x", "\udcff")),
        *(["enqueue", "x:y", "t", option, "nan"] for option in ("--delay", "--expires", "--timeout")),
        *(["enqueue", "x:y", "t", option, "1_0"] for option in ("--delay", "--expires", "--priority")),
        *(["jobs", "--limit", text] for text in ("1_0", "\u0661", " 1")),
        *(["up", "x:y", option, "1_0"] for option in ("--gates", "--executors", "--concurrency")),
        ["enqueue", "x:y", "t", "--delay", "\u0661\u0662"],
        ["enqueue", "x:y", "t", "--delay", "-1"],
        ["config", "--url", ""],
        ["stats", "--url", ""],
    ],
)
def test_wrong_usage_is_status_2_in_a_few_lines(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert 1 <= len(said.err.strip().splitlines()) <= 4
    assert "Traceback" not in said.err
    assert "unexpected" not in said.err
    assert said.err.replace("\n", "").isprintable()


def test_the_version_is_printed_with_and_without_metadata(monkeypatch, capsys):
    monkeypatch.setattr(metadata, "version", lambda _: "1.2.3")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "penstock 1.2.3\n"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    for arguments in (["--version"], ["version"], ["version", "--json"]):
        assert main(arguments) == 0
        assert "0+unknown" in capsys.readouterr().out


@pytest.fixture
def broken(monkeypatch):
    """A command with a bug."""

    def fail(_: str) -> str:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(metadata, "version", fail)


def test_a_bug_is_one_line_with_its_type(broken, monkeypatch, capsys):
    monkeypatch.delenv("PENSTOCK_LOG", raising=False)
    assert main(["version"]) == 1
    said = capsys.readouterr().err
    assert said == "penstock: unexpected ZeroDivisionError: two lines (PENSTOCK_LOG=debug shows where)\n"


def test_a_bug_shows_where_when_the_log_is_at_debug(broken, monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_LOG", "debug")
    assert main(["version"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "installed_version" in said


@pytest.mark.parametrize(
    "arguments", [["--help"], ["version"], ["version", "--json"], ["config"], ["config", "--json"]]
)
def test_who_reads_no_more_makes_it_no_failure(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "penstock.cli", *arguments]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full; others do not")
@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["config", "--json"]])
def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line(arguments):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "penstock.cli", *arguments]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 1
    assert ended.stderr == b"penstock: the answer could not be written: No space left on device.\n"


def test_no_store_is_status_3_and_looking_makes_none(tmp_path, capsys):
    for command in (["stats"], ["jobs"], ["tasks"], ["job", "01890000-0000-7000-8000-000000000000"]):
        assert main([*command, "--url", str(tmp_path / "nowhere")]) == 3
        assert "no store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_config_tells_each_value_s_origin(monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_GATE", "127.0.0.1:9")
    monkeypatch.setenv("PENSTOCK_TOKEN", "secret")
    assert main(["config", "--json", "--url", "here"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["url"] == {"value": os.path.abspath("here"), "from": "flag --url"}
    assert found["gate"] == {"value": "127.0.0.1:9", "from": "env PENSTOCK_GATE"}
    assert found["concurrency"]["from"] == "default"
    assert "secret" not in text


def test_config_prints_a_table(capsys):
    assert main(["config"]) == 0
    assert "concurrency" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.StoreUnavailable("x"), 3),
        (errors.StoreOverloaded("x"), 3),
        (errors.AddressUnavailable("x"), 3),
        (errors.InvalidOption("x"), 2),
        (errors.InvalidArguments("x"), 2),
        (errors.UnknownTask("x"), 1),
        (errors.QueueNotFound("x"), 1),
        (errors.TopicNotFound("x"), 1),
        (errors.ChannelNotFound("x"), 1),
        (errors.JobNotFound("x"), 1),
        (errors.ResultTimeout("x"), 1),
        (errors.StoreFull("x"), 1),
    ],
)
def test_an_error_has_its_status(error, status):
    assert status_of(error) == status


def test_a_file_in_the_place_of_a_store_is_told_as_such(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["stats", "--url", str(tmp_path / "file")]) == 3
    assert f"{tmp_path / 'file'} is not a directory" in capsys.readouterr().err


def test_an_interrupt_is_status_130_wherever_it_comes(tmp_path):
    # As one that comes while a data class is made.
    program = """
import sys
from penstock.cli import exit_status

def interrupted(**_):
    exec("raise KeyboardInterrupt")

exit_status.penstock.main = interrupted
sys.exit(exit_status.run([]))
"""
    (tmp_path / "interrupted.py").write_text(program)
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")
