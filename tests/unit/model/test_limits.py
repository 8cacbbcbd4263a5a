import ast
import inspect

from penstock.model import limits

NAMES = [name for name in vars(limits) if name.isupper()]
WITHOUT_UNIT = {"BACKOFF_FACTOR", "FAIR_WEIGHT_MIN", "FAIR_WEIGHT_MAX"}


def test_every_limit_is_a_positive_number_but_for_the_least_priority():
    for name in NAMES:
        value = getattr(limits, name)
        assert isinstance(value, int | float), name
        assert value > 0 or name == "PRIORITY_MIN", name


def test_relations_between_limits_are_asserted_with_their_reason():
    asserts = [node for node in ast.walk(ast.parse(inspect.getsource(limits))) if isinstance(node, ast.Assert)]
    assert asserts
    assert all(node.msg is not None for node in asserts)


def test_priorities_are_symmetrical_about_the_default():
    assert -limits.PRIORITY_MIN == limits.PRIORITY_MAX


def test_durations_and_sizes_say_their_unit():
    for name in NAMES:
        if isinstance(getattr(limits, name), float) and name not in WITHOUT_UNIT:
            assert "_S" in name, name
