"""The composition root: ``penstock up``, the only place that knows all the parts.

`parts` says which parts a node has, and starts each. `root` forks the parts and watches them; `policy` decides when
which is started or stopped; `system` is the root's access to the operating system. `child` is what a forked part does
before its own work. `probe` imports an application in a child process, to see whether it can be used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace

from penstock.config import Config, Origin
from penstock.node.nsq_part import nsqd_of, nsqd_spec, run_nsqd_part
from penstock.node.parts import gate_specs, preload, run_gate_part, run_supervisor_part, specs
from penstock.node.probe import probe
from penstock.node.root import Root
from penstock.nsq.options import DoorOptions
from penstock.process.process_file import Processes

_LOGGER = logging.getLogger("penstock.node")

__all__ = ["gates", "nsqd_of", "resolve", "run_nsqd_part", "run_supervisor_part", "up"]


def resolve(config: Config, app: str) -> Config:
    """The configuration for this application: its jobs are where it says, unless a flag says otherwise.

    Raises:
        InvalidOption: the application cannot be loaded.
    """
    url = probe(app)
    origin = config.origins["url"]
    if origin.kind == "flag":
        return config
    if origin.kind == "env" and os.path.abspath(url) != os.path.abspath(config.url):
        _LOGGER.warning(
            "Jobs are in %s, as %s says; %s (%s) is not used. Use --url for another place.",
            url, app, origin.name, config.url, extra={"action": "url-ignored"},
        )  # fmt: skip
    return replace(config, url=url, origins={**config.origins, "url": Origin("app", app)})


def up(
    config: Config, app: str, announce: Callable[[Processes], None], nsq: DoorOptions | None = None
) -> tuple[int, str | None]:
    """Run a whole node until it is told to stop.

    Args:
        config: what is in force.
        app: ``module:attribute``.
        announce: called once everything is ready, with the processes there are.
        nsq: of the door for NSQ's clients. None: there is none.

    Returns:
        The exit status, and the reason when it stopped by itself.

    Raises:
        InvalidOption: there is no such host, or the address needs a token.
        AddressUnavailable: the address is taken, or not ours to have.
    """
    preload(config)
    parts = specs(config, app)
    if nsq is not None:
        parts.append(nsqd_spec(nsq))
    return Root(parts, config.url, announce).run()


def gates(config: Config, app: str | None) -> tuple[int, str | None]:
    """Run the gates alone until they are told to stop.

    Args:
        config: what is in force.
        app: ``module:attribute``. None: tasks are known by the names that workers have recorded.

    Returns:
        The exit status, and the reason when they stopped by themselves.

    Raises:
        InvalidOption: there is no such host, or the address needs a token.
        AddressUnavailable: the address is taken, or not ours to have.
    """
    if config.gates == 1:
        return run_gate_part(config, app, None) or 0, None
    preload(config, of_node=False)
    # A gate that finds no owner starts one, which is there for others too and stays.
    return Root(gate_specs(config, app, of_node=False), None, adopts=False).run()
