"""Flags in Go's syntax."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.nsq.flags import flags_of, parse, read_toml, usage
from penstock.nsq.option_checks import check_door
from penstock.nsq.options import DoorOptions, LookupOptions


@pytest.mark.parametrize(
    "arguments",
    [
        ["-msg-timeout", "2s"],
        ["--msg-timeout", "2s"],
        ["-msg-timeout=2s"],
        ["--msg-timeout=2s"],
        ["-msg-timeout=9s", "--msg-timeout", "2s"],
    ],
)
def test_one_dash_or_two_and_a_value_behind_or_joined(arguments):
    assert parse(arguments, DoorOptions).values == {"msg_timeout_s": 2.0}


def test_a_boolean_takes_its_value_only_joined():
    line = parse(["-snappy=false", "-deflate", "false", "-tcp-address", "x:1"], DoorOptions)
    assert line.values == {"snappy": False, "deflate": True}
    assert line.rest == ("false", "-tcp-address", "x:1")


def test_tls_required_is_a_flag_alone_or_has_its_value_joined():
    assert parse(["-tls-required"], DoorOptions).values == {"tls_required": "true"}
    assert parse(["-tls-required=tcp-https"], DoorOptions).values == {"tls_required": "tcp-https"}


def test_repeated_flags_add_up():
    line = parse(["-lookupd-tcp-address=a:1", "--lookupd-tcp-address", "b:2"], DoorOptions)
    assert line.values == {"lookupd_tcp_addresses": ("a:1", "b:2")}
    line = parse(["-e2e-processing-latency-percentile=0.9,0.99", "-e2e-processing-latency-percentile=1"], DoorOptions)
    assert line.values == {"e2e_processing_latency_percentiles": (0.9, 0.99, 1.0)}


def test_values_may_begin_with_a_dash_or_be_empty():
    assert parse(["-log-prefix", "-x"], DoorOptions).values == {"log_prefix": "-x"}
    assert parse(["-http-address="], DoorOptions).values == {"http_address": ""}
    assert parse(["-tls-cert", ""], DoorOptions).values == {"tls_cert": ""}


@pytest.mark.parametrize("end", ["--", "file", "-"])
def test_what_is_no_flag_ends_the_flags(end):
    line = parse(["-snappy", end, "-deflate"], DoorOptions)
    assert line.values == {"snappy": True}
    assert line.rest[-1] == "-deflate"


@pytest.mark.parametrize("argument", ["-h", "--help", "-help", "--h"])
def test_help_is_asked_for(argument):
    assert parse(["-snappy", argument, "-no-such"], DoorOptions).wants_help


def test_the_version_and_a_file():
    assert parse(["-version"], DoorOptions).wants_version
    assert not parse(["-version=false"], DoorOptions).wants_version
    assert parse(["--config", "a.toml"], LookupOptions).config == "a.toml"
    assert parse(["-config=b.toml"], LookupOptions).config == "b.toml"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-no-such"], "flag provided but not defined: -no-such"),
        (["-msg-timout=1s"], "Is it -msg-timeout?"),
        (["---snappy"], "is no flag"),
        (["-=1"], "is no flag"),
        (["-msg-timeout"], "needs a value"),
        (["-msg-timeout=1"], "invalid value '1' for flag -msg-timeout"),
        (["-max-rdy-count=many"], "invalid value 'many' for flag -max-rdy-count"),
        (["-snappy=maybe"], "use true or false"),
        (["-log-level=loud"], "invalid value 'loud'"),
        (["-ack=perhaps"], "'disk', 'memory'"),
        (["-order-by=body"], "json:"),
        (["-dedupe-by=json:"], "json:order.id"),
        (["-version=perhaps"], "use true or false"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(arguments, message):
    with pytest.raises(InvalidOption, match=re.escape(message)):
        parse(arguments, DoorOptions)


@pytest.mark.parametrize("options", [DoorOptions, LookupOptions])
def test_the_list_of_flags_names_each(options):
    listed = set(re.findall(r"^  -([a-z0-9-]+)", usage("nsqd", options), re.MULTILINE))
    assert listed == {found.name for found in flags_of(options).values()} | {"config", "version"}


@pytest.mark.parametrize("options", [DoorOptions, LookupOptions])
def test_names_and_keys_are_one_flags_own(options):
    known = list(flags_of(options).values())
    assert len({found.name for found in known}) == len({found.key for found in known}) == len(known)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)
FLAGS = st.sampled_from(sorted(found.name for found in flags_of(DoorOptions).values()) + ["config", "version", "h"])


@given(st.lists(TEXTS | FLAGS.map("-{}".format) | st.builds("--{}={}".format, FLAGS, TEXTS), max_size=6))
def test_any_command_line_is_read_or_refused(arguments):
    try:
        line = parse(arguments, DoorOptions)
    except InvalidOption:
        return
    assert line.values.keys() <= flags_of(DoorOptions).keys()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(sorted(found.key for found in flags_of(DoorOptions).values())), VALUES, max_size=4)
)
def test_any_file_is_read_or_refused(document):
    try:
        values, unknown = read_toml(document, DoorOptions, "nsqd.cfg")
        check_door(DoorOptions(**values))
    except InvalidOption:
        return
    assert unknown == []
