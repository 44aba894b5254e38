"""Running the daemon of one host: one at a time on a data folder, stopped in good order by SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

from zhisuan.base.clock import Clock, SystemClock
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.site.backoff import log
from zhisuan.site.errors import AgentStop
from zhisuan.site.hosting.config import HostConfig, read_host_config
from zhisuan.site.hosting.daemon import HostDaemon
from zhisuan.site.main import alone, first_stop


def run_host(config: HostConfig, *, clock: Clock | None = None) -> None:
    """Until SIGTERM or SIGINT. Raises an AgentStop that says why the daemon cannot go on and what to do."""
    when = clock or SystemClock()
    with alone(config.data_dir):
        asyncio.run(_until_told(config, when))


async def _until_told(config: HostConfig, clock: Clock) -> None:
    daemon = HostDaemon(config, clock, TimeOrderedIds(clock), SystemRandom().random)
    working = asyncio.create_task(daemon.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        log.info("The host's daemon stops; running work goes on.")
    except BaseExceptionGroup as group:
        stop = first_stop(group)
        if stop is None:
            raise
        raise stop from group


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m zhisuan.site.hosting CONFIG``: the exit status is 0 when told to stop, else see ``site.errors``."""
    options = ArgumentParser(prog="python -m zhisuan.site.hosting", description="Run the daemon of one host of a site.")
    options.add_argument("config", type=Path, help="JSON file with the fields of HostConfig")
    chosen = options.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run_host(read_host_config(chosen.config))
    except AgentStop as stop:
        log.error("%s", stop)
        return stop.exit_status
    return 0
