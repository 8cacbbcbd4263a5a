from penstock.model.interests import Interest


def test_the_bits_are_what_stores_have_written():
    assert {interest.name: interest.value for interest in Interest} == {
        "UNIQUE": 1,
        "SLOT": 2,
        "FAN_IN": 4,
        "WATCHER": 8,
        "NEXT_OF_KEY": 16,
        "PARENT": 32,
        "SEARCHABLE": 64,
        "SHARED_BODY": 128,
        "RECORDED": 256,
        "SCHEDULED_BY": 512,
    }
