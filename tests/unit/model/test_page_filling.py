"""A page is filled from short and empty ones. Over a store: `tests/unit/store/test_paging.py`."""

from penstock.model.page_filling import PageFilling


def filled(pages, limit, cursor=None):
    """What is asked of a store that has these pages, each as (items, cursor), and the filling at the end."""
    filling, asked = PageFilling(limit, cursor), []
    while filling.is_open:
        asked.append((filling.cursor, filling.left))
        filling.add(*pages.pop(0))
    return asked, filling


def test_one_page_is_asked_for_in_any_case():
    asked, filling = filled([([], None)], 3)
    assert asked == [(None, 3)]
    assert (filling.items, filling.cursor) == ([], None)


def test_empty_and_short_pages_are_gone_on_with_for_as_many_as_there_are_places_left():
    asked, filling = filled([([], "a"), ([1, 2], "b"), ([3], "c")], 3, "before")
    assert asked == [("before", 3), ("a", 3), ("b", 1)]
    assert (filling.items, filling.cursor) == ([1, 2, 3], "c")


def test_it_ends_where_nothing_is_left():
    asked, filling = filled([([1], "a"), ([2], None)], 9)
    assert asked == [(None, 9), ("a", 8)]
    assert (filling.items, filling.cursor) == ([1, 2], None)
