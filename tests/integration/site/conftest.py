"""A control server and agents on it; what a test started has ended when the test has."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess
from control_server import ControlServer

from zhisuan.base.clock import SystemClock
from zhisuan.engines.contract import RunPhase
from zhisuan.engines.errors import EngineError
from zhisuan.engines.local.engine import LocalEngine

AgentFactory = Callable[..., AgentProcess]


@pytest.fixture
def server() -> Iterator[ControlServer]:
    server = ControlServer()
    yield server
    server.close()
    assert server.seen.violations == []


@pytest.fixture
def agents(tmp_path: Path, server: ControlServer) -> Iterator[AgentFactory]:
    made: list[AgentProcess] = []

    def make(**settings: Any) -> AgentProcess:
        folder = tmp_path / f"agent{len(made)}"
        folder.mkdir()
        made.append(AgentProcess(folder, server.url, **settings))
        return made[-1]

    yield make
    for agent in made:
        agent.close()
        _end_runs(agent.data_dir / "engine")
        print(agent.log)


def _end_runs(root: Path) -> None:
    if not root.exists():
        return
    engine = LocalEngine(root, clock=SystemClock())
    for key in engine.list():
        engine.stop(*key, 0)
    for key in engine.list():
        for _ in range(2000):
            if engine.observe(*key).phase is RunPhase.exited:
                break
        try:
            engine.remove(*key)
        except EngineError as error:
            print(f"{key}: {error}")
