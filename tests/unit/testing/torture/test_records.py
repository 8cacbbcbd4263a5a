import pytest

from penstock.testing.torture.records import Acked, Attempted, Execution, RecordFile, read

RUN = Execution("ab", "token", "task", 1, 7, "nonce", 99)


@pytest.fixture
def journal(tmp_path):
    journal = RecordFile(tmp_path / "attempts" / "one")
    yield journal
    journal.close()


def test_what_is_written_is_read_back_by_kind(journal, tmp_path):
    journal.write(Attempted("token", "task"))
    journal.write(Acked("token", "ab"), RUN)

    assert list(read(tmp_path / "attempts", Attempted)) == [Attempted("token", "task")]
    assert list(read(tmp_path / "attempts", Acked)) == [Acked("token", "ab")]
    assert list(read(tmp_path / "attempts", Execution)) == [RUN]


def test_all_files_of_a_directory_are_read(journal, tmp_path):
    other = RecordFile(tmp_path / "attempts" / "two")
    journal.write(Attempted("a", "task"))
    other.write(Attempted("b", "task"))
    other.close()

    assert [line.token for line in read(tmp_path / "attempts", Attempted)] == ["a", "b"]


def test_a_line_that_was_cut_short_is_left_out_and_the_rest_kept(journal, tmp_path):
    journal.write(Attempted("a", "task"), Attempted("b", "task"))
    path = tmp_path / "attempts" / "one"
    path.write_bytes(path.read_bytes()[:-4])

    assert [line.token for line in read(tmp_path / "attempts", Attempted)] == ["a"]


def test_a_directory_that_is_not_there_has_no_lines(tmp_path):
    assert list(read(tmp_path / "executions", Execution)) == []
