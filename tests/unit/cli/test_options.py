"""Options that several commands share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from penstock.cli import options


@click.command()
@click.option("--free", type=options.Whole(), help="Any.")
@click.option("--bound", type=options.Whole(1, 9), help="Some.")
def command(free, bound):
    """Say what was given."""
    click.echo(f"{free} {bound}")


def test_help_tells_bounds_where_there_are_some():
    said = CliRunner().invoke(command, ["--help"]).output
    assert "1<=x<=9" in said
    assert "None" not in said


@pytest.mark.parametrize("text", ["1_0", " 1", "١", "1.0", "one"])
def test_a_whole_number_is_in_plain_digits(text):
    assert CliRunner().invoke(command, ["--free", text]).exit_code == 2
    assert CliRunner().invoke(command, ["--free", "-3", "--bound", "9"]).output == "-3 9\n"
