"""Reaching the store, for commands that look or act on jobs that are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.config import Config
from penstock.model.errors import JobNotFound, StoreUnavailable
from penstock.model.ids import parse_id

if TYPE_CHECKING:
    from penstock.model.job import JobView
    from penstock.ports import BlockingStore
    from penstock.store.directory import StoreDirectory

__all__ = ["existing_store", "one_job", "parsed_id", "reached", "user_name"]


@contextmanager
def reached(config: Config) -> Iterator[BlockingStore]:
    """A client of a store that exists already. Commands that only look make no new store.

    Raises:
        StoreUnavailable: there is none, or it cannot be opened.
    """
    from penstock.store.opening import open_store

    existing_store(config)
    client = open_store(config.url)
    try:
        yield client
    finally:
        client.close()


def existing_store(config: Config) -> StoreDirectory:
    """The directory of a store that exists already.

    Raises:
        StoreUnavailable: there is none.
    """
    from penstock.store.directory import StoreDirectory
    from penstock.store.opening import check_url

    check_url(config.url)
    directory = StoreDirectory(config.url)
    _check_there(directory.database, config.url)
    return directory


def _check_there(database: Path, url: str) -> None:
    try:
        there = database.exists()
    except OSError as error:
        raise StoreUnavailable(f"{url} cannot be looked into: {error.strerror}.") from None
    if not there:
        is_other = os.path.exists(url) and not os.path.isdir(url)
        what = f"{url} is not a directory" if is_other else f"There is no store in {url}"
        raise StoreUnavailable(f"{what}; name the store's directory with --url or PENSTOCK_URL.")


def parsed_id(text: str) -> bytes:
    """The id that was typed.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        return parse_id(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a job's id (a UUID).", param_hint="ID") from None


def one_job(client: BlockingStore, job_id: bytes, *, result: bool = False) -> JobView:
    """The job.

    Raises:
        JobNotFound: there is no record of it.
    """
    view = client.get([job_id], result=result)[0]
    if view is None:
        raise JobNotFound
    return view


def user_name() -> str:
    """Who gives a command, for the audit log."""
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):  # a user without an entry, as in some containers
        return f"user {os.getuid()}"
