"""What of ``penstock workflows`` goes together, and what is not there."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from penstock.cli import main, workflows
from penstock.model.ids import id_text, new_id
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.workflow_kit import FAILS, job, plan, run, start
from penstock.testing.memory import MemoryStore

ID = id_text(new_id())
MISUSE = [
    (["no-id"], 2, "is not a workflow's id"),
    (["cancel"], 2, "penstock workflows ID cancel"),
    ([ID, "fork"], 2, "fork takes STEP"),
    ([ID, "fork", "a", "b"], 2, "fork takes STEP"),
    ([ID, "signal"], 2, "signal takes EVENT"),
    ([ID, "cancel", "now"], 2, "cancel takes nothing more"),
    ([ID, "signal", "go", "yes"], 2, "is not JSON"),
    ([ID, "signal", "", "1"], 2, "1 to 200 bytes"),
    ([ID, "--state", "failed"], 2, "--state goes with the list"),
    (["--svg"], 2, "draws one workflow"),
    (["--wait"], 2, "go with one workflow"),
    (["--state", "done"], 2, "is not one of"),
    ([ID, "explode"], 2, "is not one of"),
    ([ID], 1, "no record of a workflow"),
    ([ID, "cancel"], 1, "no record of a workflow"),
    ([ID, "fork", "a"], 1, "no record of a workflow"),
    ([ID, "signal", "go"], 1, ""),
    ([ID, "--wait"], 1, "no record of a workflow"),
    ([ID, "--svg"], 1, "no record of a workflow"),
]


@pytest.fixture
def store(monkeypatch):
    """The store that commands reach."""
    made = MemoryStore(VirtualClock())
    monkeypatch.setattr(workflows, "reached", lambda _: nullcontext(made))
    return made


@pytest.mark.parametrize(("arguments", "status", "words"), MISUSE)
def test_what_cannot_be_done_says_why(store, capsys, arguments, status, words):
    assert main(["workflows", *arguments]) == status
    said, errors = capsys.readouterr()
    assert said == ""
    assert words in errors


def test_what_a_terminal_would_act_upon_is_spelled_out(store, capsys):
    workflow = start(store, plan(job("\x1b[31mred"), name="\x1b]0;title\x07"))
    assert main(["workflows", id_text(workflow)]) == 0
    assert main(["workflows"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_steps_are_shown_in_pages(store, capsys):
    workflow = id_text(start(store, plan(*(job(f"s{number}") for number in range(5)))))
    assert main(["workflows", workflow, "--limit", "2", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in page["steps"]] == ["s0", "s1"]
    assert main(["workflows", workflow, "--limit", "2", "--cursor", page["cursor"], "--json"]) == 0
    assert [step["name"] for step in json.loads(capsys.readouterr().out)["steps"]] == ["s2", "s3"]
    assert main(["workflows", workflow, "--limit", "2"]) == 0
    assert f"--cursor {page['cursor']}" in capsys.readouterr().out


def test_a_step_that_waits_names_what_it_waits_for(store, capsys):
    workflow = start(store, plan(job("first"), job("second", after=[0])))
    assert main(["workflows", id_text(workflow)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "second" in line]
    assert "(first)" in line


def test_a_step_that_has_begun_says_what_its_job_waits_for(store, capsys):
    workflow = start(store, plan(job("a")))
    assert main(["workflows", id_text(workflow)]) == 0
    assert "no worker of queue" in capsys.readouterr().out
    assert main(["workflows", id_text(workflow), "--json"]) == 0
    assert "no worker of queue" in json.loads(capsys.readouterr().out)["steps"][0]["reason"]


def test_the_time_line_is_in_order_and_has_the_ends(store, capsys):
    clock = store._clock
    workflow = start(store, plan(job("a"), job("b", after=[0])))
    come_to = iter([1, FAILS])

    def later(_):
        clock.advance(1.0)
        return next(come_to)

    run(store, clock, later)
    assert main(["workflows", id_text(workflow), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)["timeline"]
    assert [one["what"] for one in line] == [
        "started",
        "a: started",
        "a: succeeded",
        "b: started",
        "b: failed",
        "failed",
    ]
    assert [one["at"] for one in line] == sorted(one["at"] for one in line)
