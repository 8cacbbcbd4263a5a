from __future__ import annotations

import os
import signal
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks.workspace import ENDING, held_back


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore some, as nohup does
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
class TestEnding:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_unwinds_so_that_processes_are_stopped(self, number, status):
        command._clean_up_when_ended()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(number)
        assert end.value.code == status

    def test_is_not_cut_short_by_the_next_signal(self):
        command._clean_up_when_ended()
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGHUP)
        for number in ENDING:
            signal.raise_signal(number)

    def test_leaves_a_run_alone_that_shall_outlive_its_terminal(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command._clean_up_when_ended()
        signal.raise_signal(signal.SIGHUP)

    def test_waits_while_a_workspace_closes(self):
        command._clean_up_when_ended()
        with held_back():
            for number in ENDING:
                signal.raise_signal(number)


class TestPlaces:
    @pytest.fixture
    def refused(self, monkeypatch, capsys, tmp_path):
        def refused(*arguments):
            monkeypatch.setattr(sys, "argv", ["benchmarks", "--directory", str(tmp_path / "bench"), *arguments])
            with pytest.raises(SystemExit):
                command._options()
            return capsys.readouterr().err

        return refused

    def test_that_cannot_be_made_are_refused_at_once(self, refused, tmp_path):
        (tmp_path / "file").touch()
        assert "cannot be made" in refused("--record", str(tmp_path / "file" / "record.json"))

    @pytest.mark.parametrize("option", ["--directory", "--record", "--json", "--page"])
    def test_of_another_user_are_refused_at_once(self, refused, tmp_path, monkeypatch, option):
        other = tmp_path / "other"
        place = other if option == "--directory" else other / "file"
        monkeypatch.setattr(os, "access", lambda path, _: path != other)
        assert f"{other} cannot be written to" in refused(option, str(place))
