"""What a process can know of those around it without making any. The rest is in tests/acceptance/test_tree.py."""

from __future__ import annotations

import os

from penstock.process.parent import descendants


def test_a_process_that_is_not_there_has_no_descendants():
    assert descendants(2**22 + 1) == []


def test_a_process_is_not_below_itself():
    assert os.getpid() not in descendants(os.getpid())
