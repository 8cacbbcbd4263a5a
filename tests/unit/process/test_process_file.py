"""The file of a node's processes."""

from __future__ import annotations

import os

import pytest

from penstock.process import process_file
from penstock.process.part_report import ProcessEntry
from penstock.process.process_file import Processes

NOBODY = 2**22 + 1
"""More than a process id can be."""


def test_what_is_written_is_read(tmp_path):
    state = Processes(os.getpid(), [ProcessEntry("executor", os.getpid())], 1, "127.0.0.1:7367")
    process_file.write(tmp_path, state)
    assert process_file.read(tmp_path) == state
    assert process_file.read(tmp_path).under_up
    assert os.listdir(tmp_path) == [process_file.FILE_NAME]


def test_the_dead_are_left_out(tmp_path):
    entries = [ProcessEntry("executor", NOBODY), ProcessEntry("executor", os.getpid())]
    process_file.write(tmp_path, Processes(os.getpid(), entries, 2))
    found = process_file.read(tmp_path)
    assert [entry.pid for entry in found.processes] == [os.getpid()]
    assert found.executors_ready == 1


def test_without_its_root_nothing_is_there(tmp_path):
    process_file.write(tmp_path, Processes(NOBODY, [ProcessEntry("owner", os.getpid())], 1))
    assert process_file.read(tmp_path) == Processes()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"root": "x"}'])
def test_a_damaged_file_is_no_file(tmp_path, text):
    (tmp_path / process_file.FILE_NAME).write_bytes(text)
    assert not process_file.read(tmp_path).under_up


def test_no_directory_is_no_node(tmp_path):
    assert process_file.read(tmp_path / "nowhere") == Processes()


def test_removing_twice_is_removing_once(tmp_path):
    process_file.write(tmp_path, Processes(os.getpid()))
    process_file.remove(tmp_path)
    process_file.remove(tmp_path)
    assert not process_file.read(tmp_path).under_up


@pytest.mark.parametrize("pid", [0, -1, NOBODY])
def test_nobody_is_not_alive(pid):
    assert not process_file.alive(pid)
