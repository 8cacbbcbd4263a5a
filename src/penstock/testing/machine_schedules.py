"""What `penstock.testing.machine` asks about schedules. What they start has the same ids in both stores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.schedules import Missed, Overlap, Schedule, ScheduleRun
from penstock.ports import Store
from penstock.testing import calls
from penstock.testing.clock import VirtualClock
from penstock.testing.machine_answers import or_refused

_BODY: Final = b"m\x92\x90\x80"
_NAMES: Final = ("one", "two")
_TIMES: Final[tuple[dict[str, Any], ...]] = ({"every_s": 3.0}, {"every_s": 50.0}, {"cron": "* * * * *"}, {"at": 5.0})

_schedules = st.builds(
    lambda name, task, queue, times, overlap, missed, jitter_s, expires_s: Schedule(
        name,
        JobGroup(task, [JobEntry(bytes(16), _BODY, checksum(_BODY))], queue, expires_s=expires_s),
        jitter_s=jitter_s,
        overlap=overlap,
        missed=missed,
        missed_max=2,
        **times,
    ),
    st.sampled_from(_NAMES),
    st.sampled_from(calls.TASKS),
    st.sampled_from(calls.QUEUES),
    st.sampled_from(_TIMES),
    st.sampled_from(Overlap),
    st.sampled_from(Missed),
    st.sampled_from([0.0, 0.0, 2.0]),
    st.sampled_from([None, None, 5.0]),
)
_VERBS: Final[dict[str, Callable[[Store, str, float], Any]]] = {
    "run": lambda store, name, _: store.run_schedule(name),
    "pause": lambda store, name, _: store.pause_schedule(name, by="ann"),
    "resume": lambda store, name, _: store.resume_schedule(name, by="ann"),
    "remove": lambda store, name, _: store.remove_schedule(name, by="ann"),
    "backfill": lambda store, name, now: store.backfill_schedule(name, now - 7.0, now),
    "declare": lambda store, name, _: store.register_tasks([], application=name),
}


class ScheduleRules:
    """A mixin. The two stores, and the ids that are compared after every step, are the machine's."""

    ids: list[bytes]
    clock: VirtualClock
    tried: Store

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they must answer the same."""

    @rule(schedule=_schedules, application=st.sampled_from([None, None, "app"]))
    def put_schedule(self, schedule: Schedule, application: str | None) -> None:
        """`Store.put_schedule`, or a declaration of nothing but this."""
        if schedule.at is not None:
            schedule = replace(schedule, at=self.clock.time() + schedule.at)
        if application is None:
            self._both(or_refused(lambda store: store.put_schedule(schedule)))
        else:
            self._both(or_refused(lambda store: store.register_tasks([], schedules=[schedule], application="app")))

    @rule(verb=st.sampled_from(sorted(_VERBS)), name=st.sampled_from(_NAMES))
    def act_on_schedule(self, verb: str, name: str) -> None:
        """The other calls about schedules."""
        now = self.clock.time()
        self._both(or_refused(lambda store: _VERBS[verb](store, name, now)))

    @invariant()
    def every_schedule_is_the_same(self) -> None:
        """`Store.schedules`, `Store.schedule_runs`. No slot was fired twice by itself."""
        self._both(lambda store: store.schedules().schedules)
        for view in self.tried.schedules().schedules:
            self._both(partial(_history, view.schedule.name))
            runs = _history(view.schedule.name, self.tried)
            self.ids += [run.id for run in runs if run.id is not None and run.id not in self.ids]


def _history(name: str, store: Store) -> list[ScheduleRun]:
    return store.schedule_runs(name, limit=limits.PAGE_SCHEDULES_MAX).runs
