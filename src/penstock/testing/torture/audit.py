"""The audit: what was asked for, what was told, what ran and what is in the store, compared. Pure.

What must hold:
* acked ⊆ finished ∪ pending ∪ dead: a job that was acked has a row, or has run and was to leave none;
* nothing is there that nobody asked for; what is asked for again is the same job; what was never acked is there once
  or not at all;
* at most one committed outcome a job: a result stems from an execution of that job, and from the one with the greatest
  fence, since a commit ends a job and a later lease would have been impossible; a fence runs once;
* what a job enqueued with its outcome is there if and only if the execution that asked for it is the one whose success
  was committed: all of it, each once, and nothing of what other executions of the job asked for;
* a message that is delivered once more is at a higher attempt;
* chords and durable steps: see `penstock.testing.torture.chord_checks` and `penstock.testing.torture.step_checks`;
* the counters equal the rows, everything that came in is accounted for, and SQLite finds its file in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from penstock.model.job import MESSAGE_TASK
from penstock.model.states import State
from penstock.testing.torture.chord_checks import CHORD_CHECKS
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.records import Execution
from penstock.testing.torture.rows import JobRow, counted
from penstock.testing.torture.step_checks import STEP_CHECKS
from penstock.testing.torture.tasks import LOST, ExpectedEnd

_MESSAGES: Final = f"{MESSAGE_TASK}."
"""How the tasks of messages begin (`penstock.testing.torture.messages.task_of`)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that did not hold. ``subjects``: the jobs, requests or queues to blame."""

    check: str
    meaning: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The totals, in Jepsen's terms. An element is a request that may be repeated, and must be one job.

    Attributes:
        attempted: asked for.
        acked: of these, told to be durable.
        done: of the acked, finished with success.
        dead: of the acked, finished without.
        cancelled: of the acked, ended because their producer asked for it.
        pending: of the acked, still waiting or running.
        lost: acked, and nowhere. Must be 0.
        unexpected: there, and never asked for. Must be 0.
        duplicated: one request, several jobs. Must be 0.
        recovered: never acked, and there all the same (once).
        children: jobs that others enqueued with their outcome.
        chords: that were accepted.
        parts: jobs of these.
        steps: durable steps that were recorded.
        executions: bodies that began to run; more than jobs, since execution is at least once.
        repeated: jobs of which an attempt ran more than once, after its executor or its lease was lost. Those that make
            steps do so in any case, and are not counted.
    """

    attempted: int = 0
    acked: int = 0
    done: int = 0
    dead: int = 0
    cancelled: int = 0
    pending: int = 0
    lost: int = 0
    unexpected: int = 0
    duplicated: int = 0
    recovered: int = 0
    children: int = 0
    chords: int = 0
    parts: int = 0
    steps: int = 0
    executions: int = 0
    repeated: int = 0


def audit(evidence: Evidence) -> tuple[Ledger, list[Finding]]:
    """Compare. Answers the totals, and the checks that did not hold; none when all is well."""
    findings = []
    for check in CHECKS:
        subjects = tuple(sorted(check(evidence)))
        if subjects:
            meaning = (check.__doc__ or "").strip()
            findings.append(Finding(check.__name__.strip("_").replace("_", " "), meaning, subjects))
    return _ledger(evidence), findings


def _ledger(evidence: Evidence) -> Ledger:
    fates = [evidence.fate(job_id) for job_id in evidence.acked]
    acked_tokens = set(evidence.acked.values())
    there = {evidence.token_of[job_id] for job_id in evidence.accepted}
    return Ledger(
        attempted=len(evidence.requested),
        acked=len(acked_tokens),
        done=fates.count("done"),
        dead=fates.count("dead"),
        cancelled=fates.count("cancelled"),
        pending=fates.count("pending"),
        lost=fates.count("lost"),
        unexpected=len(there - evidence.attempted.keys()),
        duplicated=sum(len(ids) > 1 for ids in evidence.ids_of.values()),
        recovered=len((there & evidence.requested) - acked_tokens),
        children=len(there - evidence.requested - evidence.parts),
        chords=sum(chord.first()[0].token in there for chord in evidence.chords.values()),
        parts=len(there & evidence.parts),
        steps=sum(len({one.name for one in kept}) for kept in evidence.kept.values()),
        executions=sum(map(len, evidence.runs.values())),
        repeated=sum(
            len({run.attempt for run in runs}) < len(runs)
            for runs in evidence.runs.values()
            if runs[0].task not in evidence.stepped
        ),
    )


# --- the checks: each answers whom to blame ---------------------------------------------------------------------------
def _lost(evidence: Evidence) -> Iterator[str]:
    """Acked, and neither finished nor pending nor dead."""
    return (job_id for job_id in evidence.acked if evidence.fate(job_id) == "lost")


def _unexpected(evidence: Evidence) -> Iterator[str]:
    """In the store, or run, and nobody asked for it."""
    return (job_id for job_id in evidence.accepted if evidence.token_of[job_id] not in evidence.attempted)


def _accepted_twice(evidence: Evidence) -> Iterator[str]:
    """One request, or one idempotency key, and several jobs."""
    for token, ids in evidence.ids_of.items():
        if len(ids) > 1:
            yield f"{token}: {', '.join(sorted(ids))}"


def _counted_twice(evidence: Evidence) -> Iterator[str]:
    """A queue has accepted more, or fewer, jobs than there are: a repeated request was applied again."""
    jobs: dict[str, int] = defaultdict(int)
    for job_id in evidence.accepted:
        row = evidence.rows.get(job_id)
        task = evidence.attempted.get(evidence.token_of[job_id], "")
        jobs[row.queue if row else evidence.queues.get(task, "")] += 1
    for queue in jobs.keys() | evidence.store.ledgers.keys():
        ledger = evidence.store.ledgers.get(queue)
        accepted = ledger.accepted_total if ledger else 0
        if accepted != jobs[queue]:
            yield f"{queue}: accepted_total is {accepted}, and there were {jobs[queue]} jobs"


def _ran_without_lease(evidence: Evidence) -> Iterator[str]:
    """Two executions under one fence."""
    seen: dict[int, Execution] = {}
    for runs in evidence.runs.values():
        for run in runs:
            if seen.setdefault(run.fence, run) is not run:
                yield f"{run.id}: fence {run.fence}"


def _committed_by_nobody(evidence: Evidence) -> Iterator[str]:
    """A committed result that no execution of the job has made."""
    for row, runs in _committed(evidence):
        if not any(run.nonce == row.nonce for run in runs):
            yield row.id


def _committed_by_superseded(evidence: Evidence) -> Iterator[str]:
    """A result was committed by an execution whose lease had ended: others held the job already."""
    for row, runs in _committed(evidence):
        last = max(runs, key=lambda run: run.fence, default=None)
        if last is not None and any(run.nonce == row.nonce for run in runs) and last.nonce != row.nonce:
            yield row.id


def _attempts_miscounted(evidence: Evidence) -> Iterator[str]:
    """The record names another attempt than the execution whose result it has."""
    for row, runs in _committed(evidence):
        if any(run.nonce == row.nonce and run.attempt != row.attempt for run in runs):
            yield row.id


def _delivery_uncounted(evidence: Evidence) -> Iterator[str]:
    """A message was delivered once more, and its attempt is not higher than it was before."""
    for job_id, runs in evidence.runs.items():
        deliveries = [run.attempt for run in sorted(runs, key=lambda run: run.fence) if run.task.startswith(_MESSAGES)]
        if any(later <= before for before, later in pairwise(deliveries)):
            yield f"{job_id}: attempts {', '.join(map(str, deliveries))}"


def _ended_otherwise(evidence: Evidence) -> Iterator[str]:
    """A job ended as no job of its task does: another outcome, or attempts charged that were none, or not charged."""
    for row in evidence.rows.values():
        if evidence.fate(row.id) in {"pending", "cancelled"} or row.error == LOST:
            continue
        expected = evidence.endings.get(row.task, ExpectedEnd())
        if row.error != expected.error or row.attempt != expected.attempt:
            yield f"{row.id}: {row.task} ended at attempt {row.attempt} with {row.error or 'success'}"


def _cancelled_by_nobody(evidence: Evidence) -> Iterator[str]:
    """A job was cancelled, and nobody had asked for that."""
    for row in evidence.rows.values():
        if State.CANCELLED in row.states and row.token not in evidence.to_cancel:
            yield row.id


def _child_lost(evidence: Evidence) -> Iterator[str]:
    """An outcome was committed, and not all of the jobs that were enqueued with it are there."""
    accepted = evidence.accepted
    for parent, asked in evidence.children_of.items():
        may_land = _could_land(evidence, parent, asked)
        if evidence.fate(parent) == "done" and not any(children <= accepted for children in may_land):
            yield parent


def _child_of_nobody(evidence: Evidence) -> Iterator[str]:
    """A job is there that was enqueued with an outcome that was not committed, or was no success."""
    accepted = evidence.accepted
    for parent, asked in evidence.children_of.items():
        landed = [children for children in asked.values() if not accepted.isdisjoint(children)]
        may_land = _could_land(evidence, parent, asked)
        if len(landed) > 1 or any(children not in may_land for children in landed):
            yield f"{parent}: {', '.join(sorted(set().union(*landed) & accepted))}"


def _could_land(evidence: Evidence, parent: str, asked: Mapping[str, set[str]]) -> list[set[str]]:
    """The children of those executions of a job whose outcome may be the one that was committed."""
    if evidence.fate(parent) != "done":
        return []
    row = evidence.rows.get(parent)
    if row is None:
        # Of a job that left no row it is not known which execution that was, but that there was one.
        return list(asked.values())
    return [children for nonce, children in asked.items() if nonce == row.nonce]


def _state_unclear(evidence: Evidence) -> Iterator[str]:
    """A job that is in no state, or in several."""
    return (row.id for row in evidence.rows.values() if len(row.states) != 1)


def _corrupt(evidence: Evidence) -> Iterator[str]:
    """A body that does not match its checksum."""
    return (row.id for row in evidence.rows.values() if not row.intact)


def _miscounted(evidence: Evidence) -> Iterator[str]:
    """A counter that differs from the rows."""
    rows = counted(evidence.store.jobs)
    for queue, ledger in evidence.store.ledgers.items():
        for state in State:
            kept, there = getattr(ledger, state.value), rows.get(queue, {}).get(state.value, 0)
            if kept != there:
                yield f"{queue}: {state.value} is {kept}, and there are {there} rows"


def _unaccounted(evidence: Evidence) -> Iterator[str]:
    """What came in is not what is there, has ended or has left."""
    for queue, ledger in evidence.store.ledgers.items():
        if ledger.unaccounted():
            yield f"{queue}: {ledger.unaccounted()}"


def _file_damaged(evidence: Evidence) -> Iterator[str]:
    """SQLite's integrity check, or a row without a job."""
    return iter(evidence.store.complaints)


def _committed(evidence: Evidence) -> Iterator[tuple[JobRow, list[Execution]]]:
    """Jobs with a committed result, and their executions."""
    for row in evidence.rows.values():
        if row.result is not None:
            yield row, evidence.runs.get(row.id, [])


CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    _lost,
    _unexpected,
    _accepted_twice,
    _counted_twice,
    _ran_without_lease,
    _committed_by_nobody,
    _committed_by_superseded,
    _attempts_miscounted,
    _delivery_uncounted,
    _ended_otherwise,
    _cancelled_by_nobody,
    _child_lost,
    _child_of_nobody,
    *CHORD_CHECKS,
    *STEP_CHECKS,
    _state_unclear,
    _corrupt,
    _miscounted,
    _unaccounted,
    _file_damaged,
)
"""All of them, in the order they are told."""
