"""How a process ended, in words."""

from __future__ import annotations

import pytest

from penstock.process.ending_in_words import ending


@pytest.mark.parametrize(("status", "words"), [(0, "status 0"), (3, "status 3"), (-11, "SIGSEGV"), (-40, "signal 40")])
def test_an_ending_has_words_even_when_the_signal_has_no_name(status: int, words: str) -> None:
    assert ending(status) == words
