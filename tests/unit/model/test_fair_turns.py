import pytest

from penstock.model.fair_turns import TURN, next_rank, tenant_of, turn_of
from penstock.model.flow import FairRule

RULE = FairRule("tenant", {"heavy": 4.0, "light": 0.5, "": 2.0})


@pytest.mark.parametrize(
    ("rule", "values", "tenant"),
    [
        (RULE, {"tenant": "acme", "user": "jo"}, "acme"),
        (RULE, {"user": "jo"}, ""),
        (RULE, {}, ""),
        (RULE, None, ""),
        (None, {"tenant": "acme"}, ""),
    ],
)
def test_a_job_without_a_tenant_is_nobodys(rule, values, tenant):
    assert tenant_of(rule, values) == tenant


@pytest.mark.parametrize(
    ("rule", "tenant", "turn"),
    [
        (RULE, "acme", TURN),
        (RULE, "heavy", TURN // 4),
        (RULE, "light", TURN * 2),
        (RULE, "", TURN // 2),
        (None, "heavy", TURN),
        (FairRule("tenant", {"most": 1_000.0}), "most", 1_049),
        (FairRule("tenant", {"much": 1e9}), "much", 1),
    ],
)
def test_the_heavier_a_tenant_the_closer_its_turns(rule, tenant, turn):
    assert turn_of(rule, tenant) == turn


def test_a_turn_is_behind_what_was_leased_and_behind_ones_own():
    assert next_rank(0, 0, 5) == 5
    assert next_rank(7, 3, 5) == 12
    assert next_rank(3, 7, 5) == 12
