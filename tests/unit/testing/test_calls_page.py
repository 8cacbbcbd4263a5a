from pathlib import Path

from penstock.store.wire.calls import CALLS
from penstock.testing.calls_page import calls_page, main

PAGE = Path(__file__).parents[3] / "docs" / "calls.md"


def test_the_page_in_the_documentation_is_the_one_made_from_the_table():
    assert PAGE.read_text() == calls_page(), "run: python -m penstock.testing.calls_page > docs/calls.md"


def test_the_page_has_a_row_for_every_call_with_its_parameters():
    page = calls_page()
    assert all(f"| `{name}(" in page for name in CALLS)
    row = "| `enqueue(groups, *, atomic=False, cursor=None)` | Accept jobs: durable when this returns |"
    assert f"{row} changes; applied once |" in page


def test_the_command_prints_the_page(capsys):
    main()
    assert capsys.readouterr().out == calls_page()
