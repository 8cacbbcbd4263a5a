"""Words around what is filled into a message."""

import pytest

from penstock.model.wording import counted, with_article


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int", "an int"),
        ("object", "an object"),
        ("async_generator", "an async_generator"),
        ("enum.Enum", "an enum.Enum"),
        ("Order", "an Order"),
        ("list", "a list"),
        ("uuid.UUID", "a uuid.UUID"),
        ("_Own", "a _Own"),
        ("", "a "),
    ],
)
def test_a_name_gets_the_article_that_is_spoken_with_it(name, said):
    assert with_article(name) == said


def test_one_is_not_many():
    assert [counted(count, "job") for count in (0, 1, 2, 1_200)] == ["0 jobs", "1 job", "2 jobs", "1,200 jobs"]
    assert [counted(count, "is", "are") for count in (1, 2)] == ["1 is", "2 are"]
