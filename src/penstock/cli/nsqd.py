"""``penstock nsqd``: the NSQ door, with nsqd's own flags."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.command(
    "nsqd", context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Serve NSQ clients until told to stop. Takes the flags of nsqd, as -flag and as --flag."""
    import logging
    import time

    from penstock.nsq.door.door_process import run_nsqd
    from penstock.nsq.loading import load_door
    from penstock.store.opening import open_async_store

    options = load_door(list(arguments)).options
    formatter = logging.Formatter(f"{options.log_prefix}%(asctime)s.%(msecs)03d000 %(levelname)s: %(message)s")
    formatter.datefmt, formatter.converter = "%Y/%m/%d %H:%M:%S", time.localtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.getLogger("penstock.nsq").addHandler(handler)
    logging.getLogger("penstock.nsq").setLevel(logging.INFO)
    return run_nsqd(
        lambda held, holders: open_async_store(options.url, held=held, holders=holders, role="nsqd"), options
    )
