"""Whether a store's file is what it should be: SQLite's own opinion, then what Penstock's rules say of the rows.

For a file that nobody writes: a copy, or the file of a store that nobody serves. Each rule is a query with a name.
Nothing is written to the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import apsw
from msgspec.structs import astuple

from penstock.model.counts import ADDED_UP
from penstock.model.job import QueueStats, checksum
from penstock.model.store_file import Finding
from penstock.store.sqlite.database import SCHEMA_VERSION, new_schema
from penstock.store.sqlite.transaction_journal import read_ledgers
from penstock.store.sqlite.workflow_check import check_workflows

_EXAMPLES: Final = 3
"""How many rows a finding names."""
_COUNTED: Final = ("scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired")
_PLACES: Final = """
CREATE TEMP TABLE place AS
SELECT seq, 'ready' AS state FROM ready
UNION ALL SELECT seq, 'ready' FROM refused WHERE party > 0
UNION ALL SELECT seq, 'blocked' FROM blocked
UNION ALL SELECT seq, 'scheduled' FROM scheduled
UNION ALL SELECT seq, 'running' FROM running
UNION ALL SELECT seq, state FROM finished;
CREATE INDEX temp.place_seq ON place (seq);
"""


class _Rule(NamedTuple):
    """``query`` answers one text for each row that breaks the rule."""

    name: str
    meaning: str
    query: str


RULES: Final = (
    _Rule(
        "job-without-state",
        "jobs stand in no table of states",
        "SELECT hex(id) FROM job WHERE NOT EXISTS (SELECT 1 FROM place WHERE place.seq = job.seq)",
    ),
    _Rule(
        "job-in-several-states",
        "jobs stand in several tables of states, or twice in one",
        "SELECT hex(job.id) || ' (' || group_concat(place.state) || ')' FROM place JOIN job USING (seq) "
        "GROUP BY place.seq HAVING count(*) > 1",
    ),
    _Rule(
        "state-without-job",
        "rows of tables of states belong to no job",
        "SELECT state || ' ' || seq FROM place WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = place.seq)",
    ),
    _Rule(
        "unknown-state",
        "finished jobs have a state that is none",
        "SELECT state || ' ' || seq FROM finished WHERE state NOT IN ('succeeded', 'dead', 'cancelled', 'expired')",
    ),
    _Rule(
        "job-without-line",
        "jobs belong to no line, or to a line without a queue or a task",
        "SELECT hex(job.id) FROM job LEFT JOIN line ON line.id = job.line LEFT JOIN queue ON queue.id = line.queue "
        "LEFT JOIN task ON task.id = line.task WHERE queue.id IS NULL OR task.id IS NULL",
    ),
    _Rule(
        "ready-in-another-line",
        "ready jobs wait in another line than their own",
        "SELECT hex(job.id) FROM job JOIN ready USING (seq) WHERE ready.line != job.line "
        "UNION ALL SELECT hex(job.id) FROM job JOIN refused USING (seq) WHERE refused.line != job.line",
    ),
    _Rule(
        "lease-without-holder",
        "leases are held by nobody",
        "SELECT fence FROM running WHERE holder NOT IN (SELECT id FROM holder)",
    ),
    _Rule(
        "fence-of-no-epoch",
        "leases have a fence that the store has not reached",
        "SELECT fence FROM running WHERE fence >> 40 > (SELECT value FROM meta WHERE key = 'epoch')",
    ),
    _Rule(
        "refused-without-place",
        "jobs that were refused are neither waiting nor leased",
        "SELECT seq FROM refused WHERE party = 0 AND seq NOT IN (SELECT seq FROM running)",
    ),
    _Rule(
        "mishap-without-job",
        "what is held against lost jobs belongs to no job",
        "SELECT seq FROM mishap WHERE seq NOT IN (SELECT seq FROM job)",
    ),
    _Rule(
        "searchable-without-job",
        "what jobs are found by belongs to no job",
        "SELECT DISTINCT seq FROM searchable WHERE seq NOT IN (SELECT seq FROM job)",
    ),
    _Rule(
        "recorded-without-job",
        "what jobs have recorded belongs to no job",
        "SELECT DISTINCT seq FROM recorded WHERE seq NOT IN (SELECT seq FROM job) "
        "UNION SELECT seq FROM checkpoint WHERE seq NOT IN (SELECT seq FROM job)",
    ),
    _Rule(
        "awaiting-without-suspended-job",
        "events are waited for by jobs that are not suspended",
        "SELECT seq FROM awaiting WHERE seq NOT IN (SELECT seq FROM scheduled)",
    ),
    _Rule(
        "key-without-job",
        "unique keys belong to no job, and were not left behind by one for their period",
        "SELECT hex(id) FROM unique_key WHERE forget_at IS NULL AND id NOT IN (SELECT id FROM job)",
    ),
    _Rule(
        "key-without-task",
        "unique keys belong to no task",
        "SELECT hex(id) FROM unique_key WHERE task NOT IN (SELECT id FROM task)",
    ),
    _Rule(
        "slot-without-job",
        "slots of keys are held by no job, or by one that has ended",
        "SELECT DISTINCT seq FROM slot WHERE seq NOT IN (SELECT seq FROM job) OR seq IN (SELECT seq FROM finished)",
    ),
    _Rule(
        "dead-of-no-kind",
        "dead jobs are counted in no kind",
        "SELECT seq FROM finished WHERE dead = 1 AND ifnull(kind, -1) NOT IN (SELECT id FROM dead_kind)",
    ),
    _Rule(
        "dead-kind-differs",
        "kinds of dead jobs are counted otherwise than there are rows",
        "SELECT 'kind ' || id || ': ' || count || ' counted, ' || rows.found || ' there' FROM dead_kind JOIN "
        "(SELECT dead_kind.id AS kind, count(finished.seq) AS found FROM dead_kind "
        "LEFT JOIN finished ON finished.kind = dead_kind.id AND finished.dead = 1 GROUP BY dead_kind.id) AS rows "
        "ON rows.kind = dead_kind.id WHERE count <> rows.found",
    ),
    _Rule(
        "step-without-workflow",
        "steps belong to no workflow, and to none that is being thrown away",
        "SELECT row FROM step WHERE row >> 20 NOT IN (SELECT number FROM workflow) "
        "AND row >> 20 NOT IN (SELECT workflow FROM workflow_work)",
    ),
    _Rule(
        "step-in-parts",
        "of steps there is only what changes, or only what does not",
        "SELECT row FROM step WHERE row NOT IN (SELECT row FROM step_facts) "
        "UNION ALL SELECT row FROM step_facts WHERE row NOT IN (SELECT row FROM step)",
    ),
    _Rule(
        "job-without-step",
        "jobs belong to a step that is not there, or the workflow does not hear of their end",
        "SELECT hex(id) FROM job WHERE (step IS NOT NULL) <> (interest & 32 <> 0) "
        "OR (step IS NOT NULL AND step NOT IN (SELECT row FROM step))",
    ),
    _Rule(
        "member-twice",
        "several jobs have one place in a step",
        "SELECT step || ' ' || ifnull(place, 'its job') FROM job WHERE step IS NOT NULL GROUP BY step, place "
        "HAVING count(*) > 1 AND ifnull(place, 0) >= 0",
    ),
    _Rule(
        "member-without-step",
        "members that are held, or are blocks of steps, belong to a step that is not there",
        "SELECT step FROM held_members WHERE step NOT IN (SELECT row FROM step) "
        "UNION ALL SELECT step FROM member_block WHERE step NOT IN (SELECT row FROM step)",
    ),
    _Rule(
        "record-apart-from-workflow",
        "records of jobs of workflows go before these, or others are kept for ever",
        "SELECT hex(job.id) FROM finished JOIN job USING (seq) "
        "WHERE (finished.keep_until > 1e18) <> (job.step IS NOT NULL)",
    ),
    _Rule(
        "workflow-records-differ",
        "records of jobs of workflows are counted otherwise than there are rows",
        "SELECT 'queue ' || queue || ': ' || sum(counted) || ' counted, ' || sum(found) || ' there' FROM ("
        "SELECT queue, dead, count AS counted, 0 AS found FROM workflow_records UNION ALL "
        "SELECT line.queue, finished.dead, 0, 1 FROM finished JOIN job USING (seq) JOIN line ON line.id = job.line "
        "WHERE job.step IS NOT NULL) GROUP BY queue, dead HAVING sum(counted) <> sum(found)",
    ),
    _Rule(
        "workflow-counts-differ",
        "workflows are counted otherwise than there are rows",
        "SELECT state || ': ' || sum(counted) || ' counted, ' || sum(found) || ' there' FROM ("
        "SELECT state, count AS counted, 0 AS found FROM workflow_count UNION ALL SELECT state, 0, 1 FROM workflow) "
        "GROUP BY state HAVING sum(counted) <> sum(found)",
    ),
    _Rule(
        "channel-without-queue",
        "channels have no topic, or no queue of their name",
        "SELECT channel.name FROM channel LEFT JOIN topic ON topic.id = channel.topic "
        "LEFT JOIN queue ON queue.id = channel.queue "
        "WHERE queue.name IS NULL OR topic.name IS NULL OR queue.name <> topic.name || ':' || channel.name",
    ),
    _Rule(
        "retained-size-differs",
        "records of queues with bounds of their own have another size than is kept",
        "SELECT 'queue ' || queue FROM retained_queue WHERE is_marked = 1 AND size_bytes <> "
        "(SELECT ifnull(sum(finished.size_bytes), 0) FROM finished WHERE finished.retained = retained_queue.queue)",
    ),
    _Rule(
        "shared-body-count",
        "bodies of messages are counted for fewer copies than there are",
        "SELECT number FROM shared_body LEFT JOIN (SELECT body AS used, count(*) AS copies FROM job "
        "WHERE typeof(body) = 'integer' GROUP BY body) AS found ON found.used = number "
        "WHERE shared_body.copies < max(1, ifnull(found.copies, 0))",
    ),
    _Rule(
        "shared-body-without-copies",
        "bodies of messages are kept for copies that there are not",
        "SELECT total(copies) - (SELECT count(*) FROM job WHERE interest & 128) AS more FROM shared_body "
        "HAVING more != 0",
    ),
)
"""What is checked row by row, beside `_bodies`, `_ledgers` and `workflow_check`. A rule that is added here is broken in
its test, and stands in docs/howto/care.md."""


class Checked(NamedTuple):
    """What a check looked at and found."""

    schema_version: int
    jobs: int
    findings: list[Finding]


def check_file(connection: apsw.Connection) -> Checked:
    """Check the database of this connection. One of another schema version is only checked for what SQLite says.

    Raises:
        apsw.Error: so much is wrong that it cannot be read to the end.
    """
    findings = list(_integrity(connection))
    version = int(connection.pragma("user_version"))
    jobs = 0
    if version == SCHEMA_VERSION:
        findings += _shape(connection)
        connection.execute(_PLACES)
        findings += [found for rule in RULES if (found := _broken(connection, rule)) is not None]
        jobs, damaged = _bodies(connection)
        findings += damaged
        findings += _ledgers(connection)
        findings += check_workflows(connection)
        connection.execute("DROP TABLE temp.place")
    return Checked(version, jobs, findings)


def _integrity(connection: apsw.Connection) -> Iterator[Finding]:
    """What SQLite says of its own structures: pages, orders, indexes."""
    for (text,) in connection.execute("PRAGMA integrity_check(20)"):
        if text != "ok":
            yield Finding("file-damaged", str(text))


def shape_of(connection: apsw.Connection) -> dict[str, str]:
    """The text that made each table and index, less white space, comments and quotes."""
    texts = {}
    for name, text in connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    ):
        bare = re.sub(r"--[^\n]*", "", str(text)).replace('"', "")
        texts[str(name)] = re.sub(r"\s*([(),])\s*", r"\1", " ".join(bare.split()))
    return texts


@cache
def _new_shape() -> dict[str, str]:
    return new_schema(shape_of)


def _shape(connection: apsw.Connection) -> list[Finding]:
    """Tables and indexes that are other than those of a new store."""
    there, wanted = shape_of(connection), _new_shape()
    names = sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
    return [Finding("schema-differs", f"other than in a new store: {', '.join(names)}", len(names))] if names else []


def _broken(connection: apsw.Connection, rule: _Rule) -> Finding | None:
    """The finding for a rule that rows break; None: none does."""
    examples: list[str] = []
    count = 0
    try:
        for (text,) in connection.execute(rule.query):
            count += 1
            if len(examples) < _EXAMPLES:
                examples.append(str(text).lower())
    except apsw.SQLError:
        # A table is missing, which `_shape` has found.
        return None
    return Finding(rule.name, f"{rule.meaning}: {_listed(examples, count)}", count) if count else None


def _listed(examples: list[str], count: int) -> str:
    return ", ".join(examples) + (", …" if count > len(examples) else "")


def _bodies(connection: apsw.Connection) -> tuple[int, list[Finding]]:
    """How many jobs there are, and those whose arguments are not what was accepted. Of jobs that succeeded they may
    have been thrown away on a full disk."""
    examples: list[str] = []
    jobs = count = 0
    for job_id, body, kept, state in connection.execute(
        "SELECT job.id, CASE typeof(job.body) WHEN 'integer' THEN shared_body.body ELSE job.body END, job.checksum, "
        "finished.state FROM job LEFT JOIN finished USING (seq) LEFT JOIN shared_body ON shared_body.number = job.body"
    ):
        jobs += 1
        is_dropped = body == b"" and state == "succeeded"
        if not is_dropped and (not isinstance(body, bytes) or checksum(body) != kept):
            count += 1
            if len(examples) < _EXAMPLES and isinstance(job_id, bytes):
                examples.append(job_id.hex())
    if not count:
        return jobs, []
    told = f"the checksum of jobs' arguments is wrong: {_listed(examples, count)}"
    return jobs, [Finding("body-damaged", told, count)]


def _ledgers(connection: apsw.Connection) -> Iterator[Finding]:
    """Queues whose counts do not add up, or are other than the rows."""
    rows: dict[int, dict[str, int]] = {}
    for queue, state, count in connection.execute(
        "SELECT line.queue, place.state, count(*) FROM place JOIN job USING (seq) JOIN line ON line.id = job.line "
        "GROUP BY 1, 2"
    ):
        rows.setdefault(int(queue), {})[str(state)] = int(count)
    later = {number: counts for number, _, counts in read_ledgers(connection)}
    for number, name, *kept in connection.execute(f"SELECT id, name, {', '.join(ADDED_UP)} FROM queue"):
        counts = later.get(int(number)) or QueueStats(*kept)
        if missing := counts.unaccounted():
            yield Finding("ledger-does-not-add-up", f"queue {name}: {missing:+} jobs are unaccounted for")
        found = rows.get(int(number), {})
        kept_counts = dict(zip(ADDED_UP, astuple(counts), strict=False))
        for state in _COUNTED:
            if kept_counts[state] != found.get(state, 0):
                told = f"queue {name}: {kept_counts[state]} jobs are counted as {state}, {found.get(state, 0)} are"
                yield Finding("ledger-differs", told)
