import pytest

from penstock.model import limits

NAMES = [name for name in vars(limits) if name.isupper()]
WITHOUT_UNIT = {"BACKOFF_FACTOR", "FAIR_WEIGHT_MIN", "FAIR_WEIGHT_MAX"}

RELATIONS = [
    (limits.EXTEND_S * 2 < limits.LEASE_S, "two extensions may be lost before a lease is"),
    (limits.BATCH_JOBS_MAX * 16 < limits.FRAME_BYTES_MAX, "ids alone of a full batch fit a frame"),
    (limits.REQUEST_BYTES_MAX * 2 < limits.FRAME_BYTES_MAX, "a full request fits a frame whatever its encoding adds"),
    (
        limits.JOB_BODY_BYTES_MAX + 16 * limits.JOB_HEADERS_BYTES_MAX < limits.JOB_TEXT_BYTES_MAX,
        "the largest job fits its text",
    ),
    (limits.JOB_TEXT_BYTES_MAX < limits.REQUEST_BYTES_MAX, "the largest job fits a request"),
    (limits.ANSWER_BYTES_MAX + limits.BATCH_JOBS_MAX * 1024 < limits.FRAME_BYTES_MAX, "so many results fit a frame"),
    ((limits.LEASE_BYTES_MAX + limits.JOB_BODY_BYTES_MAX) * 2 < limits.FRAME_BYTES_MAX, "a lease fits a frame"),
    (limits.JOB_BODY_BYTES_MAX <= limits.CHILDREN_BYTES_MAX, "the largest job may be a child"),
    (
        limits.FLOW_NAMES_DECLARED_MAX * 2 <= limits.JOB_VALUES_MAX,
        "a job has the texts that its task and its queue count by",
    ),
    (limits.CHILDREN_MAX < limits.BATCH_JOBS_MAX, "the children of one job fit one settlement"),
    (
        (limits.SETTLE_BYTES_MAX + limits.RESULT_BYTES_MAX + 2 * limits.CHILDREN_BYTES_MAX) * 2
        < limits.FRAME_BYTES_MAX,
        "a settlement fits a frame",
    ),
    (limits.CANCEL_NOTICE_S <= 1.0, "a running job notices within 2 s, half of which is its executor's"),
    (limits.STRAYS_MAX > 5 * limits.LOSSES_MAX, "what no executor's own death explains buries a job much later"),
    (limits.EXTEND_S * 2 < limits.HOLDER_ALIVE_S, "a worker that has much to do is alive"),
    (
        limits.REFUSED_AGAIN_S < limits.REFUSED_AGAIN_S_MAX < limits.REFUSED_S,
        "all are asked again before a job is given up",
    ),
    (limits.EPHEMERAL_S > 2 * limits.EXTEND_S, "a consumer that only holds on to what it has is heard of in time"),
    (limits.TICK_GAP_S < limits.LEASE_S / 2, "a gap is noticed before it can cost a lease"),
    (limits.GATE_CONNECTIONS_MAX > 2 * limits.GATE_WAITERS_MAX, "parked requests leave connections for others"),
    (
        limits.REQUEST_BYTES_MAX * 2 <= limits.GATE_BODY_BYTES_MAX // limits.GATES_MAX,
        "the largest request fits its client's half",
    ),
    (
        limits.BATCH_JOBS_MAX * 2 <= limits.GATE_PENDING_JOBS_MAX // limits.GATES_MAX,
        "the largest batch fits its client's half",
    ),
    (
        limits.RESULT_BYTES_MAX * 2 <= limits.GATE_ANSWER_BYTES_MAX // limits.GATES_MAX,
        "the largest result fits its client's half",
    ),
    (limits.GATES_MAX <= limits.GATE_FETCHES_MAX, "every gate may fetch"),
    (limits.LOOKUP_PING_S * 4 <= limits.NSQLOOKUPD_SILENT_S, "who gives way at an nsqlookupd has missed four pings"),
    (limits.CHANNELS_MAX * 2 <= limits.NSQLOOKUPD_REGISTRATIONS_MAX, "an nsqlookupd knows all that a store may have"),
    (limits.NSQLOOKUPD_REGISTRATIONS_MAX <= limits.NSQLOOKUPD_PLACES_MAX, "every registration may have a producer"),
    (
        limits.CHANNELS_OF_TOPIC_MAX * 70 < limits.LOOKUP_ANSWER_BYTES_MAX,
        "the names of all channels of a topic fit an nsqlookupd's answer",
    ),
    (
        min(limits.HTTP_HEAD_READ_S, limits.GATE_BODY_READ_S, limits.HTTP_SEND_S) > limits.HTTP_GIVE_WAY_S,
        "room is made before time is up",
    ),
    (limits.GATE_STORE_S > limits.RECONNECT_S_MAX, "the client gives up first, and says why"),
    (limits.RESTART_S_MAX < limits.START_S_MAX, "a part gets longer to start than to wait for its next start"),
    (limits.RESTART_S_MAX < limits.RECONNECT_S_MAX, "clients outlast the wait for an owner that is started again"),
]


def test_every_limit_is_a_positive_number_but_for_the_least_priority():
    for name in NAMES:
        value = getattr(limits, name)
        assert isinstance(value, int | float), name
        assert value > 0 or name == "PRIORITY_MIN", name


@pytest.mark.parametrize(("holds", "reason"), RELATIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_limits_go_together(holds, reason):
    assert holds, reason


def test_priorities_are_symmetrical_about_the_default():
    assert -limits.PRIORITY_MIN == limits.PRIORITY_MAX


def test_durations_and_sizes_say_their_unit():
    for name in NAMES:
        if isinstance(getattr(limits, name), float) and name not in WITHOUT_UNIT:
            assert "_S" in name, name


def test_a_door_that_publishes_to_many_topics_has_room_for_other_requests():
    assert limits.NSQ_PUBLISH_REQUESTS_MAX + 8 <= limits.CLIENT_REQUESTS_MAX
