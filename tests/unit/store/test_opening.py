import asyncio
import os

import pytest

from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.store.opening import check_url, open_async_store, open_store


@pytest.mark.parametrize("scheme", ["redis", "rediss", "postgresql", "postgres", "kafka", "REDIS"])
def test_a_store_that_is_planned_is_not_there_yet(scheme):
    for opened in (open_store, lambda url: asyncio.run(open_async_store(url)), check_url):
        with pytest.raises(InvalidOption, match="not there yet") as refused:
            opened(f"{scheme}://host:1234/0")
        assert refused.value.field == "url"


@pytest.mark.parametrize(
    "url", ["ftp://host", "sqlite://penstock", "http://127.0.0.1:7367", "://host", "9p://host", "my host://x"]
)
def test_what_names_no_kind_of_store_is_refused(url):
    with pytest.raises(InvalidOption, match="names no kind of store"):
        open_store(url)


@pytest.mark.parametrize("url", ["", "a\0b", None, 7])
def test_what_is_no_path_is_refused(url):
    with pytest.raises(InvalidOption, match="directory"):
        open_store(url)


def test_a_scheme_with_a_space_before_it_makes_no_directory():
    with pytest.raises(InvalidOption, match="not there yet"):
        open_store(" redis://host")


def test_two_slashes_within_a_path_are_a_path(tmp_path):
    assert check_url(f"{tmp_path}/a://b") == str(tmp_path / "a:" / "b")


def test_a_directory_that_nobody_serves_is_unavailable_when_no_owner_is_to_be_started(tmp_path):
    with pytest.raises(StoreUnavailable):
        open_store(tmp_path / "jobs", start_owner=False, reach_s=0.05)
    with pytest.raises(StoreUnavailable):
        asyncio.run(open_async_store(tmp_path / "jobs", start_owner=False, reach_s=0.05))
    assert os.listdir(tmp_path) == []


def test_a_relative_path_begins_where_it_is_said_to(tmp_path):
    assert check_url("jobs", str(tmp_path)) == str(tmp_path / "jobs")
