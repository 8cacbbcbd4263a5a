"""When the position of a source moves."""

import pytest

from penstock.model.errors import InvalidOption, StaleCursor
from penstock.model.source_cursors import SourceCursor, check_cursor, moved

IN_FORCE = SourceCursor("s", "0", 10, 5)


@pytest.mark.parametrize(
    ("offset", "fence", "has_jobs", "after"),
    [
        (11, 5, True, (11, 5)),
        (11, 6, True, (11, 6)),
        (11, 5, False, (11, 5)),
        (11, 6, False, (11, 6)),
        (11, 4, True, None),
        (11, 4, False, None),
        (10, 5, True, None),
        (10, 5, False, None),
        (10, 6, True, None),
        (10, 6, False, (10, 6)),
        (9, 6, False, (10, 6)),
        (0, 9, False, (10, 9)),
        (0, 9, True, None),
        (0, 4, False, None),
    ],
)
def test_offsets_rise_and_fences_do_not_fall(offset, fence, has_jobs, after):
    asked = SourceCursor("s", "0", offset, fence)
    assert moved(asked, None, has_jobs=has_jobs) == asked
    if after is not None:
        assert moved(asked, IN_FORCE, has_jobs=has_jobs) == SourceCursor("s", "0", *after)
        return
    with pytest.raises(StaleCursor, match="offset 10, fence 5") as raised:
        moved(asked, IN_FORCE, has_jobs=has_jobs)
    assert (raised.value.offset, raised.value.fence) == (10, 5)


@pytest.mark.parametrize("fence", [4, 5])
def test_the_refusal_says_what_to_do(fence):
    with pytest.raises(StaleCursor) as raised:
        moved(SourceCursor("s", "0", 3, fence), IN_FORCE, has_jobs=True)
    assert ("stop this one" if fence == 4 else "go on behind offset 10") in raised.value.message


@pytest.mark.parametrize(
    ("cursor", "field"),
    [
        (SourceCursor("", "0", 0), "source"),
        (SourceCursor("a" * 129, "0", 0), "source"),
        (SourceCursor("a\n", "0", 0), "source"),
        (SourceCursor("ä", "0", 0), "source"),
        (SourceCursor("a", " ", 0), "partition"),
        (SourceCursor("a", "0", -1), "offset"),
        (SourceCursor("a", "0", 1 << 63), "offset"),
        (SourceCursor("a", "0", 0, -1), "fence"),
        (SourceCursor("a", "0", 0, 1 << 63), "fence"),
    ],
)
def test_what_no_position_is(cursor, field):
    with pytest.raises(InvalidOption) as raised:
        check_cursor(cursor)
    assert raised.value.field == field


@pytest.mark.parametrize("name", ["a", "a" * 128, "kafka:orders/3", "db@host.example_1-2"])
def test_what_a_position_may_be(name):
    check_cursor(SourceCursor(name, name, (1 << 63) - 1, (1 << 63) - 1))
