"""Running the agent: one at a time on a data folder, stopped in good order by SIGTERM or SIGINT.

Being stopped leaves running work to the engine, exactly as being killed does: the next agent takes up where this one was.
"""

import asyncio
import fcntl
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom

from zhisuan.base.clock import Clock, SystemClock
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.text import Text
from zhisuan.engines.contract import Engine
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.site.agent import Agent
from zhisuan.site.backoff import log
from zhisuan.site.config import AgentConfig, read_config
from zhisuan.site.errors import AgentStop, AnotherAgent, ConfigUnusable

LOCK_NAME = "agent.lock"
PARENT_SECONDS = 1.0


def run_agent(config: AgentConfig, *, engine: Engine | None = None, clock: Clock | None = None) -> None:
    """Run the agent of one site until SIGTERM or SIGINT. ``engine`` replaces the one of the configuration.

    Raises an AgentStop that says why the agent cannot go on and what to do.
    """
    parent_pid = os.getppid()
    with alone(config.data_dir):
        when = clock or SystemClock()
        agent = Agent(config, engine or engine_of(config, when), when, TimeOrderedIds(when), SystemRandom().random)
        asyncio.run(_until_told(agent, parent_pid if config.exit_with_parent else None))


async def _until_told(agent: Agent, parent_pid: int | None) -> None:
    working = asyncio.create_task(agent.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    watching = asyncio.create_task(_end_with(parent_pid, working)) if parent_pid is not None else None
    try:
        await working
    except asyncio.CancelledError:
        log.info("The agent stops; running work goes on.")
    except BaseExceptionGroup as group:
        stop = first_stop(group)
        if stop is None:
            raise
        raise stop from group
    finally:
        if watching is not None:
            watching.cancel()


async def _end_with(parent_pid: int, working: asyncio.Task[None]) -> None:
    while os.getppid() == parent_pid:
        await asyncio.sleep(PARENT_SECONDS)
    log.info("The process that started the agent is gone.")
    working.cancel()


def first_stop(group: BaseExceptionGroup[BaseException]) -> AgentStop | None:
    for error in group.exceptions:
        found = first_stop(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AgentStop):
            return found
    return None


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process. Raises AnotherAgent, or ConfigUnusable when the folder cannot be used."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigUnusable(
            Text(
                f"The data folder {data_dir} cannot be used: {error.strerror}.",
                f"数据目录 {data_dir} 无法使用：{error.strerror}。",
            ),
            Text("Choose a folder that the agent may create and write to.", "请选择代理有权创建和写入的目录。"),
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise AnotherAgent(
            Text(
                f"Another agent (process {holder or 'unknown'}) already works on {data_dir}.",
                f"已有代理（进程 {holder or '未知'}）在使用 {data_dir}。",
            ),
            Text("Stop it first, or give this one a data folder of its own.", "请先停止它，或为本代理另设数据目录。"),
        ) from error
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def engine_of(config: AgentConfig, clock: Clock) -> Engine:
    """The engine that the configuration names; only its own driver is loaded."""
    chosen, folder = config.engine, config.data_dir / "engine"
    if isinstance(chosen, SlurmEngineConfig):
        from zhisuan.engines.slurm.engine import SlurmEngine

        return SlurmEngine(chosen.root or folder, clock=clock, config=chosen)
    if isinstance(chosen, RayEngineConfig):
        from zhisuan.engines.ray.engine import RayEngine

        return RayEngine(folder, clock=clock, config=chosen)
    if isinstance(chosen, HostsEngineConfig):
        from zhisuan.engines.hosts.engine import HostsEngine

        return HostsEngine(folder, clock=clock, config=chosen)
    from zhisuan.engines.local.engine import LocalEngine

    return LocalEngine(folder, clock=clock, config=chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m zhisuan.site CONFIG``: the exit status is 0 when told to stop, else see ``errors``."""
    options = ArgumentParser(prog="python -m zhisuan.site", description="Run the agent of one site.")
    options.add_argument("config", type=Path, help="JSON file with the fields of AgentConfig")
    chosen = options.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run_agent(read_config(chosen.config))
    except AgentStop as stop:
        log.error("%s", stop)
        return stop.exit_status
    return 0
