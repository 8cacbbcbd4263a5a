"""What `penstock.testing.machine` asks as people do: about jobs, by id and by filter, and about what operators hold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from msgspec.structs import replace

from penstock.model.actions import Action, ActionRequest, Verb
from penstock.model.errors import TopicNotFound
from penstock.model.holds import HoldKind
from penstock.model.job import Filter, JobEntry, TaskRecord, checksum
from penstock.model.lines import Closed
from penstock.model.topics import kept_queue
from penstock.ports import Store
from penstock.store.paging import all_queues, all_steps
from penstock.testing import calls
from penstock.testing.clock import VirtualClock
from penstock.testing.machine_answers import or_refused


class ActingRules:
    """The rules about them.

    Attributes:
        started: the ids of the actions there ever were.
    """

    clock: VirtualClock
    tried: Store
    model: Store
    started: list[bytes]

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they answer the same."""

    @abstractmethod
    def _ids(self, picks: calls.Picks) -> list[bytes]:
        """The jobs that are meant."""

    # --- jobs --------------------------------------------------------------------------------------------------------
    @rule(picks=calls.picks)
    def cancel(self, picks: calls.Picks) -> None:
        """`Store.cancel`."""
        self._both(lambda store: store.cancel(self._ids(picks)))

    @rule(picks=calls.picks)
    def revive(self, picks: calls.Picks) -> None:
        """`Store.revive`."""
        self._both(lambda store: store.revive(self._ids(picks)))

    @rule(picks=calls.picks, queue=st.sampled_from(calls.QUEUES))
    def move(self, picks: calls.Picks, queue: str) -> None:
        """`Store.move`."""
        self._both(or_refused(lambda store: store.move(self._ids(picks), queue)))

    @rule(picks=calls.picks)
    def delete(self, picks: calls.Picks) -> None:
        """`Store.delete`."""
        self._both(lambda store: store.delete(self._ids(picks)))

    @rule(
        picks=calls.picks,
        priority=st.sampled_from([None, 0, 1, -100]),
        run_in_s=st.sampled_from([None, -5.0, 0.0, 2.0, 40.0]),
    )
    def edit(self, picks: calls.Picks, priority: int | None, run_in_s: float | None) -> None:
        """`Store.edit`."""
        run_at = None if run_in_s is None else self.clock.time() + run_in_s
        self._both(lambda store: store.edit(self._ids(picks), priority=priority, run_at=run_at))

    @rule(
        where=calls.filters,
        action=st.sampled_from(["cancel_where", "revive_where", "delete_where", "move_where"]),
        queue=st.sampled_from(calls.QUEUES),
    )
    def bulk(self, where: Filter, action: str, queue: str) -> None:
        """The actions by filter, to their end."""
        options = (queue,) if action == "move_where" else ()
        self._both(or_refused(lambda store: all_steps(lambda at: getattr(store, action)(where, *options, cursor=at))))

    @rule(lines=calls.lines, reason=st.sampled_from(Closed))
    def close_lines(self, lines: calls.Lines, reason: Closed) -> None:
        """`Store.close_lines`."""
        queue, task = lines
        self._both(lambda store: store.close_lines(reason, queue=queue, task=task))
        self._both(lambda store: store.closed_lines())

    @rule(lines=calls.lines, reason=st.sampled_from([None, *Closed]))
    def open_lines(self, lines: calls.Lines, reason: Closed | None) -> None:
        """`Store.open_lines`."""
        queue, task = lines
        self._both(lambda store: store.open_lines(queue=queue, task=task, reason=reason))

    @rule(
        picks=st.lists(st.integers(0, 30), min_size=1, max_size=1),
        body=st.sampled_from([b"m\x03", b"jk"]),
        unique_key=st.sampled_from([None, "u", "v"]),
    )
    def revive_edited(self, picks: calls.Picks, body: bytes, unique_key: str | None) -> None:
        """`Store.revive_edited`, which a message refuses."""
        entry = JobEntry(self._ids(picks)[0], body, checksum(body), unique_key=unique_key)
        self._both(or_refused(lambda store: store.revive_edited(entry)))

    # --- holds -------------------------------------------------------------------------------------------------------
    @rule(lines=calls.lines, kind=st.sampled_from(HoldKind))
    def hold(self, lines: calls.Lines, kind: HoldKind) -> None:
        """`Store.pause`, `Store.drain`."""
        queue, task = lines
        if self._are_there(queue, task):
            call = "pause" if kind is HoldKind.PAUSED else "drain"
            # A channel is not drained.
            self._both(or_refused(lambda store: getattr(store, call)(queue=queue, task=task, by="ann")))

    @rule(topic=st.sampled_from(calls.TOPICS))
    def pause_topic(self, topic: str) -> None:
        """`Store.pause` of a topic as a whole."""
        self._both(lambda store: _or_no_topic(lambda: store.pause(queue=kept_queue(topic), by="ann")))

    @rule(topic=st.sampled_from(calls.TOPICS))
    def resume_topic(self, topic: str) -> None:
        """`Store.resume` of one."""
        self.resume((kept_queue(topic), None))

    @rule(lines=calls.lines)
    def resume(self, lines: calls.Lines) -> None:
        """`Store.resume`."""
        queue, task = lines
        self._both(lambda store: store.resume(queue=queue, task=task, by="ann"))

    @rule()
    def resume_all(self) -> None:
        """`Store.resume` of all that is held: so that not too much of what comes is refused."""
        for one in self.model.holds():
            self.resume((one.queue, one.task))

    def _are_there(self, queue: str | None, task: str | None) -> bool:
        """Whether both stores know what is named; a task is made known. Of a queue that counts nothing it is up to a
        store whether it is there."""
        if task is not None:
            record = TaskRecord(task)
            if record.name not in {one.name for one in self.model.tasks()}:
                self._both(lambda store: store.register_tasks([record]))
        return queue is None or all(queue in all_queues(store) for store in (self.tried, self.model))

    # --- actions -----------------------------------------------------------------------------------------------------
    @rule(
        where=calls.filters,
        verb=st.sampled_from(Verb),
        to=st.sampled_from(calls.QUEUES),
        dry_run=st.sampled_from([False, False, True]),
        per_s=st.sampled_from([None, None, 1.0, 1_000.0]),
    )
    def start_action(
        self,
        where: Filter,
        verb: Verb,
        to: str,
        dry_run: bool,  # noqa: FBT001 - drawn by name
        per_s: float | None,
    ) -> None:
        """`Store.start_action`."""
        if self._are_there(where.queue, where.task):
            self.started.append(len(self.started).to_bytes(16, "big"))
            target = to if verb is Verb.MOVE else None
            wanted = ActionRequest(self.started[-1], verb, where, target, dry_run, per_s)
            self._both(or_refused(lambda store: _shown(store.start_action(wanted, by="ann"))))

    @rule(
        channel=st.sampled_from(calls.CHANNEL_QUEUES),
        since=st.sampled_from([None, None, 1_800_000_003.0]),
        per_s=st.sampled_from([None, 1.0]),
    )
    def replay(self, channel: str, since: float | None, per_s: float | None) -> None:
        """`Store.start_action` of a replay."""
        self.start_action(Filter(queue=channel, since=since), Verb.REPLAY, calls.QUEUES[0], False, per_s)

    @rule(pick=st.integers(0, 3))
    def stop_action(self, pick: int) -> None:
        """`Store.stop_action`."""
        if self.started:
            action = self.started[-1 - pick % len(self.started)]
            self._both(lambda store: _shown(store.stop_action(action, by="bob")))

    @invariant()
    def operators_see_the_same(self) -> None:
        """`Store.holds`, `Store.actions`, `Store.audit`."""
        self._both(lambda store: (store.holds(), list(map(_shown, store.actions())), store.audit(limit=10)))


def _or_no_topic(ask: Callable[[], None]) -> str:
    try:
        ask()
    except TopicNotFound as error:
        return error.code
    return ""


def _shown(action: Action | None) -> Action | None:
    """An action without its cursor, which is the store's own."""
    return None if action is None else replace(action, cursor=None)
