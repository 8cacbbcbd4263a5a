"""Make a small store with the code of one version of Penstock, for the tests of upgrades.

Run it with the sources of that version, and of no other, on the path::

    mkdir /tmp/old && git archive COMMIT src | tar x -C /tmp/old
    PYTHONPATH=/tmp/old/src .venv/bin/python tools/golden_store.py tests/golden/schema_5.tar.xz

The archive holds the files of a store whose owner was killed: the database, its log, and the redo log with a request in
it where the version has one; and ``contents.json``, which says what jobs there are. Jobs stand in every state that the
version has. The archives are never made anew: they are what that version left. Only that of the newest schema is, until
the schema is released.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from penstock.model import job as m
from penstock.model.ids import new_ids
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock

HOLDER = b"golden-holder-16"
CLIENT = b"golden-client-16"
ERROR = m.JobError("ValueError", "it was no good", "Traceback: …")
BODY = b"m\x92\x90\x80"


class Maker:
    """Fills a store. ``made``: what each job was made for, by id."""

    def __init__(self, store: Any, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self.made: dict[bytes, str] = {}

    def put(
        self,
        name: str,
        count: int = 1,
        *,
        task: str = "app.work",
        key: str | None = None,
        own: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Enqueue jobs that are remembered under this name. ``own``: what later versions have of each job."""
        ids = new_ids(count)
        self.made.update(dict.fromkeys(ids, name))
        entries = [m.JobEntry(one, BODY, m.checksum(BODY), key, **(own or {})) for one in ids]
        answer = self.store.enqueue([m.JobGroup(task, entries, **options)])
        assert answer.accepted == count, answer
        return ids

    def lease(self, limit: int, queues: list[str]) -> list[int]:
        """Lease so many jobs. Answers their fences."""
        batch = self.store.lease(m.LeaseRequest(HOLDER, limit, queues))
        assert len(batch.jobs) == limit, (limit, len(batch.jobs))
        return [batch.first_fence + place for place in range(limit)]

    def settle(self, **outcomes: Any) -> None:
        """Settle. Earlier versions do not ask who does."""
        holder = {"holder": HOLDER} if "holder" in m.Outcomes.__struct_fields__ else {}
        self.store.settle(m.Outcomes(**holder, **outcomes))

    def tick(self) -> None:
        """Do the chores that are due."""
        while self.store.tick().next_s == 0:
            pass

    def fill(self) -> None:
        """Jobs in every state."""
        self.store.register_tasks([m.TaskRecord("app.work", max_attempts=3), m.TaskRecord("app.other", queue="images")])
        self.put("expired", expires_s=1.0)
        self.clock.advance(1.5)
        self.tick()
        self.put("finished", 4)
        now = self.clock.time()
        succeeded, dead, cancelled, retried = self.lease(4, ["default"])
        self.settle(
            succeeded=[m.Succeeded(succeeded, now, now, b"m\x2a")],
            buried=[m.Buried(dead, ERROR, now)],
            cancelled=[m.Cancelled(cancelled)],
            retried=[m.Retried(retried, 60.0, ERROR)],
        )
        self.put("forgotten", 2, queue="images")
        self.settle(forgotten=self.lease(2, ["images"]))
        self.put("running", 3, queue="runs", expires_s=10_000.0)
        fences = self.lease(3, ["runs"])
        self.store.extend(m.Extension(HOLDER, fences, 600.0, [(fences[0], self.clock.time())]))
        self.put("ready", 3)
        self.put("ready, urgent", 2, priority=7, headers={"trace": "ü"}, tags=["red", "blue"])
        self.put("ready, idle", 2, priority=-100)
        self.put("ready, elsewhere", 2, task="app.other", queue="images")
        self.put("ready, keyed", key="order-1")
        self.put("scheduled", 2, delay_s=3_600.0, priority=3)
        self._answer()
        self._later_versions()

    def _answer(self) -> None:
        """A request of a client whose answer is kept."""
        self.store.begin()
        self.put("ready, answered")
        self.store.record_answer(CLIENT, 1, b"answer")
        self.store.commit()

    def _later_versions(self) -> None:
        """What the first version did not have."""
        if hasattr(m, "Refused"):
            self.put("refused", 2, queue="odd")
            refused = self.lease(2, ["odd"])
            self.settle(
                refused=[
                    m.Refused(refused[0], m.JobError("UnknownTask", "not here")),
                    m.Refused(refused[1], m.JobError("InvalidArguments", "another version's")),
                ]
            )
        if hasattr(self.store, "close_lines"):
            from penstock.model.lines import Closed

            self.store.close_lines(Closed.PAUSED, queue="closed")
            self.put("ready, closed", queue="closed")
        if hasattr(self.store, "cursors"):
            self._version_6()
        if hasattr(self.store, "start_workflow"):
            self._version_7()
        if hasattr(self.store, "defer"):
            self._defer()

    def _version_6(self) -> None:
        """Limits of keys, unique keys, searchable arguments, topics, holds, retention, cursors."""
        from penstock.model.flow import (
            ConcurrencyRule,
            FairRule,
            QueueRecord,
            RateRule,
            Retention,
            TaskFlow,
            UniqueRule,
        )
        from penstock.model.source_cursors import SourceCursor
        from penstock.model.topics import MessageEntry, MessageGroup

        try:
            from penstock.model.message_ids import new_message_ids
        except ImportError:
            # Earlier versions have it there.
            from penstock.model.topics import new_message_ids  # type: ignore[attr-defined,no-redef]  # of an earlier version

        limited = TaskFlow(limits=(ConcurrencyRule(1, per="tenant"),))
        fair = TaskFlow(fair=FairRule("tenant", {"acme": 3.0}))
        self.store.register_tasks(
            [m.TaskRecord("app.limited", flow=limited), m.TaskRecord("app.fair", queue="turns", flow=fair)],
            [QueueRecord("bounded", limits=(RateRule(100, burst=200),), retention=Retention(records=5))],
        )
        self.put("limited", 3, task="app.limited", own={"values": {"tenant": "acme"}})
        for tenant in ("acme", "other", "acme"):
            self.put("ready, fair", 2, task="app.fair", queue="turns", own={"values": {"tenant": tenant}})
        self.settle(released=self.lease(1, ["turns"]))
        self.put("ready, unique", own={"unique_key": "order-7"}, unique=UniqueRule(("order",)))
        self.put("ready, found", own={"searchable": {"order": "7"}})
        self.put("forgotten", 3, task="app.other", queue="bounded")
        self.settle(succeeded=[m.Succeeded(one, 1.0, 2.0, b"m\x2a") for one in self.lease(3, ["bounded"])])
        for channel in ("archive", "mail"):
            self.store.create_channel("orders", channel)
        for topic in ("orders", "unread"):
            messages = [
                MessageEntry(one, body, m.checksum(body), f"key-{len(body)}")
                for one, body in zip(new_message_ids(2), (b"rshort", b"r" + b"long" * 1_000), strict=True)
            ]
            self.store.publish(topic, [MessageGroup(messages)])
        self.store.put_limits("queue:bounded", [ConcurrencyRule(50)], by="golden")
        self.store.pause(queue="closed", by="golden", note="as it was left")
        self.store.enqueue([], cursor=SourceCursor("relay", "0", 42, 7))

    def _version_7(self) -> None:
        """Workflows, durable steps, schedules."""
        from penstock.model.durable_steps import JobRecords, Record, RecordKind, Suspended
        from penstock.model.schedules import Schedule
        from penstock.model.workflow_plan import Callback, GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan

        def calls(name: str, count: int = 1) -> m.JobGroup:
            ids = new_ids(count)
            self.made.update(dict.fromkeys(ids, name))
            return m.JobGroup("app.part", [m.JobEntry(one, BODY, m.checksum(BODY)) for one in ids], queue="flows")

        steps = [
            StepPlan("members", group=GroupPlan(None)),
            StepPlan("held", group=GroupPlan(2), takes=[Take(0)]),
            StepPlan("end", calls("planned"), takes=[Take(1)], on_error=[Callback(calls("planned"))]),
        ]
        plan = WorkflowPlan(new_ids(1)[0], "golden", steps, [Output(2)], idempotency_key="order-7")
        self.store.start_workflow(plan, [Members(0, [calls("member", 4)]), Members(1, [calls("planned", 2)])])
        fences = self.lease(3, ["flows"])
        self.settle(succeeded=[m.Succeeded(one, 1.0, 2.0, b"m\x2a") for one in fences[:2]])
        self.store.add_members(plan.id, [], close=[0])
        over = WorkflowPlan(new_ids(1)[0], "over", [StepPlan("empty", group=GroupPlan(0))])
        self.store.start_workflow(over)
        (durable,) = self.put("durable", task="app.durable", queue="durable")
        (fence,) = self.lease(1, ["durable"])
        step = Record(0, "charge", RecordKind.STEP, b"m\x2a")
        self.store.record([JobRecords(fence, durable, [step], b"m\x01", {"progress": b"m\x02"})])
        self.settle(suspended=[Suspended(fence, Record(1, "approved", RecordKind.EVENT), delay_s=600.0)])
        self.store.signal(durable, "another", b"m\x03")
        self.store.put_schedule(Schedule("nightly", calls("planned"), cron="0 3 * * *", timezone="Europe/Berlin"))

    def _defer(self) -> None:
        """A request that is in the redo log, and no row yet. The last thing done."""
        try:
            from penstock.store import deferring
        except ImportError:
            deferring = m  # type: ignore[assignment]  # earlier versions have it there
        getattr(self.store, "tidy", lambda: None)()
        (new,) = new_ids(1)
        group = m.JobGroup("app.work", [m.JobEntry(new, BODY, m.checksum(BODY))])
        assert self.store.defer([deferring.DeferredEnqueue(CLIENT, 2, b"deferred", [group])])
        self.made[new] = "deferred"


def main(target: Path) -> None:
    """Make the archive."""
    with tempfile.TemporaryDirectory() as name:
        place, kept = Path(name) / "store", Path(name) / "kept"
        place.mkdir()
        clock = VirtualClock()
        store = SqliteStore(place / "penstock.db", clock=clock)
        maker = Maker(store, clock)
        maker.fill()
        # As a killed owner leaves it: nothing is closed.
        shutil.copytree(
            place, kept, ignore=lambda _, names: [one for one in names if not one.startswith("penstock.db")]
        )
        store.database.connection.close()
        described = {"at": clock.time(), "jobs": {one.hex(): told for one, told in maker.made.items()}}
        (kept / "contents.json").write_bytes(msgspec.json.format(json.dumps(described).encode(), indent=1))
        _pack(kept, target)


def _pack(kept: Path, target: Path) -> None:
    """The files, with nothing of this machine beside them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:xz") as archive:
        for path in sorted(kept.iterdir()):
            if path.name.endswith("-shm"):
                continue
            content = path.read_bytes()
            member = tarfile.TarInfo(path.name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
