from penstock.testing.torture import chord_shapes, tasks
from penstock.testing.torture.chord_shapes import chord_of, nonce_of, token_of

MANY = [chord_of(f"one-{number}") for number in range(400)]


def doomed(chord):
    return sum(member.task == chord_shapes.DOOMED for member in chord.members)


def test_a_token_stands_for_one_chord():
    assert chord_of("one-7") == MANY[7]
    assert chord_of("one-7") != chord_of("one-8")


def test_there_is_every_kind_of_chord():
    kinds = {(chord.head is not None, (doomed(chord) > 0) + (doomed(chord) > chord.failures_max)) for chord in MANY}
    assert kinds == {(has_head, kind) for has_head in (False, True) for kind in (0, 1, 2)}
    assert max(len(chord.members) for chord in MANY) > 50
    assert min(len(chord.members) for chord in MANY) == 1
    assert {part.task for chord in MANY for part in chord.members} <= tasks.QUEUES.keys()


def test_no_two_jobs_have_one_token():
    tokens = [part.token for chord in MANY for part in chord.parts()]
    assert len(set(tokens)) == len(tokens)
    assert {token_of(chord.callback.token) for chord in MANY} == {chord.token for chord in MANY}


def test_what_comes_first_is_the_head_or_else_the_members():
    assert all(chord.first() == ([chord.head] if chord.head else chord.members) for chord in MANY)


def test_a_result_names_its_execution():
    assert nonce_of("ab cd ef") == nonce_of("ab") == "ab"
    assert nonce_of(None) == "-"
