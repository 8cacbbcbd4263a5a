"""The file of a node's processes."""

from __future__ import annotations

import os

import pytest

from penstock.aio import processes
from penstock.aio.processes import Processes
from penstock.aio.report import ProcessEntry

NOBODY = 2**22 + 1
"""More than a process id can be."""


def test_what_is_written_is_read(tmp_path):
    state = Processes(os.getpid(), [ProcessEntry("executor", os.getpid())], 1, "127.0.0.1:7367")
    processes.write(tmp_path, state)
    assert processes.read(tmp_path) == state
    assert processes.read(tmp_path).under_up
    assert os.listdir(tmp_path) == [processes.FILE_NAME]


def test_the_dead_are_left_out(tmp_path):
    entries = [ProcessEntry("executor", NOBODY), ProcessEntry("executor", os.getpid())]
    processes.write(tmp_path, Processes(os.getpid(), entries, 2))
    found = processes.read(tmp_path)
    assert [entry.pid for entry in found.processes] == [os.getpid()]
    assert found.executors_ready == 1


def test_without_its_root_nothing_is_there(tmp_path):
    processes.write(tmp_path, Processes(NOBODY, [ProcessEntry("owner", os.getpid())], 1))
    assert processes.read(tmp_path) == Processes()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"root": "x"}'])
def test_a_damaged_file_is_no_file(tmp_path, text):
    (tmp_path / processes.FILE_NAME).write_bytes(text)
    assert not processes.read(tmp_path).under_up


def test_no_directory_is_no_node(tmp_path):
    assert processes.read(tmp_path / "nowhere") == Processes()


def test_removing_twice_is_removing_once(tmp_path):
    processes.write(tmp_path, Processes(os.getpid()))
    processes.remove(tmp_path)
    processes.remove(tmp_path)
    assert not processes.read(tmp_path).under_up


@pytest.mark.parametrize("pid", [0, -1, NOBODY])
def test_nobody_is_not_alive(pid):
    assert not processes.alive(pid)
