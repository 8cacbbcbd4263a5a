"""Who is a client, and how much of something it may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.client_shares import Shares, client_of


@pytest.mark.parametrize(
    ("address", "client"),
    [
        (("127.0.0.1", 1), None),
        (("127.8.9.1", 1), None),
        (("::1", 1, 0, 0), None),
        (("::ffff:127.0.0.1", 1, 0, 0), None),
        (("", 1), None),
        ((), None),
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
    ],
)
def test_a_client_is_an_address_of_another_machine(address: tuple[object, ...], client: str | None) -> None:
    assert client_of(address) == client


@given(
    most=st.integers(1, 20),
    steps=st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(1, 12), st.booleans()), max_size=40),
)
def test_nobody_has_more_than_half_and_all_of_it_comes_back(
    most: int, steps: list[tuple[str | None, int, bool]]
) -> None:
    shares = Shares(most)
    held: list[tuple[str | None, int]] = []
    for client, count, gives in steps:
        if gives and held:
            shares.give_back(*held.pop())
        elif shares.take(client, count):
            held.append((client, count))
        assert shares.taken == sum(taken for _, taken in held) <= most
        for one in "abc":
            assert sum(taken for of, taken in held if of == one) <= max(1, most // 2)
    for client, count in held:
        shares.give_back(client, count)
    assert shares.taken == 0
    assert not shares._by_client
