"""A store's files are for its user alone, whoever else uses the machine."""

import os
import socket
import stat
from pathlib import Path

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.process import process_file
from penstock.process.process_file import Processes
from penstock.store import permissions
from penstock.store.directory import StoreDirectory
from penstock.store.wire.client.reach import OwnerRefused, _open_log

FILES = (
    "penstock.db",
    "penstock.db-wal",
    "penstock.db-shm",
    "penstock.db-redo",
    "reserve",
    "owner.lock",
    "owner.log",
    "format",
    "processes.json",
)


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "store"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def somebody_else(monkeypatch):
    """This process runs as another user than the files belong to."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1_000)


@pytest.mark.parametrize("bits", [0o755, 0o775, 0o777, 0o1777, 0o750, 0o700])
@pytest.mark.parametrize("names", [(), FILES])
def test_a_directory_for_the_store_alone_is_closed_to_others(place, bits, names):
    for name in names:
        (place / name).touch()
    place.chmod(bits)
    StoreDirectory(place).prepare()
    assert mode(place) == 0o700


def test_a_directory_that_holds_other_things_keeps_its_bits(place):
    (place / "thesis.tex").touch()
    place.chmod(0o755)
    StoreDirectory(place).prepare()
    assert mode(place) == 0o755


@pytest.mark.parametrize("bits", [0o775, 0o777, 0o1777, 0o722])
def test_one_that_others_can_write_to_is_refused_when_it_holds_other_things(place, bits):
    (place / "thesis.tex").touch()
    place.chmod(bits)
    with pytest.raises(StoreUnavailable, match="Others can write"):
        StoreDirectory(place).prepare()
    assert mode(place) == bits


@pytest.mark.usefixtures("somebody_else")
def test_a_directory_of_somebody_else_is_refused(place):
    with pytest.raises(StoreUnavailable, match="belongs to user"):
        StoreDirectory(place).prepare()


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_open_to_others_are_closed(place, name):
    (place / name).write_text("kept")
    (place / name).chmod(0o666)
    (place / "notes.txt").touch(0o644)
    permissions.tighten(place)
    assert mode(place / name) == 0o600
    assert (place / name).read_text() == "kept"
    assert mode(place / "notes.txt") == 0o644


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_link_in_place_of_a_file_is_refused_and_not_followed(place, tmp_path, name, target):
    (tmp_path / "there").write_text("theirs")
    (tmp_path / "there").chmod(0o644)
    (place / name).symlink_to(tmp_path / target)
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        permissions.tighten(place)
    assert (tmp_path / "there").read_text() == "theirs"
    assert mode(tmp_path / "there") == 0o644
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("name", ["penstock.db", "owner.lock", "format", "reserve"])
def test_what_is_no_file_is_refused_and_holds_nobody_up(place, name):
    os.mkfifo(place / name)
    with pytest.raises(StoreUnavailable, match="no file"):
        permissions.tighten(place)
    (place / name).unlink()
    (place / name).mkdir()
    with pytest.raises(StoreUnavailable, match="no file"):
        permissions.tighten(place)


def test_files_of_somebody_else_are_refused(place, monkeypatch):
    (place / "penstock.db").touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1_000)
    with pytest.raises(StoreUnavailable, match="belongs to user"):
        permissions.tighten(place)
    with pytest.raises(StoreUnavailable, match="belongs to user"):
        permissions.check_place(place / "penstock.db")


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
def test_no_link_is_followed_in_opening(place, tmp_path, flags):
    (place / "owner.log").symlink_to(tmp_path / "target")
    (tmp_path / "target").touch()
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        permissions.open_file(place / "owner.log", flags)


def test_new_files_are_for_this_user_whatever_the_umask(place):
    before = os.umask(0)
    try:
        directory = StoreDirectory(place)
        directory.check_format()
        directory.open_lock().release()
        directory.listen().close()
        _open_log(directory).close()
        process_file.write(place, Processes(os.getpid()))
    finally:
        os.umask(before)
    made = {path.name: mode(path) for path in place.iterdir()}
    assert made.pop("owner.sock") == 0o600
    assert made == dict.fromkeys(("format", "owner.lock", "owner.log", "processes.json"), 0o600)


def test_what_is_written_beside_a_planted_link_goes_into_a_file_of_its_own(place, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    for name in ("format.new", f".processes.json.{os.getpid()}", "processes.json"):
        (place / name).symlink_to(victim)
    StoreDirectory(place).check_format()
    process_file.write(place, Processes(os.getpid()))
    assert victim.read_text() == "theirs"
    assert not (place / "format").is_symlink()
    assert not (place / "processes.json").is_symlink()


@pytest.mark.parametrize("name", ["owner.lock", "format"])
def test_a_planted_lock_or_format_is_refused(place, tmp_path, name):
    (place / name).symlink_to(tmp_path / "victim")
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        StoreDirectory(place).open_lock()
        StoreDirectory(place).check_format()
    assert not (tmp_path / "victim").exists()


def test_a_planted_log_is_refused_by_who_starts_an_owner(place, tmp_path):
    (place / "owner.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OwnerRefused, match="symbolic link"):
        _open_log(StoreDirectory(place))
    assert not (tmp_path / "victim").exists()


def test_a_client_gives_nothing_to_a_socket_of_somebody_else(place, monkeypatch):
    listener = StoreDirectory(place).listen()
    directory = StoreDirectory(place)
    directory.connect().close()
    with monkeypatch.context() as other:
        other.setattr(permissions, "peer", lambda _: (1, os.getuid() + 1))
        if os.getuid() == 0:
            # Root is not kept out of the store of a user.
            with pytest.raises(StoreUnavailable, match="not given any jobs"):
                directory.connect()
            other.setattr(Path, "stat", lambda *_: os.stat_result([0o700, 0, 0, 1, os.getuid() + 1, 0, 0, 0, 0, 0]))
            directory.connect().close()
        else:
            with pytest.raises(StoreUnavailable, match="not given any jobs"):
                directory.connect()
    listener.close()


def test_root_may_listen_for_a_user(place, monkeypatch):
    listener = StoreDirectory(place).listen()
    monkeypatch.setattr(permissions, "peer", lambda _: (1, 0))
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)
    StoreDirectory(place).connect().close()
    listener.close()


def test_the_other_end_is_known():
    near, far = socket.socketpair()
    assert permissions.peer(near) == (os.getpid(), os.geteuid())
    near.close()
    far.close()
