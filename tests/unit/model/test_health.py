from penstock.model.health import FAILURES_MIN, Fault, StoreHealth


def test_nothing_wrong_is_the_default():
    assert StoreHealth().problems() == []
    assert not StoreHealth().fails


def test_each_thing_that_is_wrong_is_a_sentence():
    health = StoreHealth(
        disk_full=True,
        jobs_set_aside=2,
        redo="failed",
        redo_set_aside=1,
        faults=[Fault("promoting due jobs", "KeyError: 7", FAILURES_MIN, 60.0, 0.0)],
    )
    assert len(health.problems()) == 5
    assert all(problem for problem in health.problems())
    assert health.fails


def test_a_log_that_was_turned_off_is_nothing_wrong():
    assert StoreHealth(redo="off").problems() == []


def test_what_failed_once_does_not_go_on_failing():
    assert not StoreHealth(faults=[Fault("settle", "KeyError: 7", FAILURES_MIN - 1, 1.0, 0.0)]).fails


def test_the_words_for_what_is_wrong():
    assert StoreHealth(disk_full=True).problems() == ["The disk is full: new jobs are refused until there is room."]
    assert StoreHealth(redo="failed").problems() == [
        "The redo log cannot be written; every enqueue goes through a transaction."
    ]
