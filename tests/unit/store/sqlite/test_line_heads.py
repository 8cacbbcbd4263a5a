"""The heads of lines in memory: what comes next, over many lines, and what is read for it."""

import random

import pytest

from penstock.store.sqlite.line_heads import (
    ENTRIES_FIRST,
    ENTRIES_MAX,
    Front,
    Heads,
    LimitedHeads,
    give_back,
    key_of,
    take_by_tasks,
    take_in_order,
)


def entry(arrival, urgency=0, rank=0):
    return (urgency, rank, arrival, 1_000 + arrival, key_of(urgency, arrival))


class File:
    """Lines as a file has them, and what was read of them."""

    def __init__(self):
        self.jobs = {}
        self.reads = []

    def line(self, number, *entries, queue=None, task=0):
        self.jobs[number] = sorted(entries)
        return Front(number, number if queue is None else queue, task)

    def read(self, front, after):
        number = front.reads()
        self.reads.append((front.line, number))
        left = [one for one in self.jobs[front.line] if after is None or one > after]
        front.entries.extend(left[:number])
        front.is_whole = len(left) < number


@pytest.fixture
def file():
    return File()


def heads_of(*fronts):
    heads = Heads()
    for front in fronts:
        heads.refresh(front)
    return heads


def arrivals(chosen):
    return [one[2] for _, one in chosen]


def test_the_lines_of_a_task_are_merged_by_urgency_and_arrival(file):
    fronts = [file.line(1, entry(1), entry(4)), file.line(2, entry(2), entry(9, -1)), file.line(3, entry(3, 1))]
    assert arrivals(take_by_tasks([heads_of(*fronts)], 10, file.read)) == [9, 1, 2, 4, 3]


def test_a_limit_leaves_the_rest_for_the_next_lease(file):
    heads = heads_of(*(file.line(line, *map(entry, range(line, 60, 6))) for line in range(6)))
    got = []
    while some := arrivals(take_by_tasks([heads], 7, file.read)):
        got += some
    assert got == list(range(60))
    assert not heads.members


def test_several_tasks_are_merged(file):
    tasks = [heads_of(file.line(task, *map(entry, range(task, 90, 3)), task=task)) for task in range(3)]
    assert arrivals(take_by_tasks(tasks, 50, file.read)) == list(range(50))
    assert arrivals(take_by_tasks(tasks, 50, file.read)) == list(range(50, 90))


def test_a_lease_reads_of_a_long_line_what_it_takes_and_little_more(file):
    long, short = file.line(1, *map(entry, range(1, 10_000))), file.line(2, entry(0))
    heads = heads_of(long, short)
    assert arrivals(take_by_tasks([heads], 100, file.read)) == list(range(100))
    assert sum(number for _, number in file.reads) <= 100 + 2 * ENTRIES_MAX
    assert file.reads[0][1] == ENTRIES_FIRST


def test_what_is_known_is_not_read_again(file):
    heads = heads_of(*(file.line(line, entry(line)) for line in range(100)))
    take_by_tasks([heads], 1, file.read)
    file.reads.clear()
    assert len(take_by_tasks([heads], 99, file.read)) == 99
    assert file.reads == []


def test_a_job_that_joins_in_front_comes_first(file):
    front, other = file.line(1, entry(5)), file.line(2, entry(4))
    heads = heads_of(front, other)
    take_by_tasks([heads], 0, file.read)
    assert front.add(entry(3))
    heads.refresh(front)
    assert not front.add(entry(6))
    assert arrivals(take_by_tasks([heads], 9, file.read)) == [3, 4, 5, 6]


def test_a_job_that_leaves_is_not_given_out(file):
    front, other = file.line(1, entry(1), entry(3)), file.line(2, entry(2))
    heads = heads_of(front, other)
    take_by_tasks([heads], 0, file.read)
    front.remove((0, 0, 1))
    heads.refresh(front)
    other.remove((0, 0, 2))
    heads.refresh(other)
    assert arrivals(take_by_tasks([heads], 9, file.read)) == [3]


def test_what_was_taken_and_not_used_is_taken_again_in_its_order(file):
    heads = heads_of(*(file.line(line, *map(entry, range(line, 30, 3))) for line in range(3)))
    chosen = take_by_tasks([heads], 20, file.read)
    give_back(chosen[5:])
    for front, _ in chosen[5:]:
        heads.refresh(front)
    assert arrivals(take_by_tasks([heads], 99, file.read)) == list(range(5, 30))


def test_a_line_that_is_dropped_gives_nothing_until_it_is_back(file):
    front, other = file.line(1, entry(1)), file.line(2, entry(2))
    heads = heads_of(front, other)
    take_by_tasks([heads], 0, file.read)
    heads.drop(front)
    assert arrivals(take_by_tasks([heads], 9, file.read)) == [2]
    heads.refresh(front)
    assert arrivals(take_by_tasks([heads], 9, file.read)) == [1]


def test_what_was_known_of_a_line_is_not_taken_for_what_is_known_of_it_now(file):
    """As after a transaction that was undone: another front stands for the line, and knows less."""
    old, other = file.line(1, entry(5)), file.line(2, entry(6))
    heads = heads_of(old, other)
    old.add(entry(1, -9))
    take_by_tasks([heads], 0, file.read)
    old.add(entry(1, -9))
    heads.refresh(old)
    heads.drop(old)
    new = Front(1, 1, 0)
    heads.refresh(new)
    heads.drop(old)
    assert [(front, one[2]) for front, one in take_by_tasks([heads], 9, file.read)] == [(new, 5), (other, 6)]


def test_so_many_places_are_known_of_a_line_and_no_more():
    front = Front(1, 1, 1)
    front.is_whole = True
    for arrival in range(ENTRIES_MAX):
        front.add(entry(arrival))
    assert front.is_whole
    front.add(entry(ENTRIES_MAX))
    assert (len(front.entries), front.is_whole) == (ENTRIES_MAX, False)
    front.add(entry(99, -1))
    assert (len(front.entries), front.entries[0]) == (ENTRIES_MAX, entry(99, -1))
    front.add(entry(98, -1))
    assert front.entries[0] == entry(98, -1)


def test_behind_what_is_known_of_a_long_line_nothing_is_noted():
    front = Front(1, 1, 1)
    front.entries.extend([entry(1), entry(2)])
    front.add(entry(7))
    assert list(front.entries) == [entry(1), entry(2)]
    front.forget()
    assert not front.add(entry(8))
    assert not front.entries


def test_keys_of_jobs_that_are_not_first_any_more_do_not_pile_up(file):
    front = file.line(1, entry(100_000))
    heads = heads_of(front)
    take_by_tasks([heads], 0, file.read)
    for arrival in range(10_000, 0, -1):
        front.add(entry(arrival))
        heads.refresh(front)
    assert len(heads._heap) < 200


def test_within_a_queue_the_rank_comes_before_the_arrival_and_between_queues_it_does_not_count(file):
    fronts = [
        file.line(1, entry(1, rank=5), entry(4, rank=5), queue=1),
        file.line(2, entry(3, rank=2), queue=1),
        file.line(3, entry(2, rank=9), queue=2),
    ]
    assert arrivals(take_in_order(fronts, 9, file.read)) == [2, 3, 1, 4]


@pytest.mark.parametrize("seed", range(20))
def test_any_lines_are_given_out_as_if_sorted_whatever_happens_between_leases(file, seed):
    """Without ranks both ways of taking give out the least of all that are there."""
    chance = random.Random(seed)
    fronts = [file.line(number, task=number % 3) for number in range(8)]
    tasks = [Heads() for _ in range(3)]
    for front in fronts:
        tasks[front.task].refresh(front)
    arrival = 0
    for _ in range(200):
        what = chance.choice(["join", "join", "leave", "take"])
        front = chance.choice(fronts)
        jobs = file.jobs[front.line]
        if what == "join":
            arrival += 1
            one = entry(arrival, chance.choice([0, 0, -1, 1]))
            jobs.append(one)
            jobs.sort()
            if front.add(one) or len(jobs) == 1:
                tasks[front.task].refresh(front)
        elif what == "leave" and jobs:
            one = jobs.pop(chance.randrange(len(jobs)))
            front.remove(one[:3])
            tasks[front.task].refresh(front)
        else:
            expected = sorted((one for some in file.jobs.values() for one in some), key=lambda one: one[4])
            limit = chance.randrange(6)
            if chance.random() < 0.3:
                chosen = take_in_order(fronts, limit, file.read)
            else:
                chosen = take_by_tasks(tasks, limit, file.read)
            assert [one for _, one in chosen] == expected[:limit]
            for taken_from, one in chosen:
                file.jobs[taken_from.line].remove(one)
                tasks[taken_from.task].refresh(taken_from)


@pytest.mark.parametrize("count", [ENTRIES_FIRST - 1, ENTRIES_FIRST, 5 * ENTRIES_MAX])
def test_lines_taken_in_order_are_read_on_where_they_ended(file, count):
    fronts = [file.line(line, *map(entry, range(line, 2 * count, 2)), queue=line) for line in range(2)]
    assert arrivals(take_in_order(fronts, 2 * count + 1, file.read)) == list(range(2 * count))
    reads = len(file.reads)
    assert take_in_order(fronts, 1, file.read) == []
    assert len(file.reads) == reads, "a line that is known to be empty is not read again"


def test_lines_whose_places_are_known_are_not_read_again_to_be_taken_in_order(file):
    front = file.line(1, *map(entry, range(20)))
    assert arrivals(take_in_order([front], 1, file.read)) == [0]
    assert arrivals(take_in_order([front], ENTRIES_FIRST - 2, file.read)) == [*range(1, ENTRIES_FIRST - 1)]
    assert len(file.reads) == 1


def test_a_front_with_too_many_places_after_a_give_back_is_cut_by_the_next_job_that_joins(file):
    heads = heads_of(file.line(1, *map(entry, range(1, 300))), file.line(2, entry(1_000)))
    chosen = take_by_tasks([heads], 100, file.read)
    give_back(chosen)
    (front,) = {front for front, _ in chosen}
    assert len(front.entries) > ENTRIES_MAX
    for arrival in range(2_000, 2_000 + ENTRIES_MAX):
        front.add(entry(arrival, -1))
    assert [one[2] for one in front.entries] == list(range(2_000, 2_000 + ENTRIES_MAX))


# --- limited lines ---------------------------------------------------------------------------------------------------


class Room:
    """Room for so many jobs of each queue, and of all together."""

    def __init__(self, each, whole=1_000):
        self.each = dict(each)
        self.whole = whole

    def takes(self, front):
        if not self.whole or not self.each.get(front.queue, 1_000):
            return False
        self.whole -= 1
        self.each[front.queue] = self.each.get(front.queue, 1_000) - 1
        return True

    def is_out(self, front):
        return not self.whole

    def heads(self, *fronts):
        heads = LimitedHeads(self.takes, self.is_out)
        for front in fronts:
            heads.refresh(front)
        return heads


def test_of_a_limited_line_as_many_are_taken_as_there_is_room_for(file):
    fronts = [file.line(1, entry(1), entry(3), entry(5)), file.line(2, entry(2), entry(4), entry(6))]
    heads = Room({1: 1}).heads(*fronts)
    assert heads.begin()
    assert arrivals(take_by_tasks([heads], 10, file.read)) == [1, 2, 4, 6]
    assert fronts[0].is_closed
    assert list(heads.members) == []
    fronts[0].is_closed = False
    heads.refresh(fronts[0])
    assert [one[2] for one in fronts[0].entries] == [3, 5]


def test_a_task_without_room_is_left_out_and_keeps_its_lines(file):
    fronts = [file.line(1, entry(1), entry(3)), file.line(2, entry(2), entry(4))]
    room = Room({}, whole=2)
    heads, others = room.heads(*fronts), heads_of(file.line(3, entry(5), entry(6)))
    assert heads.begin()
    assert arrivals(take_by_tasks([heads, others], 10, file.read)) == [1, 2, 5, 6]
    assert sorted(heads.members) == [1, 2]
    assert not heads.begin()
    assert heads.first_key() is None
    room.whole = 1
    assert heads.begin()
    assert arrivals(take_by_tasks([heads], 10, file.read)) == [3]


def test_limited_lines_and_others_are_merged_in_order(file):
    limited, free = file.line(1, *map(entry, range(1, 60, 2))), file.line(2, *map(entry, range(2, 60, 2)))
    heads = Room({1: 3}).heads(limited)
    assert heads.begin()
    assert arrivals(take_by_tasks([heads, heads_of(free)], 10, file.read)) == [1, 2, 3, 4, 5, 6, 8, 10, 12, 14]


def test_one_by_one_lines_without_room_are_passed_over(file):
    fronts = [file.line(1, entry(1), entry(3)), file.line(2, entry(2), entry(4)), file.line(3, entry(5), queue=2)]
    room = Room({1: 1, 2: 2})
    assert arrivals(take_in_order(fronts, 10, file.read, room.takes)) == [1, 2, 4]
    assert not any(front.is_closed for front in fronts)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_taken_of_limited_lines_is_what_one_would_take_one_by_one(file, seed):
    chance = random.Random(seed)
    arrivals_left = list(range(1, 80))
    chance.shuffle(arrivals_left)
    fronts = []
    for number in range(1, 7):
        line = [entry(arrivals_left.pop(), chance.choice([0, 0, -1])) for _ in range(chance.randint(0, 12))]
        fronts.append(file.line(number, *line, queue=number % 3))
    each, whole = {queue: chance.randint(0, 9) for queue in range(3)}, chance.randint(0, 30)
    expected, room = [], Room(each, whole)
    jobs = [(job, front) for front in fronts for job in file.jobs[front.line]]
    for job, front in sorted(jobs, key=lambda one: one[0][4]):
        if len(expected) < 20 and room.takes(front):
            expected.append(job[2])
    heads = Room(each, whole).heads(*fronts)
    chosen = take_by_tasks([heads], 20, file.read) if heads.begin() else []
    assert arrivals(chosen) == expected
