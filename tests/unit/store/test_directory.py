import os
import stat

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.store.directory import OwnerRecord, StoreDirectory, file_system_of

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:30 / {shared} rw shared:1 - {kind} server:/export rw
41 27 0:31 / /mnt/with\\040space rw - nfs server:/other rw
"""


@pytest.fixture
def mounted(tmp_path):
    def mount(kind):
        path = tmp_path / "mountinfo"
        path.write_text(MOUNTS.format(shared=tmp_path / "shared", kind=kind))
        return path

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused_with_its_name(tmp_path, mounted, kind):
    directory = StoreDirectory(tmp_path / "shared" / "store", mountinfo=mounted(kind))
    with pytest.raises(StoreUnavailable, match=kind):
        directory.prepare()


def test_a_local_disk_beside_it_is_taken(tmp_path, mounted):
    StoreDirectory(tmp_path / "shared-not" / "store", mountinfo=mounted("nfs")).prepare()
    StoreDirectory(tmp_path / "shared" / "store", mountinfo=mounted("xfs")).prepare()


def test_mount_points_with_spaces_and_missing_tables_are_understood(tmp_path, mounted):
    assert file_system_of(type(tmp_path)("/mnt/with space/store"), mounted("xfs")) == "nfs"
    assert file_system_of(tmp_path, tmp_path / "missing") is None


def test_a_new_directory_is_for_its_user_only_and_gets_a_format(tmp_path):
    directory = StoreDirectory(tmp_path / "new" / "store")
    directory.prepare()
    directory.check_format()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert (directory.path / "format").read_text() == "1\n"
    directory.check_format()


@pytest.mark.parametrize(("text", "says"), [("2\n", "upgrade Penstock"), ("what\n", "should hold a version")])
def test_another_format_is_refused(tmp_path, text, says):
    (tmp_path / "format").write_text(text)
    with pytest.raises(StoreUnavailable, match=says):
        StoreDirectory(tmp_path).check_format()


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreUnavailable, match="not a directory"):
            StoreDirectory(path).prepare()


def test_one_lock_at_a_time_and_its_text_says_whose(tmp_path):
    directory = StoreDirectory(tmp_path)
    assert directory.owner() is None
    first, second = directory.open_lock(), directory.open_lock()
    assert first.take()
    assert not second.take()
    first.publish(OwnerRecord(os.getpid(), "a-host-with-a-long-name", 1, "socket"))
    first.publish(OwnerRecord(os.getpid(), "host", 2, "socket"))
    assert directory.owner() == OwnerRecord(os.getpid(), "host", 2, "socket")
    first.release()
    first.release()
    assert second.take()
    second.release()


@pytest.mark.parametrize("depth", [0, 3])
def test_a_socket_is_private_and_reachable_whatever_its_length(tmp_path, depth):
    directory = StoreDirectory(tmp_path.joinpath(*["d" * 60] * depth))
    directory.prepare()
    with pytest.raises(FileNotFoundError):
        directory.connect()
    listener = directory.listen()
    directory.connect().close()
    assert stat.S_IMODE(os.stat(directory.socket_path).st_mode) == 0o600
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        directory.connect()
    directory.listen().close()
    directory.remove_socket()
    assert not os.path.exists(directory.socket_path)


@pytest.mark.parametrize(
    "put", [os.mkdir, lambda path: open(path, "w").close(), lambda path: os.symlink("/nowhere", path)]
)
def test_what_is_in_the_place_of_the_socket_is_left_alone(tmp_path, put):
    directory = StoreDirectory(tmp_path)
    put(directory.socket_path)
    with pytest.raises(StoreUnavailable, match="is no socket"):
        directory.listen()
    assert os.path.lexists(directory.socket_path)
