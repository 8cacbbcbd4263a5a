"""The page of flags is that of the program."""

from __future__ import annotations

from pathlib import Path

from penstock.testing.nsq_flags_page import main, nsq_flags_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "nsq-flags.md"


def test_the_page_is_made_from_the_options(capsys):
    main()
    assert capsys.readouterr().out == nsq_flags_page()
    assert PAGE.read_text() == nsq_flags_page(), "run: python -m penstock.testing.nsq_flags_page > docs/nsq-flags.md"
