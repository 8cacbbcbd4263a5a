"""What a check finds: each rule, broken by hand."""

import re
from pathlib import Path

import apsw
import pytest

from penstock.model.ids import new_id
from penstock.model.job import Buried, LeaseRequest, Outcomes, Succeeded
from penstock.model.workflow_plan import GroupPlan, Members, StepPlan, WorkflowPlan
from penstock.store.sqlite import database
from penstock.store.sqlite.file_check import RULES, check_file
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put

PAGE = Path(__file__).parents[4] / "docs" / "howto" / "care.md"


def put_workflow(store):
    """A group that works, of whose members one has ended, and one that waits for it."""
    jobs = [Members(0, [group(*(entry() for _ in range(3)), queue="flows")]), Members(1, [group(entry())])]
    steps = [StepPlan("g", group=GroupPlan(3)), StepPlan("h", group=GroupPlan(1), after=[0])]
    store.start_workflow(WorkflowPlan(new_id(), "w", steps), jobs)
    fence = store.lease(LeaseRequest(HOLDER, 1, ["flows"])).first_fence
    store.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, 1.0, 1.0, b"m\x01")]))


@pytest.fixture
def file(path, clock):
    """A store with jobs in every state, closed, and open for whoever breaks it."""
    store = SqliteStore(path, clock=clock)
    put(store, 5)
    put(store, 2, queue="other", delay_s=50.0)
    store.enqueue([group(entry(key="k"), queue="keyed")])
    (cancelled,) = put(store, queue="gone")
    store.cancel([cancelled])
    put_workflow(store)
    fences = store.lease(LeaseRequest(HOLDER, 4, ["default"])).first_fence
    now = clock.time()
    store.settle(
        Outcomes(HOLDER, succeeded=[Succeeded(fences, now, now, b"m\x01")], buried=[Buried(fences + 1, ERROR)])
    )
    store.close()
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


def names_of(connection):
    return [finding.name for finding in check_file(connection).findings]


def test_nothing_is_found_in_a_store_that_is_sound(file):
    checked = check_file(file)
    assert checked.findings == []
    assert checked.jobs == 12
    assert checked.schema_version == database.SCHEMA_VERSION


BREAKINGS = [
    ("DELETE FROM scheduled WHERE seq = (SELECT max(seq) FROM scheduled)", "job-without-state"),
    ("INSERT INTO scheduled SELECT 9e9, seq FROM running LIMIT 1", "job-in-several-states"),
    ("INSERT INTO scheduled VALUES (9e9, 7)", "state-without-job"),
    ("UPDATE finished SET state = 'lost' WHERE state = 'dead'", "unknown-state"),
    ("UPDATE job SET line = 99 WHERE seq = (SELECT seq FROM ready LIMIT 1)", "job-without-line"),
    (
        "UPDATE job SET line = (SELECT max(id) FROM line) WHERE seq = (SELECT seq FROM ready LIMIT 1)",
        "ready-in-another-line",
    ),
    ("DELETE FROM holder", "lease-without-holder"),
    (
        "UPDATE running SET fence = fence + (5 << 40) WHERE fence = (SELECT max(fence) FROM running)",
        "fence-of-no-epoch",
    ),
    (
        "INSERT INTO refused SELECT seq, 0, line, 0, 0, 1, NULL, 1.0, NULL, x'00' FROM ready LIMIT 1",
        "refused-without-place",
    ),
    ("INSERT INTO mishap VALUES (7, 1, 1)", "mishap-without-job"),
    ("INSERT INTO searchable VALUES ('order', '7', 7)", "searchable-without-job"),
    ("INSERT INTO recorded VALUES (7, 0, x'00')", "recorded-without-job"),
    ("INSERT INTO checkpoint VALUES (7, x'00')", "recorded-without-job"),
    ("INSERT INTO awaiting SELECT x'00', 'e', 1, seq, 0 FROM ready LIMIT 1", "awaiting-without-suspended-job"),
    ("INSERT INTO unique_key (id, task, key, states) VALUES (x'00', 1, 'k', 1)", "key-without-job"),
    ("INSERT INTO unique_key (id, task, key, states) SELECT id, 77, 'k', 1 FROM job", "key-without-task"),
    ("INSERT INTO slot VALUES (7, 'concurrency', 'acme')", "slot-without-job"),
    ("UPDATE finished SET kind = NULL", "dead-of-no-kind"),
    ("UPDATE finished SET kind = 77", "dead-of-no-kind"),
    ("UPDATE dead_kind SET count = count + 1", "dead-kind-differs"),
    ("INSERT INTO channel VALUES (99, 1, 'c', 0)", "channel-without-queue"),
    ("INSERT INTO retained_queue VALUES (1, 5, 1)", "retained-size-differs"),
    ("UPDATE job SET body = x'6d00' WHERE seq = (SELECT seq FROM ready LIMIT 1)", "body-damaged"),
    ("UPDATE job SET checksum = 1 WHERE seq = (SELECT seq FROM ready LIMIT 1)", "body-damaged"),
    ("DELETE FROM journal; UPDATE queue SET scheduled = scheduled + 1", "ledger-differs"),
    ("DELETE FROM journal; UPDATE queue SET accepted_total = accepted_total + 1", "ledger-does-not-add-up"),
    ("CREATE INDEX job_of_mine ON job (id)", "schema-differs"),
    ("DROP INDEX finished_age", "schema-differs"),
    ("DROP TABLE searchable", "schema-differs"),
    ("INSERT INTO shared_body VALUES (1, x'00', 2)", "shared-body-without-copies"),
    ("DELETE FROM workflow", "step-without-workflow"),
    ("DELETE FROM step_facts WHERE row = (SELECT max(row) FROM step_facts)", "step-in-parts"),
    ("DELETE FROM step WHERE row = (SELECT max(row) FROM step)", "step-in-parts"),
    ("UPDATE job SET step = NULL WHERE step IS NOT NULL", "job-without-step"),
    ("UPDATE job SET step = 7 WHERE step IS NOT NULL", "job-without-step"),
    ("UPDATE job SET place = 0 WHERE step IS NOT NULL", "member-twice"),
    ("INSERT INTO member_block VALUES (7, 0, 1)", "member-without-step"),
    ("UPDATE finished SET keep_until = 9e999", "record-apart-from-workflow"),
    ("UPDATE finished SET keep_until = 9e9", "record-apart-from-workflow"),
    ("INSERT INTO workflow_records VALUES (99, 0, 5)", "workflow-records-differ"),
    ("DELETE FROM workflow_records", "workflow-records-differ"),
    ("UPDATE workflow SET state = 'failed'", "workflow-differs"),
    ("UPDATE workflow_count SET count = count + 1", "workflow-counts-differ"),
    ("INSERT INTO workflow_count VALUES ('odd', 1)", "workflow-counts-differ"),
    ("UPDATE workflow SET standing = x'c0'", "workflow-differs"),
    ("DELETE FROM step; DELETE FROM step_facts", "workflow-differs"),
    ("DELETE FROM held_members", "workflow-differs"),
    ("INSERT INTO member_block SELECT max(row), 0, 1 FROM step", "workflow-differs"),
    ("UPDATE finished SET state = 'cancelled' WHERE keep_until > 1e18", "workflow-differs"),
    ("DELETE FROM finished WHERE keep_until > 1e18", "workflow-differs"),
    ("UPDATE step SET standing = (SELECT standing FROM step ORDER BY row LIMIT 1)", "workflow-differs"),
    (
        (
            "INSERT INTO shared_body VALUES (1, x'00', 1); UPDATE job SET body = 1, interest = 128 "
            "WHERE seq IN (SELECT seq FROM ready)"
        ),
        "shared-body-count",
    ),
]
"""Statements that break a rule, and which."""


@pytest.mark.parametrize(("breaking", "found"), BREAKINGS)
def test_each_rule_that_is_broken_is_named(file, breaking, found):
    file.execute(breaking)
    assert found in names_of(file)


def test_every_rule_is_broken_here_and_is_told_of_in_the_documentation():
    page = PAGE.read_text(encoding="utf-8").partition("\n## Check\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.MULTILINE))
    broken = {found for _, found in BREAKINGS}
    assert {rule.name for rule in RULES} <= broken
    assert broken | {"file-damaged", "redo-damaged", "redo-set-aside"} == told


def test_a_finding_says_where_and_how_often(file):
    file.execute("UPDATE job SET checksum = checksum + 1")
    (finding,) = [one for one in check_file(file).findings if one.name == "body-damaged"]
    assert finding.count == 12
    assert finding.detail.count(",") == 3
    assert finding.detail.endswith(", …")


def test_what_a_full_disk_threw_away_is_no_damage(file):
    file.execute("UPDATE job SET body = x'' WHERE seq IN (SELECT seq FROM finished WHERE state = 'succeeded')")
    assert names_of(file) == []
    file.execute("UPDATE job SET body = x''")
    assert names_of(file) == ["body-damaged"]


def test_pages_that_are_damaged_are_found(file, path):
    file.close()
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 40] = b"\xff" * 40
    path.write_bytes(content)
    connection = apsw.Connection(str(path))
    try:
        assert "file-damaged" in names_of(connection)
    except apsw.CorruptError:
        pass
    finally:
        connection.close()


def test_of_another_schema_only_the_file_is_checked(file):
    file.execute("DROP TABLE ready")
    file.pragma("user_version", 4)
    checked = check_file(file)
    assert (checked.findings, checked.jobs, checked.schema_version) == ([], 0, 4)
