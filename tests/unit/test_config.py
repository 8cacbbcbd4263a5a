"""Flags over environment over defaults, checked as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import config
from penstock.config import Origin, load, pass_on_redo, redo_setting, split_address
from penstock.model import limits
from penstock.model.errors import InvalidOption


def test_defaults_hold_when_nothing_is_said():
    found = load({}, {})
    assert (found.url, found.gate) == (os.path.abspath("penstock-data"), "127.0.0.1:7367")
    assert found.concurrency == limits.CONCURRENCY
    assert found.executors >= 1
    assert found.gates == 1
    assert found.queues is None
    assert set(found.origins.values()) == {Origin("default")}


def test_the_environment_is_over_defaults_and_flags_are_over_both():
    environment = {"PENSTOCK_URL": "of-env", "PENSTOCK_GATE": "0.0.0.0:1"}
    found = load({"url": "of-flag", "gate": None}, environment)
    assert (found.url, found.gate) == (os.path.abspath("of-flag"), "0.0.0.0:1")
    assert str(found.origins["url"]) == "flag --url"
    assert str(found.origins["gate"]) == "env PENSTOCK_GATE"
    assert str(found.origins["log"]) == "default"


def test_an_empty_variable_is_not_set():
    assert load({}, {"PENSTOCK_URL": ""}).url == os.path.abspath("penstock-data")


def test_default_url_follows_the_environment(monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "somewhere")
    assert config.default_url() == "somewhere"
    monkeypatch.setenv("PENSTOCK_URL", "")
    assert config.default_url() == "penstock-data"


@pytest.mark.parametrize(
    ("flags", "environment", "field", "words"),
    [
        ({"url": "redis://x"}, {}, "url", "--url"),
        ({}, {"PENSTOCK_URL": "kafka+redis://x"}, "url", "PENSTOCK_URL"),
        ({"gate": "7367x"}, {}, "gate", "HOST:PORT"),
        ({"gate": "host:99999"}, {}, "gate", "HOST:PORT"),
        ({}, {"PENSTOCK_LOG": "loud"}, "log", "debug, info, warning, error"),
        ({}, {"PENSTOCK_LOG_FORMAT": "xml"}, "log_format", "text or json"),
        ({"executors": 0}, {}, "executors", "1 to"),
        ({"gates": 0}, {}, "gates", "1 to"),
        ({"gates": limits.GATES_MAX + 1}, {}, "gates", "1 to"),
        ({"concurrency": limits.CONCURRENCY_MAX + 1}, {}, "concurrency", "1 to"),
        ({"executors": 256, "concurrency": 10_000}, {}, "concurrency", "at most"),
        ({"queues": ("ok", "not ok")}, {}, "queues", "'not ok'"),
        ({"queues": ()}, {}, "queues", "empty"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_to_do(flags, environment, field, words):
    with pytest.raises(InvalidOption, match=words) as caught:
        load(flags, environment)
    assert caught.value.field == field


def test_a_flag_that_nobody_knows_is_a_bug():
    with pytest.raises(TypeError, match="colour"):
        load({"colour": "red"}, {})


def test_a_token_is_never_shown():
    found = load({}, {"PENSTOCK_TOKEN": "secret"})
    assert found.token == "secret"
    assert found.values()["token"] == "(set)"


def test_what_is_in_force_is_passed_on_to_the_processes_below(monkeypatch, tmp_path):
    for name in ("PENSTOCK_URL", "PENSTOCK_LOG"):
        monkeypatch.setenv(name, "before")
    monkeypatch.delenv("PENSTOCK_TOKEN", raising=False)
    config.pass_on(load({"url": "of-flag"}, {"PENSTOCK_LOG": "debug"}))
    place = os.path.abspath("of-flag")
    monkeypatch.chdir(tmp_path)
    below = load()
    assert (below.url, below.log, below.token) == (place, "debug", None)


@pytest.mark.parametrize("flags, environment", [({"url": "/a\udcff"}, {}), ({}, {"PENSTOCK_URL": "\udcff"})])
def test_a_place_whose_path_is_not_utf8_is_refused(flags, environment):
    with pytest.raises(InvalidOption, match="not UTF-8") as caught:
        load(flags, environment)
    assert caught.value.field == "url"


def test_a_relative_url_in_a_directory_that_is_not_utf8_is_refused(monkeypatch, tmp_path):
    place = tmp_path / "\udcff"
    place.mkdir()
    monkeypatch.chdir(place)
    assert load({"url": "/somewhere"}, {}).url == "/somewhere"
    with pytest.raises(InvalidOption, match="not UTF-8"):
        load({}, {})


def test_a_relative_url_needs_a_working_directory(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({"url": "/somewhere"}, {}).url == "/somewhere"
    with pytest.raises(InvalidOption, match="working directory") as caught:
        load({}, {})
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:7367", ("::1", 7367)),
        ("gate.example:65535", ("gate.example", 65_535)),
    ],
)
def test_addresses(text, address):
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:-1", "host:65536", "host:٣"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_address(text)


@pytest.mark.parametrize(("text", "value"), [(None, "on"), ("", "on"), ("on", "on"), ("off", "off"), ("OFF", "off")])
def test_the_redo_log_can_be_turned_off(text, value):
    assert redo_setting({} if text is None else {"PENSTOCK_REDO": text}) == value


def test_a_setting_of_the_redo_log_that_means_nothing_is_refused():
    with pytest.raises(InvalidOption, match="PENSTOCK_REDO is 'no'"):
        redo_setting({"PENSTOCK_REDO": "no"})


def test_a_flag_of_the_redo_log_is_passed_on(monkeypatch):
    monkeypatch.setenv("PENSTOCK_REDO", "on")
    pass_on_redo(None)
    assert redo_setting() == "on"
    pass_on_redo("off")
    assert redo_setting() == "off"


def test_a_token_is_not_passed_on(monkeypatch):
    monkeypatch.delenv("PENSTOCK_TOKEN", raising=False)
    config.pass_on(load({"url": "of-flag"}, {"PENSTOCK_TOKEN": "sixteen-characters-"}))
    assert "PENSTOCK_TOKEN" not in os.environ
    monkeypatch.setenv("PENSTOCK_TOKEN", "sixteen-characters-")
    assert "PENSTOCK_TOKEN" not in config.environment_for_programs()
    assert "PATH" in config.environment_for_programs()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_a_hidden_token_is_not_in_what_the_system_shows():
    code = (
        "from penstock import config; from pathlib import Path; import os, subprocess;"
        "token = config.load().token; before = Path('/proc/self/environ').read_bytes();"
        "config.hide_secrets(); after = Path('/proc/self/environ').read_bytes();"
        "child = subprocess.run(['env'], capture_output=True).stdout;"
        "secret = token.encode();"
        "print(secret in before, secret in after, secret in child, 'PENSTOCK_TOKEN' in os.environ, b'KEPT=1' in after)"
    )
    environment = os.environ | {"PENSTOCK_TOKEN": "a-token-for-the-test", "KEPT": "1"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "False", "False", "False", "True"]
