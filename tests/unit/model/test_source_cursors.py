"""When the position of a source moves."""

import pytest

from penstock.model.errors import InvalidOption, StaleCursor
from penstock.model.source_cursors import SourceCursor, check_cursor, check_cursor_moves

IN_FORCE = SourceCursor("s", "0", 10, 5)


@pytest.mark.parametrize(
    ("offset", "fence", "has_jobs", "moves"),
    [
        (11, 5, True, True),
        (11, 6, True, True),
        (11, 5, False, True),
        (11, 4, True, False),
        (11, 4, False, False),
        (10, 5, True, False),
        (10, 5, False, False),
        (10, 6, True, False),
        (10, 6, False, True),
        (9, 6, False, False),
        (0, 9, True, False),
    ],
)
def test_offsets_rise_and_fences_do_not_fall(offset, fence, has_jobs, moves):
    asked = SourceCursor("s", "0", offset, fence)
    check_cursor_moves(asked, None, has_jobs=has_jobs)
    if moves:
        check_cursor_moves(asked, IN_FORCE, has_jobs=has_jobs)
    else:
        with pytest.raises(StaleCursor, match="offset 10, fence 5") as raised:
            check_cursor_moves(asked, IN_FORCE, has_jobs=has_jobs)
        assert (raised.value.offset, raised.value.fence) == (10, 5)


@pytest.mark.parametrize("fence", [4, 5])
def test_the_refusal_says_what_to_do(fence):
    with pytest.raises(StaleCursor) as raised:
        check_cursor_moves(SourceCursor("s", "0", 3, fence), IN_FORCE, has_jobs=True)
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
