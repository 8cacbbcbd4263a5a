from pathlib import Path

from penstock.model.states import MOVES, State
from penstock.testing.states_page import main, states_page

PAGE = Path(__file__).parents[3] / "docs" / "states.md"


def test_the_page_in_the_documentation_is_the_one_made_from_the_table():
    assert PAGE.read_text() == states_page(), "run: python -m penstock.testing.states_page > docs/states.md"


def test_the_page_names_every_state_and_every_event():
    page = states_page()
    assert all(f"| `{word.value}` |" in page for word in [*State, *MOVES])


def test_the_diagram_has_the_arrows_of_the_table():
    arrows = [line.strip() for line in states_page().splitlines() if "-->" in line]
    assert len(arrows) == len(set(arrows))
    assert "ready --> running: lease" in arrows
    assert "[*] --> ready: enqueue" in arrows
    assert "dead --> [*]: trim" in arrows


def test_the_command_prints_the_page(capsys):
    main()
    assert capsys.readouterr().out == states_page()
