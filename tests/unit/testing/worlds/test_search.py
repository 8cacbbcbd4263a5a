from penstock.testing.worlds.search import Breach, search


class Corridor:
    """A place from 0 to ``end``: one goes forward, waits, or jumps back to the beginning."""

    def __init__(self, end, trap=None):
        self._end = end
        self._trap = trap
        self._place = self._waited = 0

    def actions(self):
        return ["wait", "back", *(["forward", "leap"] if self._place < self._end else [])]

    def do(self, action):
        if action == "wait":
            self._waited += 1
        elif action == "back":
            self._place = 0
        else:
            self._place = min(self._end, self._place + (2 if action == "leap" else 1))

    def check(self):
        if self._trap in (self._place, self._waited):
            raise Breach(f"trapped at {self._place}")

    def form(self):
        return self._place


def test_every_state_is_seen_once_and_every_transition_counted():
    found = search(lambda: Corridor(4))
    assert (found.states, found.transitions, found.depth) == (5, 4 * 4 + 2, 2)
    assert found.is_whole
    assert found.finding is None


def test_a_breach_is_told_with_the_shortest_way_to_it():
    found = search(lambda: Corridor(9, trap=5))
    assert found.finding == ("trapped at 5", ["forward", "leap", "leap"])
    assert not found.is_whole


def test_a_search_ends_at_the_number_of_states_it_may_know():
    found = search(lambda: Corridor(100), states_max=10)
    assert 10 <= found.states < 14
    assert not found.is_whole


def test_the_ways_go_through_every_state():
    found = search(lambda: Corridor(6))
    seen = {0}
    for way in found.ways:
        world = Corridor(6)
        for action in way:
            world.do(action)
            seen.add(world.form())
    assert seen == set(range(7))


class Silent(Corridor):
    """What is against a promise shows only after more waiting than the form tells."""

    def actions(self):
        return ["wait", "wait", "wait"]


def test_a_breach_that_takes_what_seemed_to_change_nothing_is_told_with_that():
    found = search(lambda: Silent(1, trap=3))
    assert found.finding == ("trapped at 0", ["wait"] * 3)
