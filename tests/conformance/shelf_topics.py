"""Topics of the store on a shelf (`shelf_store`): plain, correct and slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.model import limits, topic_acceptance
from penstock.model import topics as t
from penstock.model.audit import check_by
from penstock.model.consumers import Consumers
from penstock.model.empty_queues import is_empty
from penstock.model.job import Enqueued, JobEntry, JobGroup, QueueStats
from penstock.model.message_ids import copy_id, free_slot, message_id
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import WAITING, State

Pair = tuple[t.MessageGroup, t.MessageEntry]


class ShelfTopics:
    """A mixin: it finds jobs, counts, keys and the clock where `ShelfStore` has them."""

    _jobs: Any
    _counts: Any
    _keys: Any
    _cursors: Any
    _position_after: Any
    _clock: Any
    _holders: Any
    _holds: Any
    _limits: Any
    _look_over_keys: Any
    _closed_lines: Any
    _check_open: Any
    _put: Any
    _delete: Any
    _remove_queue: Any
    _shown_counts: Any

    def _start_topics(self) -> None:
        self._slots: dict[str, dict[str, int]] = {}
        self._published: dict[str, int] = {}
        self._cleared = 0
        self._consumers = Consumers()

    # --- publishing --------------------------------------------------------------------------------------------------
    def publish(
        self,
        topic: str,
        groups: Sequence[t.MessageGroup],
        *,
        atomic: bool = False,
        channel: str | None = None,
        cursor: SourceCursor | None = None,
    ) -> t.PublishAnswer:
        self._check_open()
        position = None
        if cursor is not None:
            position = self._position_after(cursor, has_jobs=any(group.messages for group in groups))
        count = topic_acceptance.check_messages(topic, groups, self._clock.time())
        slots = self._slots.get(topic, {})
        if channel is not None:
            self._check_channel(t.channel_queue(topic, channel))
            slots = {channel: slots[channel]}
        topic_acceptance.check_copies(count, len(slots))
        if topic not in self._slots:
            self._check_channels(topic, 0, 1)
        if not slots:
            topic_acceptance.check_kept(topic, self._kept(topic), count)
        pairs = [(group, message) for group in groups for message in group.messages]
        known = list(self._known_messages(topic, pairs, None if channel is None else slots[channel]))
        conflicts = [one for one in known if one.conflict]
        if atomic and conflicts:
            return t.PublishAnswer(0, len(slots), conflicts)
        if position is not None:
            self._cursors[position.source, position.partition] = position
        self._slots.setdefault(topic, {})
        self._published[topic] = self._published.get(topic, 0) + count - len(known)
        self._use_topic(topic)
        old = {one.index for one in known}
        fresh = [pair for index, pair in enumerate(pairs) if index not in old]
        for pair in fresh:
            self._copy(topic, slots, *pair)
        for name in slots if fresh else ():
            if t.is_ephemeral(name):
                self._bound(t.channel_queue(topic, name), slots[name], fresh)
        return t.PublishAnswer(count - len(known), len(slots), known)

    def _known_messages(self, topic: str, pairs: Sequence[Pair], slot: int | None) -> Iterator[Enqueued]:
        copies = [job_id for job_id in self._jobs if slot is None or copy_id(message_id(job_id), slot) == job_id]
        there = {message_id(job_id) for job_id in copies}
        uses = {key: use for (scope, key), use in self._keys.items() if scope == f"topic {topic}"}
        for index, (_, message) in enumerate(pairs):
            first_id, call, until = uses.get(message.idempotency_key, (b"", (0, 0), 0.0))
            if until > self._clock.time():
                same = message.is_message(call)
                yield Enqueued(index, first_id, None, duplicate=same, conflict=not same)
            elif message.id in there:
                yield Enqueued(index, message.id, None, duplicate=True)
            else:
                there.add(message.id)
                if message.idempotency_key is not None:
                    uses[message.idempotency_key] = (message.id, message.told_by(), float("inf"))

    def _copy(self, topic: str, slots: dict[str, int], group: t.MessageGroup, message: t.MessageEntry) -> None:
        queues = {t.channel_queue(topic, name): slot for name, slot in slots.items()}
        for queue, slot in sorted((queues or {t.kept_queue(topic): 0}).items(), key=lambda one: one[1]):
            rules = [*self._limits.rules(f"queue:{queue}"), *self._limits.rules(f"task:{t.MESSAGE_TASK}")]
            values = t.message_values(group.headers_of(message), rules if queues else None)
            copy = JobEntry(copy_id(message.id, slot), message.body, message.checksum, values=values)
            options = {"delay_s": group.delay_s, "headers": group.headers_of(message)}
            self._put(JobGroup(t.MESSAGE_TASK, [copy], queue, **options), copy)
        if message.idempotency_key is not None:
            until = self._clock.time() + group.keys_count_s
            self._keys[f"topic {topic}", message.idempotency_key] = (message.id, message.told_by(), until)

    def _bound(self, queue: str, slot: int, fresh: Sequence[Pair]) -> None:
        """Keep to what an ephemeral channel may hold."""
        counts = self._counts[queue]
        more = counts.ready + counts.scheduled + counts.blocked - limits.EPHEMERAL_MESSAGES_MAX
        more = min(more, len(fresh) + limits.EPHEMERAL_DISCARDS_MAX)
        ready = [job for job in self._jobs.values() if job.queue == queue and job.state is State.READY]
        front = sorted((job for job in ready if job.refusal is None), key=lambda job: job.order)[: max(0, more)]
        more -= len(front)
        copies = [self._jobs[copy_id(message.id, slot)] for _, message in fresh]
        aside = [job for job in copies if job.state in (State.SCHEDULED, State.BLOCKED)]
        for job in [*front, *(aside[-more:] if more > 0 else [])]:
            self._delete(job)

    def _use_topic(self, topic: str) -> None:
        if t.is_ephemeral(topic) and not self._slots[topic]:
            self._consumers.watch(t.kept_queue(topic), self._clock.monotonic())

    def _kept(self, topic: str) -> int:
        counts = self._counts.get(t.kept_queue(topic), QueueStats())
        return counts.ready + counts.scheduled + counts.blocked

    # --- topics and channels -----------------------------------------------------------------------------------------
    def create_topic(self, topic: str) -> bool:
        self._check_open()
        t.check_topic(topic)
        if topic in self._slots:
            return False
        self._check_channels(topic, 0, 1)
        self._slots[topic] = {}
        self._use_topic(topic)
        return True

    def create_channel(self, topic: str, channel: str) -> bool:
        self._check_open()
        t.check_topic(topic)
        t.check_channel(channel)
        slots = self._slots.get(topic, {})
        if channel in slots:
            return False
        self._check_channels(topic, len(slots), int(topic not in self._slots or bool(slots)))
        queue = t.channel_queue(topic, channel)
        if not slots and t.kept_queue(topic) in self._counts:
            self._rename_queue(t.kept_queue(topic), queue)
            if any(rule.per is not None for rule in self._limits.rules(f"queue:{queue}")):
                self._look_over_keys()
            if self._closed_lines.is_paused(t.kept_queue(topic)):
                self._look_over_keys()
        self._counts.setdefault(queue, QueueStats())
        self._slots[topic] = slots | {channel: free_slot(list(slots.values()))}
        self._consumers.forget(t.kept_queue(topic))
        if t.is_ephemeral(channel):
            self._consumers.watch(queue, self._clock.monotonic())
        return True

    def _check_channels(self, topic: str, channels: int, more: int) -> None:
        known = sum(max(1, len(slots)) for slots in self._slots.values())
        topic_acceptance.check_new_channels(topic, channels, known, more)

    def _check_channel(self, queue: str) -> None:
        topic, _, channel = queue.partition(":")
        if topic not in self._slots:
            raise t.no_topic(topic)
        if channel not in self._slots[topic]:
            raise t.no_channel(topic, channel, list(self._slots[topic]))

    def delete_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        self._check_open()
        check_by(by)
        self._check_channel(t.channel_queue(topic, channel))
        if by is not None:
            self._note(by, "delete", f"queue:{topic}:{channel}", self._waiting_in({t.channel_queue(topic, channel)}))
        del self._slots[topic][channel]
        self._clear_queue(t.channel_queue(topic, channel))
        if not self._slots[topic] and t.is_ephemeral(topic):
            self.delete_topic(topic)

    def delete_topic(self, topic: str, *, by: str | None = None) -> None:
        self._check_open()
        check_by(by)
        if topic not in self._slots:
            raise t.no_topic(topic)
        if by is not None:
            queues = {t.channel_queue(topic, one) for one in self._slots[topic]} | {t.kept_queue(topic)}
            self._note(by, "delete", f"topic:{topic}", self._waiting_in(queues))
        for queue in [*(t.channel_queue(topic, one) for one in sorted(self._slots[topic])), t.kept_queue(topic)]:
            if queue in self._counts:
                self._clear_queue(queue)
        self._let_go_of(t.kept_queue(topic))
        self._consumers.forget(t.kept_queue(topic))
        del self._slots[topic]
        self._published.pop(topic, None)
        for key in [key for key in self._keys if key[0] == f"topic {topic}"]:
            del self._keys[key]

    def empty_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        self._check_open()
        check_by(by)
        queue = t.channel_queue(topic, channel)
        self._check_channel(queue)
        if by is not None:
            self._note(by, "empty", f"queue:{queue}", self._waiting_in({queue}))
        if not is_empty(self._counts[queue]):
            self._set_aside(queue)
            self._counts[queue] = QueueStats()

    def empty_topic(self, topic: str, *, by: str | None = None) -> None:
        self._check_open()
        check_by(by)
        if topic not in self._slots:
            raise t.no_topic(topic)
        queue = t.kept_queue(topic)
        if by is not None:
            self._note(by, "empty", f"topic:{topic}", self._waiting_in({queue}))
        if queue in self._counts and not is_empty(self._counts[queue]):
            self._set_aside(queue)

    def _set_aside(self, queue: str) -> None:
        self._cleared += 1
        self._rename_queue(queue, t.cleared_queue(queue, self._cleared))

    def _waiting_in(self, queues: set[str]) -> int:
        return sum(job.queue in queues and job.state in WAITING for job in self._jobs.values())

    def _clear_queue(self, queue: str) -> None:
        self._consumers.forget(queue)
        self._let_go_of(queue)
        if is_empty(self._counts[queue]):
            self._remove_queue(queue)
        else:
            self._set_aside(queue)

    def _let_go_of(self, queue: str) -> None:
        for line in self._closed_lines.all():
            if line.queue == queue:
                self._closed_lines.open(queue, line.task, None)
        for hold in self._holds.by_queue().get(queue, []):
            self._holds.lift(queue, hold.task)

    def _rename_queue(self, before: str, after: str) -> None:
        self._counts[after] = self._counts.pop(before)
        for job in self._jobs.values():
            if job.queue == before:
                job.queue = after

    def _leaving(self) -> list[Any]:
        return [job for job in self._jobs.values() if t.is_cleared(job.queue) and job.state is not State.RUNNING]

    def _clear_some(self) -> None:
        for job in self._leaving()[: limits.TICK_STEP_JOBS]:
            self._delete(job)
        for queue in [name for name in self._counts if t.is_cleared(name) and is_empty(self._counts[name])]:
            self._remove_queue(queue)
        for queue in self._consumers.due(self._clock.monotonic()):
            topic, _, channel = queue.partition(":")
            if channel:
                self.delete_channel(topic, channel)
            else:
                self.delete_topic(topic)

    def topics(self, *, topic: str | None = None, cursor: str | None = None, limit: int = 100) -> t.TopicsPage:
        self._check_open()
        if topic is not None and topic not in self._slots:
            raise t.no_topic(topic)
        if cursor is not None and not cursor.startswith("after topic "):
            raise t.InvalidOption("This is no cursor of this call.", field="cursor")
        after = "" if cursor is None else cursor.removeprefix("after topic ")
        names = [name for name in sorted(self._slots) if name > after] if topic is None else [topic]
        more = f"after topic {names[limit - 1]}" if len(names) > limit else None
        return t.TopicsPage([self._shown_topic(name) for name in names[:limit]], more)

    def _shown_topic(self, topic: str) -> t.TopicView:
        channels = [self._shown_channel(name, t.channel_queue(topic, name)) for name in sorted(self._slots[topic])]
        paused = self._closed_lines.is_paused(t.kept_queue(topic))
        return t.TopicView(topic, self._published.get(topic, 0), channels, self._kept(topic), paused)

    def _shown_channel(self, name: str, queue: str) -> t.ChannelView:
        consumers = self._holders.consumers(self._clock.monotonic())[queue]
        reason = self._closed_lines.reason_of(queue, t.MESSAGE_TASK)
        return t.ChannelView(name, self._shown_counts(queue), consumers, reason and reason.value)
