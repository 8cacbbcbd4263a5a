import zlib

import msgspec
import pytest

from penstock.model import job as m
from penstock.model.job import JobEntry, Outcomes, Succeeded, checksum
from penstock.model.losses import Loss


@pytest.mark.parametrize(("body", "expected"), [(b"", 0), (b"123456789", 0xCBF43926)])
def test_the_checksum_is_the_usual_crc_32(body, expected):
    assert checksum(body) == expected == zlib.crc32(body)


def test_the_checksum_tells_a_flipped_bit():
    body = bytearray(b"m\x92\x91\x01\x80" * 40)
    sound = checksum(bytes(body))
    for at in range(len(body) * 8):
        body[at // 8] ^= 1 << at % 8
        assert checksum(bytes(body)) != sound
        body[at // 8] ^= 1 << at % 8


def test_records_are_their_own_wire_form():
    outcomes = Outcomes(b"h" * 16, forgotten=[1], succeeded=[Succeeded(2, 0.5, 1.5, b"m1")])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcomes), type=Outcomes) == outcomes
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(JobEntry(b"i", b"b", 1)))[:3] == [b"i", b"b", 1]


def test_empty_outcomes_do_not_share_their_lists():
    first, second = Outcomes(b"h" * 16), Outcomes(b"h" * 16)
    first.forgotten.append(1)
    assert second.forgotten == []


JOB_ERROR = m.JobError("Error", "message")
OUTCOMES = {
    "forgotten": lambda fence: fence,
    "succeeded": lambda fence: Succeeded(fence, 0.5, 1.5),
    "retried": lambda fence: m.Retried(fence, 1.0, JOB_ERROR),
    "snoozed": lambda fence: m.Snoozed(fence, 1.0),
    "buried": lambda fence: m.Buried(fence, JOB_ERROR),
    "cancelled": m.Cancelled,
    "lost": lambda fence: m.Lost(fence, Loss.BLAMED, JOB_ERROR),
    "released": lambda fence: fence,
    "refused": lambda fence: m.Refused(fence, JOB_ERROR),
}


def one_of_each(first=1):
    """A settlement with two outcomes of every kind, and a child of each job."""
    made = {
        name: [make(first + 2 * place), make(first + 2 * place + 1)]
        for place, (name, make) in enumerate(OUTCOMES.items())
    }
    fences = range(first, first + 2 * len(OUTCOMES))
    return fences, Outcomes(b"h" * 16, **made, children=[(fence, [m.JobGroup("task", [])]) for fence in fences])


def test_every_list_of_a_settlement_is_known():
    assert {*OUTCOMES, "children"} == set(Outcomes.__struct_fields__) - {"holder"}


def test_the_fences_of_a_settlement_are_those_of_all_its_lists():
    fences, outcomes = one_of_each()
    assert sorted(outcomes.fences()) == list(fences)


@pytest.mark.parametrize("fence", range(1, 19))
def test_a_part_of_a_settlement_keeps_an_outcome_of_any_kind_with_its_children(fence):
    _, outcomes = one_of_each()
    part = outcomes.only({fence})
    assert part.fences() == [fence]
    assert [of for of, _ in part.children] == [fence]


def test_halves_keep_every_outcome_and_its_children():
    fences, outcomes = one_of_each()
    first, second = outcomes.halves()
    assert sorted(first.fences() + second.fences()) == list(fences)
    assert len(first.fences()) == len(second.fences())
    for half in (first, second):
        assert sorted(of for of, _ in half.children) == sorted(half.fences())


def test_a_settlement_takes_in_another_whole():
    fences, outcomes = one_of_each()
    more_fences, more = one_of_each(first=101)
    outcomes.extend(more)
    assert sorted(outcomes.fences()) == [*fences, *more_fences]
    assert sorted(of for of, _ in outcomes.children) == [*fences, *more_fences]
    assert sorted(more.fences()) == list(more_fences)


def test_an_outcome_is_added_to_the_list_of_its_kind():
    error = m.JobError("ValueError", "no")
    one_of_each = {
        "succeeded": Succeeded(1, 0.0, 1.0),
        "retried": m.Retried(2, 1.0, error),
        "snoozed": m.Snoozed(3, 1.0),
        "buried": m.Buried(4, error),
        "cancelled": m.Cancelled(5),
        "lost": m.Lost(6, Loss.STRAY, error),
        "refused": m.Refused(7, error),
    }
    outcomes = Outcomes(b"h" * 16)
    for outcome in one_of_each.values():
        outcomes.add(outcome)
    assert {name: getattr(outcomes, name) for name in one_of_each} == {name: [one] for name, one in one_of_each.items()}
    assert sorted(outcomes.fences()) == [1, 2, 3, 4, 5, 6, 7]
