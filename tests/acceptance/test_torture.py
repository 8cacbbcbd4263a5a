"""The kill loop for real: it passes, it fails where a check is switched off, and it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.process import process_tree

SOURCE = Path(__file__).resolve().parents[2] / "src"
RUN_S = 240
SEEDS = 4


def start(tmp_path, *options):
    """``penstock torture`` whose directories are in ``tmp_path``."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "penstock.cli", "torture", "--json", *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def torture(tmp_path, *options):
    """Run it. Answers the exit status and what it says."""
    process = start(tmp_path, *options)
    out, err = process.communicate(timeout=RUN_S)
    assert out, err
    return process.returncode, json.loads(out)


def torture_until(check, tmp_path, *options):
    """Run it with one seed after another until this check fails, and answer that run. What a variant lets happen need
    not happen in a short one: where the machine is busy, the kills of a plan may miss every repeated request."""
    return torture_until_all({check}, tmp_path, *options)


def torture_until_all(checks, tmp_path, *options):
    """As `torture_until`, until all of these fail in one run."""
    for seed in range(1, 1 + SEEDS):
        status, verdict = torture(tmp_path, "--seed", str(seed), *options)
        if checks <= failed(verdict).keys():
            break
    return status, verdict


def failed(verdict):
    return {finding["check"]: finding["subjects"] for finding in verdict["findings"]}


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_a_run_of_random_kills_and_stops_loses_nothing(tmp_path):
    status, verdict = torture(tmp_path, "--seconds", "8", "--seed", "1")

    assert failed(verdict) == {}
    assert status == 0
    assert verdict["seed"] == 1
    assert sum(verdict["strikes"].values()) >= 8
    ledger = verdict["ledger"]
    assert ledger["acked"] > 300
    assert ledger["children"] > 5
    assert ledger["chords"] > 0
    assert ledger["parts"] > ledger["chords"]
    assert ledger["steps"] > 5
    assert ledger["lost"] == ledger["unexpected"] == ledger["duplicated"] == ledger["pending"] == 0
    assert ledger["done"] + ledger["dead"] + ledger["cancelled"] == ledger["acked"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(SEEDS * RUN_S)
def test_without_the_fence_check_outcomes_of_superseded_executions_are_committed_and_found(tmp_path):
    status, verdict = torture_until("committed by superseded", tmp_path, "--seconds", "14", "--variant", "no-fences")

    assert status == 1
    assert failed(verdict)["committed by superseded"]


@pytest.mark.slow
@pytest.mark.timeout(SEEDS * RUN_S)
def test_without_kept_answers_repeated_requests_are_applied_again_and_found(tmp_path):
    status, verdict = torture_until("counted twice", tmp_path, "--seconds", "5", "--variant", "no-answers")

    assert status == 1
    assert "forgotten: accepted_total is" in failed(verdict)["counted twice"][0]
    assert Path(verdict["kept"]).parent == tmp_path


@pytest.mark.slow
@pytest.mark.timeout(SEEDS * RUN_S)
def test_where_steps_and_ends_are_written_after_they_are_acknowledged_that_is_found(tmp_path):
    wanted = {"step done again", "chord stuck"}
    status, verdict = torture_until_all(wanted, tmp_path, "--seconds", "8", "--variant", "late-writes")

    assert status == 1
    assert wanted <= failed(verdict).keys()


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_no_file(tmp_path, number):
    process = start(tmp_path, "--seconds", "60", "--seed", "1", "--executors", "1")
    below = wait_for_executions(process, tmp_path)

    process.send_signal(number)
    process.communicate(timeout=RUN_S)

    assert process.returncode == 130
    assert [pid for pid in below if is_alive(pid)] == []
    assert list(tmp_path.iterdir()) == []


def wait_for_executions(process, tmp_path):
    """Return once jobs run. Answers every process below."""
    while not list(tmp_path.glob("*/executions/*")):
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.stderr.read())
    below = process_tree.descendants(process.pid)
    assert len(below) > 5
    return below


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
