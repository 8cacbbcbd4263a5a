"""The peers themselves: what is there is what the tests take it for."""

from __future__ import annotations

import json

from tests.acceptance.nsq_peers import program


def test_real_daemons_find_each_other_and_a_tool_reads_what_was_published(daemons):
    lookupd = daemons.real_nsqlookupd()
    nsqd = daemons.real_nsqd(f"-lookupd-tcp-address={lookupd.tcp}")
    assert nsqd.ask("/pub?topic=orders", b"first") == b"OK"
    tail = daemons.real("nsq_tail", "-topic=orders", "-channel=tail", "-n=1", f"-lookupd-http-address={lookupd.http}")
    assert tail.process.wait(60) == 0
    assert "first" in tail.said()
    (topic,) = json.loads(nsqd.ask("/stats?format=json"))["topics"]
    assert topic["message_count"] == 1
    assert nsqd.end() == 0


def test_a_program_of_nsq_is_a_file():
    assert program("nsqd").is_file()
