"""What ``penstock enqueue`` says of arguments that are not JSON."""

from __future__ import annotations

import click
import pytest

from penstock.cli.enqueue import json_array


def test_arguments_are_put_into_one_array():
    assert json_array(["1", '"a"'], quote=True) == b'[1,"a"]'


def test_what_is_not_json_is_quoted_unless_the_task_has_sensitive_parameters():
    with pytest.raises(click.UsageError, match="4111-1111"):
        json_array(["1", "4111-1111"], quote=True)
    with pytest.raises(click.UsageError, match="Argument 2 is not JSON") as caught:
        json_array(["1", "4111-1111"], quote=False)
    assert "4111" not in caught.value.message
